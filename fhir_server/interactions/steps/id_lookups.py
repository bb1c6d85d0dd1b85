"""Ids that a search asks for: entries of a List, branches of a hierarchy, the type of an id without type.

https://hl7.org/fhir/R4/search.html#reference, https://hl7.org/fhir/R4/search.html#list
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from fhir_server.datatypes.json_format import decode
from fhir_server.interactions.exchange import FhirRequest, Server
from fhir_server.outcome import error
from fhir_server.search import SearchPlan
from fhir_server.search.lookups import ListedResources, RelatedResources, TypesOfId

#: Most resources of a hierarchy, and its most levels.
_MOST_RELATED = 1000
_MOST_LEVELS = 10
#: Most entries of a List that a search looks at.
_MOST_LISTED = 10_000


async def types_of_id(server: Server, request: FhirRequest, question: TypesOfId) -> tuple[str, ...]:
    """Return the type of which the id exists; FhirError 400 when there are several (R4: SHOULD reject)."""
    rows = await asyncio.gather(
        *(server.store.read(type_, question.id, request.access) for type_ in question.types)
    )
    found = tuple(row.type for row in rows if row is not None and not row.is_deleted)
    if len(found) > 1:
        raise error(
            "multiple-matches",
            f"Parameter '{question.parameter}': the id '{question.id}' exists as {' and as '.join(found)}; "
            f"write the type too, for example '{found[0]}/{question.id}'.",
            status=400,
        )
    return found


async def listed(server: Server, request: FhirRequest, question: ListedResources) -> tuple[str, ...]:
    """Return the ids that a List holds and does not mark as deleted; none when there is no such List."""
    row = await server.store.read("List", question.list_id, request.access)
    if row is None or row.is_deleted:
        return ()
    found: dict[str, None] = {}
    for entry in decode(row.body).get("entry", ()):
        reference = entry.get("item", {}).get("reference", "").removeprefix(request.base + "/")
        type_, _, id_ = reference.partition("/_history/")[0].partition("/")
        if type_ == question.type and id_ and entry.get("deleted") is not True:
            found[id_] = None
    if len(found) > _MOST_LISTED:
        raise error(
            "too-costly",
            f"The List has {len(found)} entries; a search takes lists of up to {_MOST_LISTED}.",
            status=400,
        )
    return tuple(found)


async def related(server: Server, request: FhirRequest, question: RelatedResources) -> tuple[str, ...]:
    """Return the ids above or below a resource, level by level, its own first."""
    found = dict.fromkeys([question.id])
    level: Sequence[str] = [question.id]
    for _ in range(_MOST_LEVELS):
        step = _parents if question.direction == "above" else _children
        level = [id_ for id_ in await step(server, request, question, level) if id_ not in found]
        found.update(dict.fromkeys(level))
        if len(found) > _MOST_RELATED:
            break
        if not level:
            return tuple(found)
    raise error(
        "too-costly",
        f"There are more than {_MOST_RELATED} resources or {_MOST_LEVELS} levels {question.direction} "
        f"{question.type}/{question.id}; name one that is nearer.",
        status=400,
    )


async def _children(
    server: Server, request: FhirRequest, question: RelatedResources, level: Sequence[str]
) -> list[str]:
    field = f"i.{question.parent}"
    wanted = {field: {"$in": [f"{question.type}/{id_}" for id_ in level]}}
    plan = SearchPlan(question.type, wanted, hint=question.parent, limit=_MOST_RELATED + 1, keys_only=True)
    return [row.id for row in (await server.store.search(plan, request.access)).rows]


async def _parents(
    server: Server, request: FhirRequest, question: RelatedResources, level: Sequence[str]
) -> list[str]:
    plan = SearchPlan(
        question.type,
        {"_id": {"$in": list(level)}},
        hint="_id_",
        projection=("i",),
        keys_only=True,
    )
    found = []
    for row in (await server.store.search(plan, request.access)).rows:
        value = row.fields["i"].get(question.parent, ())
        for reference in [value] if isinstance(value, str) else value:
            type_, _, id_ = reference.partition("/")
            if type_ == question.type:
                found.append(id_)
    return found
