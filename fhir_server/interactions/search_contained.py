"""Search for contained resources: ``_contained=true`` (they alone) and ``both``.

The matches are the resources that contain them, of whatever type, or with ``_containedType=contained`` the contained
resources themselves; their ``fullUrl`` is that of the container with a fragment. Newest container first. The matches of
one container stay together on a page. https://hl7.org/fhir/R4/search.html#contained
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace

from fhir_server.datatypes.json_format import decode, encode
from fhir_server.interactions.exchange import FhirRequest, FhirResponse, Server
from fhir_server.interactions.steps.asking import Asked
from fhir_server.interactions.steps.explaining import Explanations
from fhir_server.interactions.steps.lookups import answered
from fhir_server.interactions.steps.merging import Shown, merged
from fhir_server.outcome import error
from fhir_server.search import SearchQuery, count_plan
from fhir_server.search.combining import any_of
from fhir_server.search.containment import holding, matching
from fhir_server.store.documents import Stored

#: Most containers of a type whose matches are counted.
_MOST_COUNTED = 10_000


async def search_contained(
    server: Server, request: FhirRequest, wanted: Asked, query: SearchQuery, explanations: Explanations
) -> FhirResponse:
    """Return 200 with the containers of matches of the query, or with the matches themselves."""
    shape = query.results
    are_parts = shape.contained_type == "contained"
    if are_parts and shape.includes:
        raise error(
            "not-supported",
            "'_containedType=contained' can't be used with includes: only containers have references of their own.",
            status=400,
        )
    query = await answered(server, request, query)
    inside = holding(query.type, query.expression)
    own = any_of([query.expression, inside]) if shape.contained == "both" else inside
    types = dict.fromkeys([query.type, *await server.store.types()])
    queries = [
        replace(query, type=type_, expression=own if type_ == query.type else inside) for type_ in types
    ]

    def show(rows: Sequence[Stored]) -> Shown:
        places: list[Stored] = []
        parts: list[Stored] = []
        taken = 0
        for row in rows:
            found = _matches(row, query)
            if places and len(places) + len(found) > shape.count:
                break
            places += [replace(row, id=f"{row.id}#{part.id}") if part is not row else row for part in found]
            parts += found
            taken += 1
        return Shown(places, parts, taken)

    async def count(asked: Sequence[SearchQuery]) -> int | None:
        if not shape.count_only and shape.total == "none":
            return None
        return sum(await asyncio.gather(*(_number(server, request, one, query) for one in asked)))

    shaped = (show, count) if are_parts else (None, None)
    return await merged(
        server, request, wanted, queries, explanations=explanations, show=shaped[0], count=shaped[1]
    )


async def _number(server: Server, request: FhirRequest, holders: SearchQuery, query: SearchQuery) -> int:
    """Return how many resources match in the containers of a type, by their index entries; raises FhirError 422."""
    plan = replace(count_plan(holders, server.registry), limit=_MOST_COUNTED + 1, keys_only=True)
    page = await server.store.search(replace(plan, projection=("i", "x", "p", "cp")), request.access)
    if len(page.rows) > _MOST_COUNTED or page.is_cut:
        raise error(
            "too-costly",
            f"More than {_MOST_COUNTED} resources of type {holders.type} hold a match, too many to be counted. Add a "
            "criterion, or leave out the total.",
        )
    return sum(
        _is_match(row, query) + len(matching(query.type, query.expression, row.fields["i"]))
        for row in page.rows
    )


def _matches(row: Stored, query: SearchQuery) -> list[Stored]:
    """Return the resource itself, if it is asked for and matches, and the matches that it contains."""
    found = [row] if _is_match(row, query) else []
    ids = matching(query.type, query.expression, row.fields["i"])
    by_id = {one.get("id"): one for one in decode(row.body).get("contained", ())} if ids else {}
    return [*found, *(replace(row, type=query.type, id=id_, body=encode(by_id[id_])) for id_ in ids)]


def _is_match(row: Stored, query: SearchQuery) -> bool:
    """Tell whether the resource itself is asked for and matches."""
    is_asked = query.results.contained == "both" and row.type == query.type
    return is_asked and query.expression.matches({"_id": row.id, "lu": row.key, **row.fields})
