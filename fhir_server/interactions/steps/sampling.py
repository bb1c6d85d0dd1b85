"""A ``_has`` that most resources meet is answered from their side, after a look at a few of them.

``Patient?_has:Observation:patient:code=x`` would read every matching Observation to learn to whom they belong. When
the first patients show that most of them have one, the page is filled by going on from there: each is asked for the
first match only. The order is that of the last update, as it is when the matches are read.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from fhir_server.interactions.exchange import FhirRequest, Server
from fhir_server.interactions.steps.including import FIELDS
from fhir_server.interactions.steps.lookups import answered
from fhir_server.interactions.steps.walking import Walk
from fhir_server.outcome import FhirError
from fhir_server.search import Pager, Position, SearchQuery, is_order_of, with_order
from fhir_server.search.choosing import criteria
from fhir_server.search.combining import all_of
from fhir_server.search.expression import Expression
from fhir_server.search.linked import Linked, asked_about
from fhir_server.search.lookups import Open, questions
from fhir_server.search.sorting import Cut
from fhir_server.store.documents import Stored

#: Resources that are looked at first, and most batches in all.
_SAMPLE = 8
_MOST_BATCHES = 6


async def sampled(
    server: Server, request: FhirRequest, query: SearchQuery, position: Position | None
) -> Walk | None:
    """Return the page when most of the resources that are looked at match; None when another way is better."""
    start = position or Position()
    leaves = criteria(query.expression)
    asked = [leaf for leaf in leaves if questions(leaf)]
    results = query.results
    if start.backwards or results.count_only or results.total != "none" or not all(map(_is_has, asked)):
        return None
    rest = all_of(leaf for leaf in leaves if leaf not in asked)
    walked = with_order(replace(query, expression=rest), "lu")
    if walked is None or not is_order_of(walked, "lu", server.registry):
        return None
    if not Pager[Stored](walked, server.registry).is_streamed:
        return None
    found = await _found(server, request, walked, all_of(asked), start)
    if found is None:
        return None
    count = results.count
    rows, more = found[:count], found[count:]
    if more and more[0].key == rows[-1].key:  # a page does not end between them
        return None
    next_ = Position(Cut((rows[-1].key,))) if more else None
    previous = Position(start.cut, backwards=True) if start.cut else None
    return Walk(walked, rows, next_, previous, total=len(rows) if position is None and not more else None)


async def _found(
    server: Server, request: FhirRequest, walked: SearchQuery, asked: Expression, start: Position
) -> Sequence[Stored] | None:
    """Return the matches of a page and the one after it, or all that are left; None when they are too rare."""
    wanted = walked.results.count + 1
    found: list[Stored] = []
    seen, size, position = 0, min(_SAMPLE, wanted), start
    for _ in range(_MOST_BATCHES):
        query = replace(walked, results=replace(walked.results, count=size))
        pager: Pager[Stored] = Pager(query, server.registry, position)
        while (plan := pager.plan()) is not None:
            plan = replace(plan, projection=(*plan.projection, *FIELDS))
            page = await server.store.search(plan, request.access)
            pager.add(page.rows, is_cut=page.is_cut)
        try:
            narrow = replace(walked, expression=asked_about(asked, pager.rows))
            holds = (await answered(server, request, narrow)).expression
        except FhirError:  # of another link of the search: whoever asks it whole says so
            return None
        found += [row for row in pager.rows if holds.matches({"_id": row.id})]
        seen += len(pager.rows)
        if pager.next is None or len(found) >= wanted:
            return found
        if 2 * len(found) < seen:
            return None
        position, size = pager.next, wanted - len(found)
    return None


def _is_has(leaf: Expression) -> bool:
    question = leaf.question if isinstance(leaf, Open) else None
    return isinstance(question, Linked) and question.back is not None
