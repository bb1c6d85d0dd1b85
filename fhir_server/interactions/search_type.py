"""search-type: the resources of one type that match, by GET and by POST to _search.

https://hl7.org/fhir/R4/http.html#search, https://hl7.org/fhir/R4/search.html
"""

from __future__ import annotations

from dataclasses import replace

from fhir_server.interactions.exchange import FhirRequest, FhirResponse, Server, Target
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
from fhir_server.interactions.steps.explaining import to_explain
from fhir_server.interactions.steps.including import FIELDS, included
from fhir_server.interactions.steps.leading import leading
from fhir_server.interactions.steps.lookups import answered
from fhir_server.interactions.steps.searchset import large_of, searchset
from fhir_server.interactions.steps.subsetting import parts_shown
from fhir_server.search import Pager, Position, SearchQuery
from fhir_server.store.documents import Stored, TimeLimit


async def search_type(server: Server, request: FhirRequest, target: Target) -> FhirResponse:
    """Return 200 with a searchset Bundle."""
    return await search(server, request, target.type, asked(server, request, Place(target.type)))


async def search(server: Server, request: FhirRequest, type_: str, wanted: Asked) -> FhirResponse:
    """Return 200 with the matches of one type, asked for at any place."""
    server, wanted, explanations = to_explain(server, wanted)
    query = query_of(server, request, wanted, type_)
    place, position = wanted.place, wanted.position
    try:
        query, choice = await leading(server, request, await answered(server, request, query))
        total = await counted(server, request, [query])
        warnings = warnings_of([query], total)
        if query.results.count_only:
            told = (*warnings, *explanations())
            body = searchset(
                request.base, (), links(server, request, place, query), total=total, warnings=told
            )
            return FhirResponse(200, (), (body,))
        pager: Pager[Stored] = Pager(query, server.registry, position, choice)
        await _page(server, request, query, pager)
        beside, told = await included(server, request, pager.rows, query.results.includes, (type_,))
    except TimeLimit as slow:
        raise too_slow() from slow
    bodies, shown = parts_shown(server, query.results, pager.rows, beside)
    first = Position() if position else None
    neighbours = (
        ("first", first),
        ("previous", pager.previous),
        ("next", pager.next),
        ("last", pager.last),
    )
    body = searchset(
        request.base,
        pager.rows,
        links(server, request, place, query, neighbours),
        total=pager.total if total is None else total,
        warnings=(*warnings, *told, *explanations()),
        bodies=bodies,
        includes=shown,
    )
    return FhirResponse(200, (), (body,), large=large_of((*pager.rows, *beside)))


async def _page(server: Server, request: FhirRequest, query: SearchQuery, pager: Pager[Stored]) -> None:
    while (plan := pager.plan()) is not None:
        if query.results.includes:
            plan = replace(plan, projection=(*plan.projection, *FIELDS))
        page = await server.store.search(plan, request.access)
        pager.add(page.rows, is_cut=page.is_cut)
