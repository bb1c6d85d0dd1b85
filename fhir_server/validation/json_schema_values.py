"""Fixed values, patterns, limits and bindings as JSON Schema.

https://hl7.org/fhir/R4/elementdefinition-definitions.html#ElementDefinition.fixed_x_
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from fhir_server.validation.protocols import CodeSets
from fhir_server.validation.schema import Facets

Schema = dict[str, Any]

#: Concepts of a value set that are listed at most.
MAX_CODES = 1500
_CODES = {"code", "string", "uri"}


def both(*parts: Schema | None) -> Schema:
    """Return what demands all parts."""
    given = [part for part in parts if part]
    return given[0] if len(given) == 1 else {"allOf": given} if given else {}


def constant(value: Any) -> Schema:
    """Return the schema of a fixed value."""
    return {"const": _plain(value)}


def pattern(value: Any) -> Schema:
    """Return the schema of what holds at least a pattern."""
    if isinstance(value, dict):
        return {
            "type": "object",
            "required": sorted(value),
            "properties": {key: pattern(inner) for key, inner in value.items()},
        }
    if isinstance(value, list):
        return {"type": "array", "allOf": [{"contains": pattern(inner)} for inner in value]}
    return constant(value)


def _plain(value: Any) -> Any:
    """Return a value with numbers that every JSON writer can write."""
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_plain(inner) for inner in value]
    if isinstance(value, Decimal):
        return int(value) if value == int(value) else float(value)
    return value


def facets(given: Facets | None) -> Schema:
    """Return what a profile demands of a value itself; limits of dates and quantities can't be said."""
    if given is None:
        return {}
    parts: list[Schema] = []
    if given.fixed is not None:
        parts.append(constant(given.fixed[0]))
    if given.pattern is not None:
        parts.append(pattern(given.pattern[0]))
    if given.max_length:
        parts.append({"maxLength": given.max_length})
    for name, limit in (("minimum", given.minimum), ("maximum", given.maximum)):
        if limit is not None and isinstance(limit[0], int | float | Decimal) and type(limit[0]) is not bool:
            parts.append({name: _plain(limit[0])})
    return both(*parts)


def member(code_sets: CodeSets, url: str, type_code: str) -> Schema:
    """Return what a value of a coded type must be to be in a value set; {} if its codes can't be listed."""
    code_set = code_sets.codes(url) if url else None
    if code_set is None or not code_set.codes:
        return {}
    if type_code in _CODES:
        return {"enum": sorted(code_set.codes)}
    pairs: frozenset[tuple[str, str]] = getattr(code_set, "concepts", frozenset())
    if not pairs or len(pairs) > MAX_CODES:
        return {}
    codes: dict[str, list[str]] = {}
    for system, code in sorted(pairs):
        codes.setdefault(system, []).append(code)
    coding: Schema = {
        "anyOf": [
            {
                "required": ["system", "code"],
                "properties": {"system": {"const": system}, "code": {"enum": listed}},
            }
            for system, listed in codes.items()
        ]
    }
    if type_code in {"Coding", "Quantity"}:
        return coding
    if type_code == "CodeableConcept":
        return {"required": ["coding"], "properties": {"coding": {"contains": coding}}}
    return {}


def bound(code_sets: CodeSets, url: str, type_code: str) -> Schema:
    """Return what a required binding demands; a concept that has nothing but extensions is left alone."""
    wanted = member(code_sets, url, type_code)
    if wanted and type_code == "CodeableConcept":
        return {"anyOf": [wanted, {"not": {"anyOf": [{"required": ["coding"]}, {"required": ["text"]}]}}]}
    return wanted
