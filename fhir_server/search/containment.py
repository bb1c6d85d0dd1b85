"""Index entries of resources inside a resource, for chains: what is contained has no other place to be found.

R4: "A chained condition will be evaluated inside contained resources." Each contained resource that a reference
parameter points to leaves its own entries in the container, ``i.<parameter>-contained``, and a marker
``<parameter>:<Type>`` in ``i._contained``. The same holds for resources inside a Bundle that are parameters of it.
https://hl7.org/fhir/R4/search.html#contained
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any

from fhir_server.fhirpath import compile_extraction
from fhir_server.search.entries import IndexEntries
from fhir_server.search.paths import values_at
from fhir_server.search.registry import Parameter, Registry

Entries = Callable[[dict[str, Any], str], IndexEntries]


def add_contained(
    entries: IndexEntries, resource: dict[str, Any], base: str, registry: Registry, entries_of: Entries
) -> None:
    """Add the entries of contained resources to those of their container; ``entries_of`` makes them."""
    by_reference = {f"#{one.get('id')}": one for one in resource.get("contained", ())}
    made: dict[int, dict[str, Any]] = {}
    markers: dict[str, None] = {}
    known = registry.parameters(resource["resourceType"])
    for parameter in known.by_name.values():
        if parameter.type != "reference" or not parameter.searchable:
            continue
        found: dict[int, dict[str, Any]] = {}
        for value in _values(parameter, resource, registry):
            inner = by_reference.get(value.get("reference", "")) if "resourceType" not in value else value
            if inner is None or not _may_hold(parameter, inner.get("resourceType", ""), registry):
                continue
            if id(inner) not in made:
                made[id(inner)] = _element(inner, entries_of(inner, base))
            found[id(inner)] = made[id(inner)]
            markers[f"{parameter.name}:{inner['resourceType']}"] = None
        if found:
            entries.values[f"{parameter.name}-contained"] = list(found.values())
    if markers:
        entries.values["_contained"] = list(markers)


def _may_hold(parameter: Parameter, type_: str, registry: Registry) -> bool:
    if parameter.targets:
        return type_ in parameter.targets
    return type_ in registry.types.resource_type_names


def _element(inner: dict[str, Any], entries: IndexEntries) -> dict[str, Any]:
    """Return the sub-document of a contained resource: like a stored document, with its type and without id."""
    made: dict[str, Any] = {"t": inner["resourceType"], "i": entries.values, "x": entries.raw}
    if entries.patient is not None and inner["resourceType"] != "Patient":
        made["p"] = entries.patient
    return made


def _values(parameter: Parameter, resource: dict[str, Any], registry: Registry) -> Iterator[dict[str, Any]]:
    """Yield the references of a parameter, and the resources that it has in place of references."""
    if parameter.branches:
        for branch in parameter.branches:
            for value in values_at(branch, resource):
                if isinstance(value, dict):
                    yield value
    elif parameter.expression:
        for _, value in _evaluation(registry, parameter.expression, resource["resourceType"])(resource):
            if isinstance(value, dict):
                yield value


@lru_cache(maxsize=256)
def _evaluation(
    registry: Registry, expression: str, type_: str
) -> Callable[[dict[str, Any]], list[tuple[str, Any]]]:
    return compile_extraction(expression, type_, registry.types)
