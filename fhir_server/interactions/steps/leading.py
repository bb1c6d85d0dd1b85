"""Which index leads a search whose patient is not known, by counting."""

from __future__ import annotations

from fhir_server.interactions.exchange import FhirRequest, Server
from fhir_server.search import COUNT_CAP, FEW, Choice, SearchQuery, rivals


async def leading(server: Server, request: FhirRequest, query: SearchQuery) -> Choice | None:
    """Return the choice whose index reads the least, None to leave it to the ranks (most searches).

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
