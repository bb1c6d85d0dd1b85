"""A search whose chain or ``_has`` leads through too much is answered from its own side.

Its other criteria are walked in order, and each batch of resources is asked about, until the page is full. Common
matches fill a page soon; rare ones make short pages with a link to go on, never a search without end.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from fhir_server.interactions.exchange import FhirRequest, Server
from fhir_server.interactions.steps.linking import Effort, Unselective
from fhir_server.interactions.steps.lookups import answered
from fhir_server.interactions.steps.whole_rows import whole_rows
from fhir_server.outcome import Issue
from fhir_server.search import Pager, Position, SearchQuery, with_order
from fhir_server.search.choosing import choose, criteria
from fhir_server.search.combining import all_of
from fhir_server.search.expression import Expression
from fhir_server.search.linked import asked_about, can_be_asked_about
from fhir_server.search.lookups import questions
from fhir_server.store.documents import Stored

#: Resources of one batch, and most batches of a page.
BATCH = 100
MOST_BATCHES = 50
#: What criteria are tested on.
_FIELDS = ("p", "cp", "i", "x")


@dataclass(frozen=True, slots=True)
class Walk:
    """A page that was filled on the way: as that of a Pager, with what is to be told about it."""

    query: SearchQuery
    rows: Sequence[Stored]
    next: Position | None
    previous: Position | None
    issues: tuple[Issue, ...] = ()
    last: Position | None = None
    total: int | None = None


class Walker:
    """Walks the resources that answer ``walked`` and asks of each batch whether ``asked`` holds, too."""

    def __init__(self, server: Server, request: FhirRequest, walked: SearchQuery, asked: Expression) -> None:
        self._server = server
        self._request = request
        self._walked = walked
        self._asked = asked

    @classmethod
    async def of(cls, server: Server, request: FhirRequest, query: SearchQuery) -> Walker | None:
        """Return the walker of a query with open questions; None when no index delivers an order to walk in."""
        leaves = criteria(query.expression)
        asked, rest = [], []
        for leaf in leaves:
            if questions(leaf):
                try:
                    alone = await answered(server, request, replace(query, expression=leaf), Effort.SOME)
                except Unselective:
                    asked.append(leaf)
                    continue
                leaf = alone.expression  # noqa: PLW2901 (the same criterion, answered)
            rest.append(leaf)
        results = query.results
        if (
            results.count_only
            or results.total != "none"
            or not all(can_be_asked_about(leaf) for leaf in asked)
        ):
            return None
        walked = replace(query, expression=all_of(rest))
        ordered = with_order(walked, choose(walked, server.registry)[0].order)
        if ordered is None or not Pager[Stored](ordered, server.registry).is_streamed:
            return None
        return cls(server, request, ordered, all_of(asked))

    async def page(self, start: Position | None) -> Walk:
        """Return the page from a position; it may be short, and tells so."""
        position = first = start or Position()
        wanted = self._walked.results.count
        found: list[Stored] = []
        next_, previous = None, None
        for _ in range(MOST_BATCHES):
            pager, kept = await self._batch(position, BATCH)
            while len(kept) > wanted - len(found):  # the page ends within the batch
                ordered = pager.rows[::-1] if first.backwards else pager.rows
                size = ordered.index(kept[wanted - len(found) - 1]) + 1
                pager, kept = await self._batch(position, size)
            found += kept
            if position is first:
                next_, previous = pager.next, pager.previous
            onward = pager.previous if first.backwards else pager.next
            if first.backwards:
                previous = onward
            else:
                next_ = onward
            if onward is None or len(found) >= wanted:
                break
            position = onward
        is_short = onward is not None and len(found) < wanted
        rows = await whole_rows(self._server, self._request, found[::-1] if first.backwards else found)
        is_whole = start is None and next_ is None
        return Walk(
            self._walked,
            rows,
            next_,
            previous,
            (_short(),) if is_short else (),
            total=len(rows) if is_whole else None,
        )

    async def _batch(self, position: Position, size: int) -> tuple[Pager[Stored], list[Stored]]:
        """Return the next resources, and those of them that match, in the order of the walk."""
        query = replace(self._walked, results=replace(self._walked.results, count=size))
        pager: Pager[Stored] = Pager(query, self._server.registry, position)
        while (plan := pager.plan()) is not None:
            plan = replace(plan, keys_only=True, projection=(*plan.projection, *_FIELDS))
            page = await self._server.store.search(plan, self._request.access)
            pager.add(page.rows, is_cut=page.is_cut)
        narrow = replace(query, expression=asked_about(self._asked, pager.rows))
        wanted = (await answered(self._server, self._request, narrow)).expression
        kept = [row for row in pager.rows if wanted.matches({"_id": row.id, "lu": row.key, **row.fields})]
        return pager, kept[::-1] if position.backwards else kept


def _short() -> Issue:
    text = (
        f"The page is short: {BATCH * MOST_BATCHES} resources were looked at for it, because a criterion leads through "
        "too much to be looked up first. The links lead on; a more selective criterion would be faster."
    )
    return Issue("warning", "too-costly", text)
