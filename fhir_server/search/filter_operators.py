"""The operators of ``_filter``: most are a modifier of a parameter or a prefix of its value.

https://hl7.org/fhir/R4/search_filter.html#ops
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from fhir_server.outcome import FhirError, error
from fhir_server.search.combining import Not, all_of, any_of
from fhir_server.search.expression import Differs, Equal, Exists, Expression, Pattern, Within
from fhir_server.search.parameters import Context
from fhir_server.search.parameters.string import fold, literal, starting_with
from fhir_server.search.search_parameter import Parameter, TypeParameters

#: Operators that are a prefix of the value (ordered types), and those that are a modifier of the parameter.
_PREFIXES = frozenset({"eq", "ne", "gt", "lt", "ge", "le", "sa", "eb", "ap"})
_MODIFIERS = {"ss": "above", "sb": "below", "in": "in", "ni": "not-in"}
_TEXT = frozenset({"co", "sw", "ew"})
OPERATORS = _PREFIXES | _MODIFIERS.keys() | _TEXT | {"pr", "po", "re"}
_ORDERED = frozenset({"date", "number", "quantity"})

Clause = Callable[[str, str, TypeParameters, Context], Expression | None]
"""Reads one pair: the function that reads the whole query's clauses."""


def malformed(reason: str) -> FhirError:
    """Return the FhirError 400 of a filter that can't be read."""
    return error("invalid", f"Parameter '_filter': {reason}.", status=400)


@dataclass(frozen=True, slots=True)
class Comparison:
    """``name operator value``: one parameter of a type, and what its values must be."""

    name: str
    operator: str
    value: str


def compared(
    comparison: Comparison, parameters: TypeParameters, context: Context, clause: Clause
) -> Expression:
    """Return the expression of a comparison on a type; raises FhirError 400."""
    name, operator, value = comparison.name, comparison.operator, comparison.value
    parameter = _parameter(name, parameters)

    def read(name: str, value: str) -> Expression:
        found = clause(name, value, parameters, context)
        assert found is not None, "the parameter is known"
        return found

    if operator == "pr":
        if value not in {"true", "false"}:
            raise malformed(f"'{name} pr' takes true or false, not '{value}'")
        return read(f"{name}:missing", "false" if value == "true" else "true")
    # A comma or a dollar is part of the value; a bar divides system and code.
    escaped = value.replace("\\", "\\\\").replace(",", "\\,")
    if parameter.type != "composite":
        escaped = escaped.replace("$", "\\$")
    if operator in _MODIFIERS:
        return read(f"{name}:{_MODIFIERS[operator]}", escaped)
    if operator == "re":
        if parameter.type != "reference":
            raise malformed(f"'re' is for references, and '{name}' is a {parameter.type}")
        return read(name, escaped)
    if operator == "po":
        return _overlapping(parameter, read(name, f"sa{escaped}"), read(name, f"eb{escaped}"))
    if operator in _TEXT or (parameter.type == "string" and operator in {"eq", "ne"}):
        parts = [parameters.by_name[part] for part in parameter.parts] or [parameter]
        return any_of(_text(part, operator, value) for part in parts)
    if parameter.type in _ORDERED:
        return read(name, f"{operator}{escaped}")
    if operator not in {"eq", "ne"}:
        raise malformed(f"'{operator}' can't compare '{name}', which is a {parameter.type}")
    found = read(name, escaped)
    return found if operator == "eq" else _different(found, read(f"{name}:missing", "false"))


def _parameter(name: str, parameters: TypeParameters) -> Parameter:
    if ":" in name or name.startswith("_has"):
        raise malformed(f"'{name}' is no parameter; modifiers are operators here")
    parameter = parameters.by_name.get(name)
    if parameter is None or not parameter.searchable:
        hint = parameters.closest(name)
        raise malformed(
            f"{parameters.resource} has no search parameter '{name}'"
            + (f"; did you mean '{hint}'?" if hint else "")
        )
    return parameter


def _overlapping(parameter: Parameter, after: Expression, before: Expression) -> Expression:
    """Return the values that share a moment with the given one: neither after it, nor before it."""
    if parameter.type != "date" or not isinstance(after, Within) or not isinstance(before, Within):
        raise malformed(f"'po' is for dates, and '{parameter.name}' is none")
    [(member_low, _, last)], [(member_high, _, first)] = after.alternatives[0], before.alternatives[0]
    tests = ((member_low, "$lt", last), (member_high, "$gt", first))
    return Within(after.field, after.repeats, (tests,))


def _different(equal: Expression, present: Expression) -> Expression:
    """Return the resources with a value that is unequal; not those without one."""
    if isinstance(equal, Equal) and equal.field.startswith("i."):
        return Differs(equal.field, equal.values)
    return all_of([present, Not(equal)])


def _text(parameter: Parameter, operator: str, value: str) -> Expression:
    """Return the comparison of a text: equal, containing, beginning or ending with it."""
    if parameter.type == "token" and parameter.is_stored:
        return _code(parameter.field, operator, literal(value))
    if parameter.type not in {"string", "uri"} or not parameter.is_stored:
        raise malformed(f"'{operator}' is for strings, tokens and URIs, and '{parameter.name}' is none")
    entry = fold(value) if parameter.type == "string" else value
    if operator == "co":
        return Pattern(parameter.field, literal(entry))
    if operator == "ew":
        return Pattern(parameter.field, f"{literal(entry)}$")
    whole = f"x.{parameter.name}-whole"
    on_whole, on_entry = (
        starting_with(place, entry) if operator == "sw" else Equal(place, (entry,))
        for place in (whole, parameter.field)
    )
    # Names are also indexed by their last words; a comparison of the whole text does not find those.
    found = (
        all_of([on_entry, any_of([on_whole, Not(Exists(whole))])]) if parameter.type == "string" else on_entry
    )
    return found if operator != "ne" else all_of([Exists(parameter.field), Not(found)])


def _code(field: str, operator: str, text: str) -> Expression:
    """Return the comparison of a token's code or value, whatever its system, without regard to case."""
    patterns = {"co": rf"{text}.*\|[^\x7c]*$", "sw": f"^{text}", "ew": rf"{text}\|[^\x7c]*$"}
    return Pattern(field, f"(?i){patterns[operator]}")
