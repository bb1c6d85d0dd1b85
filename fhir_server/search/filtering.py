"""``_filter``: one expression with and, or, not and parentheses, over the same parameters as the query itself.

It is compiled to the nodes that the clauses of a query give: most operators are a modifier or a prefix.
https://hl7.org/fhir/R4/search_filter.html
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field

from fhir_server.outcome import FhirError, error
from fhir_server.search.expression import (
    Differs,
    Equal,
    Exists,
    Expression,
    Not,
    Pattern,
    Within,
    all_of,
    any_of,
)
from fhir_server.search.parameters import Context
from fhir_server.search.parameters.string import fold, literal, starting_with
from fhir_server.search.registry import Parameter, TypeParameters

Clause = Callable[[str, str, TypeParameters, Context], Expression | None]
"""Reads one pair: the function that reads the whole query's clauses."""

#: Deepest nesting of parentheses, and most comparisons.
_DEEPEST = 10
_MOST_COMPARISONS = 50

_TOKEN = re.compile(
    r"""\s*(?:(?P<open>\()|(?P<close>\))|(?P<text>"(?:[^"\\]|\\.)*")|(?P<bracket>[\[\]])|(?P<word>[^\s()"\[\]]+))"""
)

#: Operators that are a prefix of the value (ordered types), and those that are a modifier of the parameter.
_PREFIXES = frozenset({"eq", "ne", "gt", "lt", "ge", "le", "sa", "eb", "ap"})
_MODIFIERS = {"ss": "above", "sb": "below", "in": "in", "ni": "not-in"}
_TEXT = frozenset({"co", "sw", "ew"})
_OPERATORS = _PREFIXES | _MODIFIERS.keys() | _TEXT | {"pr", "po", "re"}
_ORDERED = frozenset({"date", "number", "quantity"})


def read_filter(text: str, parameters: TypeParameters, context: Context, clause: Clause) -> Expression:
    """Return the expression of a ``_filter``; raises FhirError 400 for what can't be read."""
    reader = _Reader(_tokens(text), parameters, context, clause)
    found = reader.logical(0)
    if reader.position < len(reader.tokens):
        raise _malformed(
            f"'{reader.tokens[reader.position][1]}' is left over; join comparisons with 'and' or 'or'"
        )
    return found


def _malformed(reason: str) -> FhirError:
    return error("invalid", f"Parameter '_filter': {reason}.", status=400)


def _tokens(text: str) -> list[tuple[str, str]]:
    found, position = [], 0
    text = text.rstrip()
    while position < len(text):
        match = _TOKEN.match(text, position)
        if match is None:
            raise _malformed(f"'{text[position:].strip()[:30]}' can't be read")
        kind = match.lastgroup or ""
        found.append((kind, match[kind]))
        position = match.end()
    return found


@dataclass
class _Reader:
    tokens: list[tuple[str, str]]
    parameters: TypeParameters
    context: Context
    clause: Clause
    position: int = 0
    comparisons: int = field(default=0)

    def _next(self, expected: str) -> tuple[str, str]:
        if self.position >= len(self.tokens):
            raise _malformed(f"it ends where {expected} should be")
        self.position += 1
        return self.tokens[self.position - 1]

    def _word(self) -> str:
        if self.position < len(self.tokens) and self.tokens[self.position][0] == "word":
            return self.tokens[self.position][1]
        return ""

    def logical(self, depth: int) -> Expression:
        """Read comparisons joined by and, or: from left to right, without precedence, as R4 says."""
        if depth > _DEEPEST:
            raise error("too-costly", f"Parameter '_filter' is nested more than {_DEEPEST} deep.", status=400)
        found = self._single(depth)
        while self._word() in {"and", "or"}:
            self.position += 1
            join = all_of if self.tokens[self.position - 1][1] == "and" else any_of
            found = join([found, self._single(depth)])
        return found

    def _single(self, depth: int) -> Expression:
        kind, text = self._next("a comparison")
        if kind == "open":
            return self._closed(depth)
        if kind != "word":
            raise _malformed(f"a comparison can't begin with '{text}'")
        if text == "not" and self.position < len(self.tokens) and self.tokens[self.position][0] == "open":
            self.position += 1
            return Not(self._closed(depth))
        return self._comparison(text)

    def _closed(self, depth: int) -> Expression:
        found = self.logical(depth + 1)
        if self._next("')'")[0] != "close":
            raise _malformed("a ')' is missing")
        return found

    def _comparison(self, name: str) -> Expression:
        self.comparisons += 1
        if self.comparisons > _MOST_COMPARISONS:
            raise error(
                "too-costly",
                f"Parameter '_filter' has more than {_MOST_COMPARISONS} comparisons.",
                status=400,
            )
        kind, operator = self._next("an operator")
        if kind == "bracket":
            raise error(
                "not-supported",
                f"Parameter '_filter': '{name}[...]', a filter inside an element, is not supported; "
                "use a composite parameter.",
                status=400,
            )
        if kind != "word" or operator not in _OPERATORS:
            raise _malformed(f"'{operator}' is no operator; there are {', '.join(sorted(_OPERATORS))}")
        kind, value = self._next("a value")
        if kind not in {"word", "text"}:
            raise _malformed(f"'{value}' is no value")
        if kind == "text":
            value = _unquoted(value)
        return self._compared(name, operator, value, is_text=kind == "text")

    def _compared(self, name: str, operator: str, value: str, *, is_text: bool) -> Expression:
        parameter = self._parameter(name)
        if operator == "pr":
            if value not in {"true", "false"}:
                raise _malformed(f"'{name} pr' takes true or false, not '{value}'")
            return self._clause(f"{name}:missing", "false" if value == "true" else "true")
        # In words, a comma or a dollar is part of the value; a bar divides system and code.
        escaped = value.replace("\\", "\\\\").replace(",", "\\,").replace("$", "\\$")
        if is_text:
            escaped = escaped.replace("|", "\\|")
        if operator in _MODIFIERS:
            return self._clause(f"{name}:{_MODIFIERS[operator]}", escaped)
        if operator == "re":
            if parameter.type != "reference":
                raise _malformed(f"'re' is for references, and '{name}' is a {parameter.type}")
            return self._clause(name, escaped)
        if operator == "po":
            return self._overlapping(name, parameter, escaped)
        if operator in _TEXT or (parameter.type == "string" and operator in {"eq", "ne"}):
            return _text(name, parameter, operator, value)
        if parameter.type in _ORDERED:
            return self._clause(name, f"{operator}{escaped}")
        if operator not in {"eq", "ne"}:
            raise _malformed(f"'{operator}' can't compare '{name}', which is a {parameter.type}")
        found = self._clause(name, escaped)
        return found if operator == "eq" else _different(found, self._clause(f"{name}:missing", "false"))

    def _parameter(self, name: str) -> Parameter:
        """Return the parameter that a path ends with; a chain is read by the clause, its end as a token."""
        if ":" in name or name.startswith("_has"):
            raise _malformed(f"'{name}' is no parameter; modifiers are operators here")
        parameter = self.parameters.by_name.get(name)
        if parameter is not None and parameter.searchable:
            return parameter
        if "." in name:
            first, *middle, last = name.split(".")
            return self._at_end(self.parameters, (first, *middle), last)
        hint = self.parameters.closest(name)
        raise _malformed(
            f"{self.parameters.resource} has no search parameter '{name}'"
            + (f"; did you mean '{hint}'?" if hint else "")
        )

    def _at_end(self, known: TypeParameters, path: tuple[str, ...], last: str) -> Parameter:
        """Return the parameter at the end of a chain, found on the first type that has it."""
        registry = self.context.registry
        places = [known]
        for name in path:
            step = [place.by_name[name] for place in places if name in place.by_name]
            places = [registry.parameters(t) for parameter in step for t in parameter.targets]
        for place in places:
            if last in place.by_name and place.by_name[last].searchable:
                return place.by_name[last]
        raise _malformed(f"'{'.'.join((*path, last))}' leads to no search parameter")

    def _clause(self, name: str, value: str) -> Expression:
        found = self.clause(name, value, self.parameters, self.context)
        assert found is not None, "the parameter is known"
        return found

    def _overlapping(self, name: str, parameter: Parameter, value: str) -> Expression:
        """Return the values that share a moment with the given one: neither after it, nor before it."""
        if parameter.type != "date" or "." in name:
            raise _malformed(f"'po' is for dates of the resource itself, and '{name}' is none")
        after, before = self._clause(name, f"sa{value}"), self._clause(name, f"eb{value}")
        if not isinstance(after, Within) or not isinstance(before, Within):
            raise _malformed(f"'po' can't be used with '{name}'")
        [(member_low, _, last)], [(member_high, _, first)] = after.alternatives[0], before.alternatives[0]
        tests = ((member_low, "$lt", last), (member_high, "$gt", first))
        return Within(after.field, after.repeats, (tests,))


def _unquoted(text: str) -> str:
    try:
        found: str = json.loads(text)
    except ValueError:
        raise _malformed(f"{text} is no JSON string") from None
    return found


def _different(equal: Expression, present: Expression) -> Expression:
    """Return the resources with a value that is unequal; not those without one."""
    if isinstance(equal, Equal) and equal.field.startswith("i."):
        return Differs(equal.field, equal.values)
    return all_of([present, Not(equal)])


def _text(name: str, parameter: Parameter, operator: str, value: str) -> Expression:
    """Return the comparison of a text: equal, containing, beginning or ending with it; folded but for URIs."""
    if parameter.type not in {"string", "uri"} or "." in name:
        raise _malformed(f"'{operator}' is for strings and URIs of the resource itself, and '{name}' is none")
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
