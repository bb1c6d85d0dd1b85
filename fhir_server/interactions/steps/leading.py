"""Which index leads a search whose patient is not known, by counting; and which systems a bare code has."""

from __future__ import annotations

from fhir_server.interactions.exchange import FhirRequest, Server
from fhir_server.search import (
    COUNT_CAP,
    FEW,
    Choice,
    SearchQuery,
    bare_codes,
    choose,
    is_order_of,
    rivals,
    with_systems,
)


async def leading(
    server: Server, request: FhirRequest, query: SearchQuery
) -> tuple[SearchQuery, Choice | None]:
    """Return the query, with systems for its bare codes, and the choice whose index reads the least.

    None leaves the choice to the ranks (most searches).
    """
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
