"""Index entries of resources inside a resource: for chains that lead into them, and for ``_contained``.

R4: "A chained condition will be evaluated inside contained resources." Each contained resource leaves its own entries
in the container, as a sub-document of ``i._inside`` with its type ``t``, its id and the reference parameters ``r`` that
lead to it. Markers in ``i._contained`` find the containers: ``:<Type>``, and ``<parameter>:<Type>``. Resources inside a
Bundle that are parameters of it are found by chains, too. https://hl7.org/fhir/R4/search.html#contained
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any

from fhir_server.fhirpath import compile_extraction
from fhir_server.search.combining import Never, all_of
from fhir_server.search.entries import IndexEntries
from fhir_server.search.expression import Elements, Equal, Expression
from fhir_server.search.paths import values_at
from fhir_server.search.registry import Registry
from fhir_server.search.search_parameter import Parameter

Entries = Callable[[dict[str, Any], str], IndexEntries]

#: The markers, and the sub-documents.
MARKERS = "i._contained"
INSIDE = "i._inside"


def holding(type_: str, inner: Expression, parameter: str = "") -> Expression:
    """Return the resources with a match of ``inner`` inside, of a type, where a reference parameter leads ("": any)."""
    if isinstance(inner, Never):
        return inner
    leads = [Equal("r", (parameter,))] if parameter else []
    element = Elements(INSIDE, all_of([Equal("t", (type_,)), *leads, inner]))
    return all_of([Equal(MARKERS, (f"{parameter}:{type_}",)), element])


def matching(type_: str, inner: Expression, entries: dict[str, Any]) -> list[str]:
    """Return the ids of the contained resources of a type that match, from the ``i`` of their container."""
    return [
        one["_id"]
        for one in entries.get("_inside", ())
        if one["t"] == type_ and "_id" in one and inner.matches(one)
    ]


def add_contained(
    entries: IndexEntries, resource: dict[str, Any], base: str, registry: Registry, entries_of: Entries
) -> None:
    """Add the entries of contained resources to those of their container; ``entries_of`` makes them."""
    contained = resource.get("contained", ())
    by_reference = {f"#{one.get('id')}": one for one in contained}
    made = {id(one): _element(one, entries_of(one, base), one.get("id")) for one in contained}
    markers = dict.fromkeys(f":{one['resourceType']}" for one in contained)
    for parameter in registry.parameters(resource["resourceType"]).by_name.values():
        if parameter.type != "reference" or not parameter.searchable:
            continue
        for value in _values(parameter, resource, registry):
            inner = by_reference.get(value.get("reference", "")) if "resourceType" not in value else value
            if inner is None or not _may_hold(parameter, inner.get("resourceType", ""), registry):
                continue
            if id(inner) not in made:
                made[id(inner)] = _element(inner, entries_of(inner, base))
            leads = made[id(inner)].setdefault("r", [])
            if parameter.name not in leads:
                leads.append(parameter.name)
            markers[f"{parameter.name}:{inner['resourceType']}"] = None
    if made:
        entries.values["_inside"] = list(made.values())
        entries.values["_contained"] = list(markers)


def _may_hold(parameter: Parameter, type_: str, registry: Registry) -> bool:
    if parameter.targets:
        return type_ in parameter.targets
    return type_ in registry.types.resource_type_names


def _element(inner: dict[str, Any], entries: IndexEntries, id_: str | None = None) -> dict[str, Any]:
    """Return the sub-document of a resource: like a stored document, with its type; with its id if it is contained."""
    made: dict[str, Any] = {"t": inner["resourceType"], "i": entries.values, "x": entries.raw}
    if id_ is not None:
        made["_id"] = id_
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
