"""Search parameters of a server's own: what a stored SearchParameter must be, and how it takes effect.

https://hl7.org/fhir/R4/searchparameter.html
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from hashlib import sha256
from json import dumps
from typing import Any

from fhir_server.fhirpath import FhirPathError, compile_extraction
from fhir_server.search.choosing import forget as forget_plans
from fhir_server.search.indexing import Indexer
from fhir_server.search.parameters import TYPES
from fhir_server.search.paths import branches
from fhir_server.search.registry import SEARCHABLE_TYPES, Registry
from fhir_server.search.search_parameter import Custom

_CODE = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,63}")
_TYPES = SEARCHABLE_TYPES - {"special"}
#: What index entries depend on.
_DECISIVE = ("code", "base", "type", "expression", "target", "component")


def customize(registry: Registry, indexer: Indexer, customs: Sequence[Custom]) -> None:
    """Make these the parameters of this server's own; entries and plans follow them from now on."""
    registry.customize(customs)
    indexer.forget()
    forget_plans()


def digest(definition: Mapping[str, Any]) -> str:
    """Return a text that changes when a definition needs other index entries."""
    return sha256(dumps([definition.get(name) for name in _DECISIVE]).encode()).hexdigest()[:16]


def is_effective(definition: Mapping[str, Any], registry: Registry) -> bool:
    """Tell whether a stored SearchParameter is to take effect: active, and none of the package's own."""
    return definition.get("status") == "active" and not registry.is_core(definition.get("url", ""))


def concerned(definition: Mapping[str, Any], registry: Registry) -> tuple[str, ...]:
    """Return the resource types that a definition adds a parameter to."""
    found: dict[str, None] = {}
    for base in definition.get("base", ()):
        if base == "Resource":
            found.update(dict.fromkeys(registry.types.resource_types))
        elif base == "DomainResource":
            found.update(
                dict.fromkeys(t for t in registry.types.resource_types if registry.types.is_subtype(t, base))
            )
        elif base in registry.types.resource_types:
            found[base] = None
    return tuple(found)


def defects(definition: Mapping[str, Any], registry: Registry) -> Iterable[tuple[str, str]]:
    """Yield what hinders an effective definition, as (element, sentence)."""
    code, type_ = definition.get("code", ""), definition.get("type", "")
    expression = definition.get("expression", "")
    types = concerned(definition, registry)
    if not _CODE.fullmatch(code):
        yield (
            "code",
            f"'{code}' can't be the name of a parameter: letters, digits, '-' and '_', a letter first.",
        )
    if type_ not in _TYPES:
        yield "type", f"Parameters of type '{type_}' can't be added; there are {', '.join(sorted(_TYPES))}."
    if not types:
        yield "base", "None of the bases is a resource type."
    taken = next(((t, p) for t in types if (p := registry.parameters(t).by_name.get(code))), None)
    if taken and taken[1].url != definition.get("url"):
        yield "code", f"{taken[0]} has a parameter '{code}' already, {taken[1].url}."
    if type_ == "composite":
        if not definition.get("component"):
            yield "component", "A composite needs components."
    elif not expression:
        yield "expression", "Without an expression nothing can be indexed."
    elif type_ in _TYPES:
        reason = _unreadable(expression, type_, types, registry)
        if reason:
            yield "expression", reason


def _unreadable(expression: str, type_: str, types: Sequence[str], registry: Registry) -> str:
    """Return why an expression gives no entries for any of the types, "" when it does."""
    found: set[str] = set()
    for resource in types:
        paths = branches(expression, resource, registry.types)
        if paths is None:
            try:
                compile_extraction(expression, resource, registry.types)
            except FhirPathError as problem:
                return f"The expression can't be used: {problem}"
            return ""
        found |= {branch.type for branch in paths}
    if not found:
        return "The expression leads to no element of the bases."
    known = registry.parameters(types[0]).by_name["_id"]
    if not any(TYPES[type_].convert(name, "", known, registry) for name in found):
        return f"Values of type {', '.join(sorted(found))} can't be searched as {type_}."
    return ""
