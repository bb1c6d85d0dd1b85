"""Which index leads a search: by counting what each reads, by the systems of a bare code, by the order alone."""

from __future__ import annotations

from fhir_server.interactions.exchange import FhirRequest, Server
from fhir_server.search import (
    COUNT_CAP,
    FEW,
    SCAN,
    Choice,
    SearchQuery,
    bare_codes,
    choose,
    count_plan,
    is_order_of,
    is_wide,
    rivals,
    with_order,
    with_systems,
)
from fhir_server.store.moment import Moment

#: More matches than this are not sorted for a page when they can be met in the order of their last update.
MOST_SORTED = 10_000


async def leading(
    server: Server, request: FhirRequest, query: SearchQuery, *, is_first: bool
) -> tuple[SearchQuery, Choice | None]:
    """Return the query, with systems for its bare codes, and the choice whose index reads the least.

    None leaves the choice to the ranks (most searches). ``is_first`` tells that no page came before, whose order would
    have to be kept.
    """
    if isinstance(server.store, Moment):  # no index leads there
        return query, None
    if is_wide(query) and (is_first or query.sort) and (scanned := await _scanned(server, request, query)):
        return scanned, SCAN
    choice = await _least(server, request, query)
    leader = choice or choose(query, server.registry)[0]
    bare = bare_codes(query, leader, server.registry)
    if bare is None or not is_order_of(query, leader.order, server.registry):
        return query, choice
    entries: set[str] = set()
    for code in bare.codes:
        found = await server.store.beginning_with(bare.plan, bare.field, f"{code}|")
        if found is None:
            return query, choice
        entries |= found
    query = with_systems(query, bare, entries)
    same = (other for other in choose(query, server.registry) if other.index == leader.index)
    return query, next(same, None)


async def _scanned(server: Server, request: FhirRequest, query: SearchQuery) -> SearchQuery | None:
    """Return the query by the time of the last update when its matches are too many to be sorted; else None."""
    ordered = with_order(query, "lu")
    if ordered is None or not is_order_of(ordered, "lu", server.registry) or query.results.count_only:
        return None
    number = await server.store.count(count_plan(query, server.registry), request.access, MOST_SORTED + 1)
    return ordered if number > MOST_SORTED else None


async def _least(server: Server, request: FhirRequest, query: SearchQuery) -> Choice | None:
    """Return the choice whose index reads the least, None when there is nothing to compare.

    Counts end at a cap: what reads more is no better than what the ranks say.
    """
    best: Choice | None = None
    least = COUNT_CAP
    for choice, plan in rivals(query, server.registry):
        number = await server.store.count(plan, request.access, least)
        if best is None or number < least:
            best, least = choice, max(number, 1)
        if number <= FEW:
            break
    return best
