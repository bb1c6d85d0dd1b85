"""search-type: the resources of one type that match, by GET and by POST to _search.

https://hl7.org/fhir/R4/http.html#search, https://hl7.org/fhir/R4/search.html
"""

from __future__ import annotations

from dataclasses import replace

from fhir_server.interactions.exchange import FhirRequest, FhirResponse, Server, Target
from fhir_server.interactions.search_contained import search_contained
from fhir_server.interactions.steps.asking import (
    Asked,
    Place,
    asked,
    counted,
    links,
    query_of,
    too_slow,
    warnings_of,
)
from fhir_server.interactions.steps.including import FIELDS, included
from fhir_server.interactions.steps.leading import explanation, leading, to_explain
from fhir_server.interactions.steps.lookups import answered
from fhir_server.interactions.steps.moments import at_moment
from fhir_server.interactions.steps.searchset import searchset
from fhir_server.interactions.steps.subsetting import parts_shown
from fhir_server.outcome import Issue
from fhir_server.search import Pager, Position, SearchQuery
from fhir_server.store.documents import Stored, TimeLimit


async def search_type(server: Server, request: FhirRequest, target: Target) -> FhirResponse:
    """Return 200 with a searchset Bundle."""
    return await search(server, request, target.type, asked(server, request, Place(target.type)))


async def search(server: Server, request: FhirRequest, type_: str, wanted: Asked) -> FhirResponse:
    """Return 200 with the matches of one type, asked for at any place."""
    server, wanted = at_moment(server, request, wanted)
    wanted, explained = to_explain(server, wanted)
    query = query_of(server, request, wanted, type_)
    if query.results.contained != "false":
        return await search_contained(server, request, wanted, query)
    place, position = wanted.place, wanted.position
    try:
        query = await answered(server, request, query)
        total = await counted(server, request, [query])
        warnings = warnings_of([query], total)
        if query.results.count_only:
            body = searchset(
                request.base, (), links(server, request, place, query), total=total, warnings=warnings
            )
            return FhirResponse(200, (), (body,))
        pager = await _page(server, request, query, position, explained)
        beside, told = await included(server, request, pager.rows, query.results.includes, (type_,))
    except TimeLimit as slow:
        raise too_slow() from slow
    bodies, shown = parts_shown(server, query.results, pager.rows, beside)
    first = Position() if position else None
    neighbours = (("first", first), ("next", pager.next), ("previous", pager.previous))
    body = searchset(
        request.base,
        pager.rows,
        links(server, request, place, query, neighbours),
        total=pager.total if total is None else total,
        warnings=(*warnings, *told, *(explained or ())),
        bodies=bodies,
        includes=shown,
    )
    return FhirResponse(200, (), (body,))


async def _page(
    server: Server,
    request: FhirRequest,
    query: SearchQuery,
    position: Position | None,
    explained: list[Issue] | None,
) -> Pager[Stored]:
    choice = await leading(server, request, query)
    pager: Pager[Stored] = Pager(query, server.registry, position, choice)
    while (plan := pager.plan()) is not None:
        if query.results.includes:
            plan = replace(plan, projection=(*plan.projection, *FIELDS))
        if explained is not None:
            explained.append(await explanation(server, request, plan))
        page = await server.store.search(plan, request.access)
        pager.add(page.rows, is_cut=page.is_cut)
    return pager
