"""A part of a resource: ``_summary`` and ``_elements``.

https://hl7.org/fhir/R4/search.html#summary, https://hl7.org/fhir/R4/search.html#elements
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from fhir_server.datatypes.json_format import decode, encode
from fhir_server.definitions import TypeInfo, TypeModel
from fhir_server.interactions.exchange import Server
from fhir_server.search.result_parameters import ResultParameters
from fhir_server.store.documents import Stored

SUBSETTED = {
    "system": "http://terminology.hl7.org/CodeSystem/v3-ObservationValue",
    "code": "SUBSETTED",
    "display": "Resource encoded in summary mode",
}

_ALWAYS = ("id", "meta")


def parts_shown(
    server: Server, shape: ResultParameters, rows: Sequence[Stored], includes: Sequence[Stored]
) -> tuple[list[bytes] | None, list[tuple[Stored, bytes]]]:
    """Return what is shown of matches (None: all of them) and of included resources.

    ``_summary`` shortens both, ``_elements`` only matches: its names are those of their type.
    """
    bodies = None
    if shape.summary or shape.elements:
        bodies = [subsetted(server, row, shape.summary, shape.elements) for row in rows]
    if shape.summary:
        return bodies, [(row, subsetted(server, row, shape.summary, ())) for row in includes]
    return bodies, [(row, row.body) for row in includes]


def subsetted(server: Server, stored: Stored, summary: str, elements: Collection[str]) -> bytes:
    """Return the JSON of a part of a resource, tagged SUBSETTED.

    ``summary`` is true, text, data or "" (then ``elements`` names the top-level elements); mandatory elements stay.
    """
    resource = decode(stored.body)
    types = server.definitions.types
    info = types.type(stored.type)
    assert info is not None
    if summary == "true":
        kept = _summary(resource, info, types)
    elif summary == "data":
        kept = {key: value for key, value in resource.items() if key not in ("text", "_text")}
    else:
        wanted = {"text"} if summary == "text" else set(elements)
        kept = {
            key: value
            for key, value in resource.items()
            if key == "resourceType" or _element(key, info) in wanted or _is_mandatory(key, info)
        }
    meta = resource.get("meta", {})  # a contained resource may have none
    meta = {**meta, "tag": [*meta.get("tag", ()), SUBSETTED]}
    return encode({**{k: v for k, v in kept.items() if k == "resourceType"}, "id": stored.id, "meta": meta, **{
        k: v for k, v in kept.items() if k not in ("resourceType", *_ALWAYS)
    }})  # fmt: skip


def is_subsetted(resource: dict[str, Any]) -> bool:
    """Tell whether a resource says of itself that it is incomplete."""
    meta = resource.get("meta")
    tags = meta.get("tag") if isinstance(meta, dict) else None
    return isinstance(tags, list) and any(
        isinstance(tag, dict)
        and tag.get("code") == SUBSETTED["code"]
        and tag.get("system") == SUBSETTED["system"]
        for tag in tags
    )


def _element(key: str, info: TypeInfo) -> str:
    """Return the name of the element behind a JSON property (``value`` for ``_valueString``)."""
    known = info.json_elements.get(key.removeprefix("_"))
    return known[0].name if known else key


def _is_mandatory(key: str, info: TypeInfo) -> bool:
    known = info.json_elements.get(key.removeprefix("_"))
    return known is not None and known[0].minimum > 0


def _summary(holder: dict[str, Any], info: TypeInfo, types: TypeModel) -> dict[str, Any]:
    kept: dict[str, Any] = {}
    for key, value in holder.items():
        known = info.json_elements.get(key.removeprefix("_"))
        if known is None:  # resourceType
            kept[key] = value
            continue
        element, type_ = known
        if element.is_summary or element.minimum > 0:
            inner = types.type(type_)
            kept[key] = _inside(value, inner, types) if inner and inner.kind == "backbone" else value
    return kept


def _inside(value: Any, info: TypeInfo, types: TypeModel) -> Any:
    if isinstance(value, list):
        return [_inside(item, info, types) for item in value]
    return _summary(value, info, types) if isinstance(value, dict) else value
