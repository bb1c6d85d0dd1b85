"""From pairs to a SearchQuery: every clause is read against the registry, or refused.

Strict unless the caller asks for lenience: R4 says that servers should ignore unknown parameters, but a
misspelt one that is ignored returns everybody. https://hl7.org/fhir/R4/search.html#errors
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from fhir_server.outcome import FhirError, Issue, error
from fhir_server.search import result_parameters
from fhir_server.search.chain import chained, has
from fhir_server.search.combining import And, Not, all_of, any_of
from fhir_server.search.expression import Equal, Expression
from fhir_server.search.filtering import read_filter
from fhir_server.search.include import NAMES as INCLUDES
from fhir_server.search.include import Include, read_include
from fhir_server.search.lexing import MAXIMUM_VALUES, split, unescape
from fhir_server.search.lists import listed
from fhir_server.search.parameters import TYPES, Context, full_text
from fhir_server.search.parameters.date import parse_last_updated
from fhir_server.search.parameters.parameter_type import missing_if_not
from fhir_server.search.parameters.reference import hierarchical
from fhir_server.search.registry import Registry
from fhir_server.search.result_parameters import ResultParameters, SortKey
from fhir_server.search.search_parameter import FULL_TEXT, ON_DOCUMENT, Parameter, TypeParameters

#: Parameters of R4 that are known here and not supported, whatever the type, and what to do instead.
_NOT_SUPPORTED = {
    "_query": "this server has no named queries",
    "_type": "it is for searches of the whole system, [base]?_type=...; here the address names the type",
    "_at": "it is for searches and histories",
}


@dataclass(frozen=True, slots=True)
class SearchQuery:
    """One search on one type, read and checked.

    ``expression`` says what must match; ``results`` how the answer shall look. ``self_parameters`` are the
    pairs that were executed, for the self link: criteria sorted by name, then result parameters with the
    page size.
    """

    type: str
    expression: Expression
    results: ResultParameters
    warnings: tuple[Issue, ...]
    self_parameters: tuple[tuple[str, str], ...]

    @property
    def sort(self) -> tuple[SortKey, ...]:
        """The rules of ``_sort``."""
        return self.results.sort


def parse(
    pairs: Sequence[tuple[str, str]],
    type_: str,
    registry: Registry,
    *,
    base: str,
    now: int,
    lenient: bool = False,
) -> SearchQuery:
    """Return the query of decoded pairs on a resource type.

    ``base`` is this server's base URL, ``now`` milliseconds UTC (for the prefix ap). Raises FhirError 400,
    with all issues found, for unknown parameters (unless ``lenient``: they are ignored with a warning), for
    modifiers that the parameter does not have, and for values that can't be read; KeyError for an unknown
    type.
    """
    parameters = registry.parameters(type_)
    context = Context(registry, base, now)
    expressions: list[Expression] = []
    criteria: list[tuple[str, str]] = []
    results: dict[str, list[str]] = {}
    errors: list[Issue] = []
    warnings: list[Issue] = []
    includes: dict[Include, tuple[str, str]] = {}
    for name, value in pairs:
        if not value:
            continue
        if name in result_parameters.NAMES:
            results.setdefault(name, []).append(value)
            continue
        try:
            if name.partition(":")[0] in INCLUDES:
                includes[read_include(name, value, registry)] = (name, value)
                continue
            found = _clause(name, value, parameters, context)
        except FhirError as problem:
            errors += problem.issues
            continue
        if found is not None:
            expressions.append(found)
            criteria.append((name, value))
        elif lenient:
            warnings.append(
                Issue("warning", "not-supported", _unknown(name, parameters) + " It was ignored.")
            )
        else:
            errors.append(Issue("error", "not-supported", _unknown(name, parameters)))
    expression, shape = all_of(expressions), ResultParameters()
    try:
        shape = result_parameters.read(results, parameters, tuple(includes))
        _check_score(shape, expression)
    except FhirError as problem:
        errors += problem.issues
    if errors:
        raise FhirError(*errors, status=400)
    return SearchQuery(
        type_,
        expression,
        shape,
        tuple(warnings),
        (*sorted(criteria), *includes.values(), *_shown(results, shape)),
    )


def _check_score(shape: ResultParameters, expression: Expression) -> None:
    if any(key.name == result_parameters.SCORE for key in shape.sort) and not full_text.terms(expression):
        raise error(
            "invalid",
            "Parameter '_sort': '_score' is the relevance for '_text' or '_content'; there is neither.",
        )


def _shown(results: dict[str, list[str]], shape: ResultParameters) -> list[tuple[str, str]]:
    """Return the result parameters of the self link, with the page size as it is used."""
    values = {name: texts[0] for name, texts in results.items()} | {"_count": str(shape.count)}
    return [(name, values[name]) for name in result_parameters.NAMES if name in values]


def _unknown(name: str, parameters: TypeParameters) -> str:
    base = name.partition(":")[0].partition(".")[0]
    hint = parameters.closest(base)
    return (
        f"{parameters.resource} has no search parameter '{base}'."
        + (f" Did you mean '{hint}'?" if hint else "")
        + f" Known: {', '.join(parameters.names)}."
    )


def _clause(name: str, value: str, parameters: TypeParameters, context: Context) -> Expression | None:
    """Return the expression of one pair, or None when its parameter is unknown."""
    base, _, modifier = name.partition(":")
    if base in _NOT_SUPPORTED:
        text = f"Parameter '{base}' is not supported here: {_NOT_SUPPORTED[base]}."
        raise error("not-supported", text, status=400)
    if name == "_filter":
        return read_filter(value, parameters, context, _clause)
    if name == "_list":
        return listed(value, parameters, context, _clause)
    if base == "_has":
        return has(name, value, parameters, context, _clause)
    if "." in name:
        return chained(name, value, parameters, context, _clause)
    parameter = parameters.by_name.get(base)
    if parameter is None:
        return None
    if parameter.building:
        raise error(
            "not-supported",
            f"Parameter '{base}' of {parameters.resource} is being built: older resources are still being indexed. "
            "SearchParameter/$reindex tells how far it is.",
            status=400,
        )
    if not parameter.searchable:
        reason = "is not supported"
        if parameters.resource in context.registry.without_content and base in FULL_TEXT:
            reason = "is not indexed on this server (setting search.without_content)"
        raise error(
            "not-supported",
            f"Parameter '{base}' of {parameters.resource} ({parameter.type}) {reason}.",
            status=400,
        )
    _check_modifier(parameter, modifier, context.registry)
    values = [text for text in split(value, ",") if text]
    if len(values) > MAXIMUM_VALUES:
        raise error(
            "too-costly",
            f"Parameter '{name}' has {len(values)} values; at most {MAXIMUM_VALUES} are allowed.",
            status=400,
        )
    if not values:
        raise error("invalid", f"Parameter '{name}': '{value}' holds no value.")
    return _expression(parameter, modifier, values, parameters, context)


def _check_modifier(parameter: Parameter, modifier: str, registry: Registry) -> None:
    """Refuse a modifier that the parameter does not have, also in lenient searches (R4: SHALL)."""
    if not modifier:
        return
    allowed = set(TYPES[parameter.type].modifiers)
    if parameter.type == "reference":
        if modifier in registry.types.resource_types:
            if parameter.targets and modifier not in parameter.targets:
                raise error(
                    "not-supported",
                    f"Parameter '{parameter.name}' can't refer to {modifier}; "
                    f"it refers to {', '.join(parameter.targets)}.",
                )
            return
        if parameter.types <= {"canonical", "uri"} or hierarchical(parameter, registry):
            allowed |= {"above", "below"}
    if parameter.name in FULL_TEXT:
        allowed = set()
    elif parameter.name == "_id":
        allowed = {"not", "missing"}
    if modifier not in allowed:
        known = ", ".join(f"':{name}'" for name in sorted(allowed)) or "none"
        raise error(
            "not-supported",
            f"Parameter '{parameter.name}': modifier ':{modifier}' is not supported; supported: {known}.",
        )


def _expression(
    parameter: Parameter, modifier: str, values: list[str], parameters: TypeParameters, context: Context
) -> Expression:
    if modifier == "missing" and parameter.name in ON_DOCUMENT:
        return missing_if_not(parameter, values, And(()))
    if parameter.name in FULL_TEXT:
        return any_of(full_text.parse(parameter.name, unescape(value, parameter.name)) for value in values)
    if parameter.name == "_id":
        found = Equal("_id", tuple(dict.fromkeys(unescape(value, "_id") for value in values)))
        return Not(found) if modifier == "not" else found
    if parameter.name == "_lastUpdated":
        return parse_last_updated(parameter, values, context)
    parse_type = TYPES[parameter.type].parse
    if not parameter.parts:
        return parse_type(parameter, modifier, values, context)
    parts = [parse_type(parameters.by_name[name], modifier, values, context) for name in parameter.parts]
    # A union is missing, or is not a value, only if that holds for each of its parts.
    return (
        all_of(parts)
        if modifier == "not" or (modifier == "missing" and values == ["true"])
        else any_of(parts)
    )
