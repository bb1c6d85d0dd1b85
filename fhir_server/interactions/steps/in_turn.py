"""Pages over what is in a compartment: type after type, each in its own order, newest first.

A page reads what it shows. In one order over all types, each of them would have to be read for every page.
https://hl7.org/fhir/R4/compartmentdefinition.html
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from fhir_server.interactions.exchange import FhirRequest, Server
from fhir_server.interactions.steps.including import FIELDS
from fhir_server.interactions.steps.walking import Walk
from fhir_server.outcome import error
from fhir_server.search import Pager, Position, SearchQuery
from fhir_server.search.sorting import Cut
from fhir_server.store.documents import Stored


async def in_turn(
    server: Server, request: FhirRequest, queries: Sequence[SearchQuery], position: Position | None
) -> Walk:
    """Return the page from a position, whose cut begins with the type; without more values it is before the type."""
    start = position or Position()
    filler = _Filler(server, request, queries[0].results.count)
    types = [query.type for query in queries]
    place = start.cut.values[0] if start.cut else types[0]
    if place not in types:
        raise error("not-found", "This page has expired; start the search again.", status=410)
    at = types.index(place)
    if start.backwards:
        more = await filler.back(queries[: at + 1], start.cut)
        after, before = start.cut, more
    else:
        more = await filler.forth(queries[at:], start.cut)
        after, before = more, start.cut
    is_whole = start == Position() and more is None
    return Walk(
        queries[0],
        filler.rows,
        next=Position(after) if after else None,
        previous=Position(before, backwards=True) if before else None,
        total=len(filler.rows) if is_whole else None,
    )


class _Filler:
    """Takes rows of one type after another until the page is full; the cut is where the next page begins."""

    def __init__(self, server: Server, request: FhirRequest, count: int) -> None:
        self._server = server
        self._request = request
        self._count = count
        self.rows: list[Stored] = []

    async def forth(self, queries: Sequence[SearchQuery], cut: Cut | None) -> Cut | None:
        at = Position(_inner(cut))
        for query in queries:
            is_full = len(self.rows) == self._count
            pager = await self._ask(query, at)
            if is_full and pager.rows:
                return Cut((query.type,))
            self.rows += () if is_full else pager.rows
            if pager.next is not None:
                return _outer(query, pager.next)
            at = Position()
        return None

    async def back(self, queries: Sequence[SearchQuery], cut: Cut | None) -> Cut | None:
        inner, behind = _inner(cut), queries[-1]
        at = Position(inner, backwards=True) if inner else None
        for query in reversed(queries if inner else queries[:-1]):
            is_full = len(self.rows) == self._count
            pager = await self._ask(query, at)
            if is_full and pager.rows:
                return Cut((behind.type,))
            self.rows = list(self.rows if is_full else (*pager.rows, *self.rows))
            if pager.previous is not None:
                return _outer(query, pager.previous)
            at, behind = None, query
        return None

    async def _ask(self, query: SearchQuery, at: Position | None) -> Pager[Stored]:
        """Return what a type adds to the page, or whether it has anything when the page is full; None: from its end."""
        size = self._count - len(self.rows) or 1
        sized = replace(query, results=replace(query.results, count=size))
        registry = self._server.registry
        pager: Pager[Stored] = Pager(sized, registry, at or Pager[Stored](sized, registry).end)
        while (plan := pager.plan()) is not None:
            if query.results.includes:
                plan = replace(plan, projection=(*plan.projection, *FIELDS))
            page = await self._server.store.search(plan, self._request.access)
            pager.add(page.rows, is_cut=page.is_cut)
        return pager


def _inner(cut: Cut | None) -> Cut | None:
    return Cut(cut.values[1:], cut.id) if cut and len(cut.values) > 1 else None


def _outer(query: SearchQuery, position: Position) -> Cut:
    cut = position.cut
    return Cut((query.type, *cut.values), cut.id) if cut else Cut((query.type,))
