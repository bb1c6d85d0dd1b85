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
from fhir_server.interactions.steps.explaining import to_explain
from fhir_server.interactions.steps.including import FIELDS, included
from fhir_server.interactions.steps.leading import leading
from fhir_server.interactions.steps.linking import Effort, Unselective
from fhir_server.interactions.steps.lookups import answered
from fhir_server.interactions.steps.moments import at_moment
from fhir_server.interactions.steps.sampling import sampled
from fhir_server.interactions.steps.searchset import large_of, searchset
from fhir_server.interactions.steps.subsetting import parts_shown
from fhir_server.interactions.steps.walking import Walk, Walker
from fhir_server.outcome import Issue
from fhir_server.search import Pager, Position, SearchQuery
from fhir_server.store.documents import Stored, TimeLimit


async def search_type(server: Server, request: FhirRequest, target: Target) -> FhirResponse:
    """Return 200 with a searchset Bundle."""
    return await search(server, request, target.type, asked(server, request, Place(target.type)))


async def search(server: Server, request: FhirRequest, type_: str, wanted: Asked) -> FhirResponse:
    """Return 200 with the matches of one type, asked for at any place."""
    server, wanted = at_moment(server, request, wanted)
    server, wanted, explanations = to_explain(server, request, wanted)
    query = query_of(server, request, wanted, type_)
    if query.results.contained != "false":
        return await search_contained(server, request, wanted, query, explanations)
    place, position = wanted.place, wanted.position
    try:
        query, page, total, issues = await _page(server, request, query, position)
        beside, told = await included(server, request, page.rows, query.results.includes, (type_,))
    except TimeLimit as slow:
        raise too_slow(server, [query]) from slow
    bodies, shown = parts_shown(server, query.results, page.rows, beside)
    first = Position() if position else None
    neighbours = (("first", first), ("previous", page.previous), ("next", page.next), ("last", page.last))
    body = searchset(
        request.base,
        page.rows,
        links(server, request, place, query, neighbours),
        total=page.total if total is None else total,
        warnings=(*warnings_of([query], total), *issues, *told, *explanations()),
        bodies=bodies,
        includes=shown,
    )
    rows = (*page.rows, *beside)
    return FhirResponse(200, (), (body,), large=large_of(rows), shown=rows)


async def _page(
    server: Server, request: FhirRequest, query: SearchQuery, position: Position | None
) -> tuple[SearchQuery, Pager[Stored] | Walk, int | None, tuple[Issue, ...]]:
    """Return the query as it was executed, its page, Bundle.total as it was asked for, and what to tell."""
    closed = await _closed(server, request, query, position)
    if isinstance(closed, Walk):
        return closed.query, closed, None, closed.issues
    query, choice = await leading(server, request, closed, is_first=position is None)
    total = await counted(server, request, [query])
    pager: Pager[Stored] = Pager(query, server.registry, position, choice)
    while not query.results.count_only and (plan := pager.plan()) is not None:
        if query.results.includes:
            plan = replace(plan, projection=(*plan.projection, *FIELDS))
        page = await server.store.search(plan, request.access)
        pager.add(page.rows, is_cut=page.is_cut)
    return query, pager, total, ()


async def _closed(
    server: Server, request: FhirRequest, query: SearchQuery, position: Position | None
) -> SearchQuery | Walk:
    """Return the query with its inner searches answered; where they find much, the page if it is found otherwise."""
    for effort in (Effort.LITTLE, Effort.SOME):
        try:
            return await answered(server, request, query, effort)
        except Unselective:
            walk = await _walked(server, request, query, position, effort)
            if walk is not None:
                return walk
    return await answered(server, request, query)


async def _walked(
    server: Server, request: FhirRequest, query: SearchQuery, position: Position | None, effort: Effort
) -> Walk | None:
    if effort is Effort.LITTLE:
        return await sampled(server, request, query, position)
    walker = await Walker.of(server, request, query)
    return None if walker is None else await walker.page(position)
