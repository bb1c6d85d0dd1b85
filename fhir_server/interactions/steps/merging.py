"""Pages over several types, from one query for each, and the Bundle that they make.

https://hl7.org/fhir/R4/http.html#search
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from fhir_server.interactions.exchange import FhirRequest, FhirResponse, Server
from fhir_server.interactions.steps.asking import Asked, counted, links, too_slow, warnings_of
from fhir_server.interactions.steps.explaining import Explanations
from fhir_server.interactions.steps.in_turn import in_turn
from fhir_server.interactions.steps.including import FIELDS, included
from fhir_server.interactions.steps.lookups import answered
from fhir_server.interactions.steps.searchset import large_of, searchset
from fhir_server.interactions.steps.subsetting import parts_shown
from fhir_server.interactions.steps.walking import Walk
from fhir_server.interactions.steps.whole_rows import whole_rows
from fhir_server.outcome import Issue
from fhir_server.search import Position, SearchPlan, SearchQuery, SystemPager
from fhir_server.search.sorting import Cut
from fhir_server.store.documents import Stored, TimeLimit

#: Types that are asked at the same time; further ones wait.
_AT_ONCE = 8


@dataclass(frozen=True, slots=True)
class Shown:
    """What a page shows of its rows: ``places`` give the fullUrls, ``parts`` the resources.

    ``taken`` is the number of rows that fitted on the page.
    """

    places: Sequence[Stored]
    parts: Sequence[Stored]
    taken: int


async def merged(
    server: Server,
    request: FhirRequest,
    wanted: Asked,
    queries: Sequence[SearchQuery],
    *,
    ignored: Sequence[Issue] = (),
    explanations: Explanations = tuple,
    show: Callable[[Sequence[Stored]], Shown] | None = None,
    count: Callable[[Sequence[SearchQuery]], Awaitable[int | None]] | None = None,
    is_record: bool = False,
) -> FhirResponse:
    """Return 200 with the matches of all queries, by their last update.

    ``show`` takes resources out of the rows, and then ``count`` counts them. ``is_record``: the matches are one
    compartment's, and come type after type if no order is asked for.
    """
    place, position = wanted.place, wanted.position
    shape = queries[0].results
    try:
        queries = await asyncio.gather(*(answered(server, request, query) for query in queries))
        total = await (counted(server, request, queries) if count is None else count(queries))
        pager: SystemPager[Stored] | Walk
        rows: Sequence[Stored]
        if is_record and not shape.sort and not shape.count_only:
            pager = await in_turn(server, request, queries, position)
            rows = pager.rows
        else:
            pager = SystemPager(queries, server.registry, position)
            rows = () if shape.count_only else await _page(server, request, pager)
        types = [query.type for query in queries]
        beside, told = await included(server, request, rows, shape.includes, types)
    except TimeLimit as slow:
        raise too_slow(server, queries) from slow
    warnings = (*ignored, *warnings_of(queries, total), *told, *explanations())
    found = Shown(rows, rows, len(rows)) if show is None else show(rows)
    bodies, others = parts_shown(server, shape, found.parts, beside)
    neighbours = [("first", Position() if position else None)]
    if found.taken < len(rows):  # the rest of the rows belongs to the next page
        last = rows[found.taken - 1]
        neighbours.append(("next", Position(Cut((last.key,), f"{last.type}/{last.id}"))))
    else:
        neighbours.append(("next", pager.next))
    if show is None:
        neighbours.append(("previous", pager.previous))
        total = pager.total if total is None and not shape.count_only else total
    body = searchset(
        request.base,
        found.places,
        links(server, request, place, queries[0], neighbours),
        total=total,
        warnings=warnings,
        bodies=bodies or [part.body for part in found.parts],
        includes=others,
    )
    shown = (*rows[: found.taken], *beside)
    return FhirResponse(200, (), (body,), large=large_of((*rows, *beside)), shown=shown)


async def _page(server: Server, request: FhirRequest, pager: SystemPager[Stored]) -> list[Stored]:
    """Return the rows of the page: first the keys of all types, then the bodies of those that are shown."""
    gate = asyncio.Semaphore(_AT_ONCE)

    async def run(plan: SearchPlan) -> tuple[Stored, ...]:
        async with gate:
            return (await server.store.search(plan, request.access)).rows

    while plans := pager.plans():
        parts = await asyncio.gather(*(run(plan) for plan in plans))
        pager.add([row for rows in parts for row in rows])
    return await whole_rows(server, request, pager.rows, (*FIELDS, "x", "cp"))
