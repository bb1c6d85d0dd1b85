"""What operations take out of one patient's record: the newest of what a search finds, and the newest of each kind.

https://hl7.org/fhir/R4/search.html
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from fhir_server.interactions.exchange import FhirRequest, Server
from fhir_server.interactions.steps.lookups import answered
from fhir_server.operations.following import fetched
from fhir_server.search import Pager, Position, SearchPlan, SearchQuery, choose, parse
from fhir_server.search.plan import base_filter, combined
from fhir_server.store.documents import Stored

Pairs = Sequence[tuple[str, str]]


async def query_of(server: Server, request: FhirRequest, type_: str, pairs: Pairs) -> SearchQuery:
    """Return the closed query of pairs; FhirError 400 for what can't be read."""
    query = parse(pairs, type_, server.registry, base=request.base, now=server.clock())
    return await answered(server, request, query)


async def page_of(
    server: Server, request: FhirRequest, query: SearchQuery, count: int, position: Position | None = None
) -> Pager[Stored]:
    """Return the filled page of a query: its ``rows`` in the order of their main date, newest first, and ``next``."""
    sized = replace(query, results=replace(query.results, count=count))
    pager: Pager[Stored] = Pager(sized, server.registry, position)
    while (plan := pager.plan()) is not None:
        page = await server.store.search(plan, request.access)
        pager.add(page.rows, is_cut=page.is_cut)
    return pager


async def newest_of_each(
    server: Server, request: FhirRequest, query: SearchQuery, field: str
) -> list[Stored]:
    """Return the newest match for each value of a search parameter that the matches have, newest first."""
    choice = choose(query, server.registry)[0]
    plan = SearchPlan(query.type, combined(base_filter(query, choice)), hint=choice.index)
    found = await server.store.latest(
        plan, request.access, by={"value": f"i.{field}"}, kept={"id": "_id", "s": "s"}, most=1
    )
    rows = [group["rows"][0] for group in found if group["_id"].get("value") is not None]
    rows.sort(key=lambda row: row.get("s") or 0, reverse=True)
    return await fetched(server, request, {query.type: [row["id"] for row in rows]})
