"""$meta, $meta-add, $meta-delete: profiles, tags and security labels of a resource, apart from its content.

https://hl7.org/fhir/R4/resource-operation-meta.html (also -meta-add, -meta-delete).
Adding and deleting make no new version, as R4 says: versionId, lastUpdated and the ETag stay. At the level of type and
system $meta tells all profiles, tags and labels in use.
"""

from __future__ import annotations

import asyncio
from typing import Any

from fhir_server.datatypes.json_format import decode, encode
from fhir_server.interactions.exchange import FhirRequest, FhirResponse, Server, Target
from fhir_server.interactions.read import current as current_of
from fhir_server.interactions.steps.assess import assess
from fhir_server.interactions.steps.guard import secured
from fhir_server.interactions.steps.preconditions import check_preconditions
from fhir_server.interactions.steps.prepare import stamped
from fhir_server.interactions.steps.subsetting import is_subsetted
from fhir_server.interactions.update import ATTEMPTS, too_often
from fhir_server.interactions.vread import version_of
from fhir_server.outcome import error
from fhir_server.search import decode_pairs
from fhir_server.store.documents import Change, VersionConflict

_LISTS = ("profile", "security", "tag")
_SHAPING = ("_format", "_pretty")
#: Resources of one type that are looked into for the labels in use.
_MOST = 1000


async def meta(server: Server, request: FhirRequest, target: Target) -> FhirResponse:
    """Return 200 with the meta of a resource or of one of its versions, or with the labels of a type or the system."""
    _check_query(request)
    if request.body:
        _inputs(server, request, ())
    if not target.id:
        return _answer(await _in_use(server, request, target.type))
    stored = await (version_of if target.version else current_of)(server, request, target)
    return _answer(decode(stored.body).get("meta", {}))


async def _in_use(server: Server, request: FhirRequest, type_: str) -> dict[str, Any]:
    """Return the profiles, tags and labels of the resources that the caller may see; raise FhirError if too many."""
    known: dict[str, dict[Any, Any]] = {name: {} for name in _LISTS}
    present = await server.store.types()
    for name in (type_,) if type_ in present else () if type_ else present:
        ids = await server.store.label_holders(name, request.access, _MOST + 1)
        if len(ids) > _MOST:
            raise error(
                "too-costly", f"More than {_MOST} {name} have labels of their own; $meta can't list them."
            )
        for stored in await asyncio.gather(*(server.store.read(name, id_, request.access) for id_ in ids)):
            found = decode(stored.body)["meta"] if stored is not None and not stored.is_deleted else {}
            for list_ in _LISTS:
                for item in found.get(list_, ()):
                    known[list_].setdefault(_identity(item), item)
    return {
        name: [items[key] for key in sorted(items, key=lambda key: [part or "" for part in _parts(key)])]
        for name, items in known.items()
        if items
    }


def _parts(identity: Any) -> tuple[str | None, ...]:
    return identity if isinstance(identity, tuple) else (identity,)


async def meta_add(server: Server, request: FhirRequest, target: Target) -> FhirResponse:
    """Return 200 with the meta after the profiles, tags and labels were added that were not there."""
    return await _change(server, request, target, is_addition=True)


async def meta_delete(server: Server, request: FhirRequest, target: Target) -> FhirResponse:
    """Return 200 with the meta after the profiles, tags and labels were taken out."""
    return await _change(server, request, target, is_addition=False)


async def _change(server: Server, request: FhirRequest, target: Target, *, is_addition: bool) -> FhirResponse:
    _check_query(request)
    [given] = _inputs(server, request, ("meta",))
    if given.keys() - set(_LISTS):
        raise error("value", f"The parameter meta takes {', '.join(_LISTS)}; the rest is the server's.")
    async with server.store.lock(target.type, target.id):
        for _ in range(ATTEMPTS):
            current = await current_of(server, request, target, "u")
            check_preconditions(request.headers, current)
            resource = decode(current.body)
            before = resource["meta"]
            after = _added(before, given) if is_addition else _lessened(before, given)
            if after == before:
                return _answer(before)
            resource["meta"] = after
            # Judged with its large content, stored with what stands for it.
            assess(server, {**decode(await server.store.contents.filled(current)), "meta": after})
            if is_subsetted(resource):
                raise error(
                    "business-rule", "A resource can't be tagged SUBSETTED: parts of it would be missing."
                )
            body = stamped(resource, current.type, current.id, current.version, current.last_updated)
            entries = server.indexer.entries(resource, request.base)
            change = Change(
                current.method,
                current.type,
                current.id,
                current.version - 1,
                current.last_updated,
                body,
                entries,
                replaces=current,
                security=secured(request, resource, entries, current, labels_only=True),
            )
            try:
                await server.store.relabel(change)
            except VersionConflict:
                continue
            return _answer(after)
    raise too_often(target.type)


def _check_query(request: FhirRequest) -> None:
    if any(name not in _SHAPING for name, _ in decode_pairs(request.query)):
        raise error("not-supported", "This operation takes no parameters in its address.")


def _inputs(server: Server, request: FhirRequest, names: tuple[str, ...]) -> list[dict[str, Any]]:
    """Return the Meta of each named input; raise FhirError 400 unless the body has these and no others."""
    parameters = decode(request.body)
    if parameters.get("resourceType") != "Parameters":
        raise error("structure", "The body of an operation is a Parameters resource.")
    assess(server, parameters)
    rows = parameters.get("parameter", [])
    if sorted(row["name"] for row in rows) != sorted(names) or any("valueMeta" not in row for row in rows):
        wanted = 'one parameter "meta" with a valueMeta' if names else "no parameters"
        raise error("value", f"This operation takes {wanted}.", expression="Parameters.parameter")
    return [row["valueMeta"] for row in rows]


def _identity(item: Any) -> Any:
    """Return what tells one entry of a list from another: a profile's URL, a coding's system and code."""
    return (item.get("system"), item.get("code")) if isinstance(item, dict) else item


def _added(before: dict[str, Any], given: dict[str, Any]) -> dict[str, Any]:
    after = dict(before)
    for name in _LISTS:
        there = list(after.get(name, ()))
        for item in given.get(name, ()):
            if _identity(item) not in map(_identity, there):
                there.append(item)
        if there:
            after[name] = there
    return after


def _lessened(before: dict[str, Any], given: dict[str, Any]) -> dict[str, Any]:
    after = dict(before)
    for name in _LISTS:
        gone = [_identity(item) for item in given.get(name, ())]
        left = [item for item in after.get(name, ()) if _identity(item) not in gone]
        if left:
            after[name] = left
        else:
            after.pop(name, None)
    return after


def _answer(found: dict[str, Any]) -> FhirResponse:
    parameters = {"resourceType": "Parameters", "parameter": [{"name": "return", "valueMeta": found}]}
    return FhirResponse(200, (), (encode(parameters),))
