"""Patient/[id]/$everything and Encounter/[id]/$everything: a whole record, in one Bundle or page by page.

The members of the compartment are the matches, and what they refer to goes along as includes. Stored bytes are
spliced. https://hl7.org/fhir/R4/patient-operation-everything.html
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import astuple, dataclass, replace
from typing import Any
from urllib.parse import urlencode

from fhir_server.datatypes.json_format import decode_own
from fhir_server.datatypes.temporal import parse_date, parse_date_time
from fhir_server.interactions.exchange import FhirRequest, FhirResponse, Server, Target
from fhir_server.interactions.read import current
from fhir_server.interactions.steps.searchset import large_of, searchset
from fhir_server.operations.following import followed
from fhir_server.operations.inputs import Inputs, inputs
from fhir_server.operations.record import page_of
from fhir_server.outcome import Issue, error
from fhir_server.search import Position, SearchQuery, in_compartment, members, parse
from fhir_server.search.combining import Not, all_of, any_of
from fhir_server.search.expression import Equal, Expression
from fhir_server.search.main_dates import MAIN_DATES
from fhir_server.search.plan import keys_plan
from fhir_server.search.sorting import Cut
from fhir_server.store.documents import PAGE_BYTES, Stored

#: Most members of one Bundle; a larger record comes in pages though the client did not ask for them.
MOST = 10_000
#: Queries that run at the same time.
_AT_ONCE = 8

_INPUTS = {"_since": "text", "_type": "text*", "_count": "integer", "_cursor": "text"}
_OF_PATIENT = {**_INPUTS, "start": "text", "end": "text"}


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is asked of a record: ``types`` empty for all, ``count`` 0 for everything at once."""

    since: str = ""
    start: str = ""
    end: str = ""
    types: tuple[str, ...] = ()
    count: int = 0

    @property
    def pairs(self) -> list[tuple[str, Any]]:
        """The parameters as they were understood, for the self link."""
        given = (
            ("start", self.start),
            ("end", self.end),
            ("_since", self.since),
            ("_type", ",".join(self.types)),
            ("_count", self.count),
        )
        return [(name, value) for name, value in given if value]


_FROM_THE_TOP = Position()


@dataclass(frozen=True, slots=True)
class Mark:
    """Where a page begins: in the matches of one type."""

    type: str
    position: Position = _FROM_THE_TOP


async def everything(server: Server, request: FhirRequest, target: Target) -> FhirResponse:
    """Return 200 with a searchset Bundle; 404 or 410 where there is no such patient or encounter."""
    record = await current(server, request, target)
    given = inputs(request, _OF_PATIENT if target.type == "Patient" else _INPUTS)
    place = f"/{target.type}/{target.id}/$everything"
    mark = None
    if given.has("_cursor"):
        wanted, mark = _opened(server, request, place, given.text("_cursor"))
    else:
        wanted = _read(server, given)
    rows, onward = await _members(server, request, target, wanted, mark)
    if mark is None:
        rows.insert(0, record)
    linked, told = await _linked(server, request, wanted, record, rows)
    if wanted.types:
        rows, linked = ([row for row in some if row.type in wanted.types] for some in (rows, linked))
    body = searchset(
        request.base,
        rows,
        _links(server, request, place, wanted, onward),
        total=len(rows) if mark is None and onward is None else None,
        warnings=told,
        includes=[(row, row.body) for row in linked],
    )
    return FhirResponse(200, (), (body,), large=large_of((*rows, *linked)))


async def _linked(
    server: Server, request: FhirRequest, wanted: Wanted, record: Stored, rows: Sequence[Stored]
) -> tuple[list[Stored], tuple[Issue, ...]]:
    """Return what members refer to; nothing when only members are wanted."""
    if wanted.types and not _beyond(server, record.type, wanted.types):
        return [], ()
    patient = server.indexer.entries(decode_own(record.body), request.base).patient
    return await followed(server, request, [record, *rows], patient=patient or "")


def _beyond(server: Server, compartment: str, types: Sequence[str]) -> bool:
    """Tell whether some of the types can't be in the compartment."""
    return not set(types) <= set(members(compartment, server.registry))


def _read(server: Server, given: Inputs) -> Wanted:
    """Return what the inputs ask for; FhirError 400 for values that can't be read."""
    for name, of_text in (("start", parse_date), ("end", parse_date), ("_since", parse_date_time)):
        if given.has(name) and of_text(given.text(name)) is None:
            raise error("value", f"The parameter {name} is no {'instant' if name == '_since' else 'date'}.")
    types = [part.strip() for text in given.texts("_type") for part in text.split(",")]
    for type_ in types:
        if type_ not in server.definitions.types.resource_type_names:
            raise error("value", f"The parameter _type: '{type_}' is no resource type of R4.")
    count = given.number("_count")
    if count == 0:
        raise error("value", "The parameter _count must be at least 1.")
    most = min(count or 0, server.policy.max_count)
    return Wanted(
        given.text("_since"), given.text("start"), given.text("end"), tuple(dict.fromkeys(types)), most
    )


def _opened(server: Server, request: FhirRequest, place: str, text: str) -> tuple[Wanted, Mark]:
    """Return what a page link holds; FhirError 404 or 410 for one that isn't ours or is too old."""
    (since, start, end, types, count), type_, cut = server.cursors.open_state(
        text, place, actor=request.access.actor, now=server.clock()
    )
    position = Position(None if cut is None else Cut(tuple(cut[0]), cut[1]))
    return Wanted(since, start, end, tuple(types), count), Mark(type_, position)


def _links(
    server: Server, request: FhirRequest, place: str, wanted: Wanted, onward: Mark | None
) -> dict[str, str]:
    address = request.base + place
    links = {"self": f"{address}?{urlencode(wanted.pairs)}" if wanted.pairs else address}
    if onward is not None:
        cut = onward.position.cut
        state = [list(astuple(wanted)), onward.type, None if cut is None else [cut.values, cut.id]]
        sealed = server.cursors.seal_state(state, place=place, actor=request.access.actor, now=server.clock())
        links["next"] = f"{address}?{urlencode({'_cursor': sealed})}"
    return links


async def _members(
    server: Server, request: FhirRequest, target: Target, wanted: Wanted, mark: Mark | None
) -> tuple[list[Stored], Mark | None]:
    """Return the members of a page, and where the next one begins."""
    inside = members(target.type, server.registry)
    walked = inside if not wanted.types or _beyond(server, target.type, wanted.types) else wanted.types
    present = set(await server.store.types())
    queries = [_query(server, request, target, wanted, type_) for type_ in walked if type_ in present]
    if mark is None and not wanted.count:
        rows = await _whole(server, request, queries)
        if rows is not None:
            return rows, None
    return await _page(server, request, queries, wanted.count or MOST, mark)


def _query(server: Server, request: FhirRequest, target: Target, wanted: Wanted, type_: str) -> SearchQuery:
    pairs = [("_lastUpdated", f"ge{wanted.since}")] if wanted.since else []
    query = parse(pairs, type_, server.registry, base=request.base, now=server.clock())
    criteria = [query.expression]
    if type_ == target.type:  # it is on top of the first page already
        criteria.append(Not(Equal("_id", (target.id,))))
    if wanted.start or wanted.end:
        criteria.append(_cared(server, request, wanted, type_))
    found = replace(query, expression=all_of(criteria))
    return in_compartment(found, target.type, target.id, server.registry)


def _cared(server: Server, request: FhirRequest, wanted: Wanted, type_: str) -> Expression:
    """Return what finds the care of the period: by the type's main date; what has none is always found."""

    def expression(*pairs: tuple[str, str]) -> Expression:
        return parse(pairs, type_, server.registry, base=request.base, now=server.clock()).expression

    found = all_of([])
    for name in reversed(MAIN_DATES.get(type_, ())):
        bounds = [(name, f"ge{wanted.start}")] if wanted.start else []
        bounds += [(name, f"le{wanted.end}")] if wanted.end else []
        found = any_of([expression(*bounds), all_of([expression((f"{name}:missing", "true")), found])])
    return found


async def _whole(server: Server, request: FhirRequest, queries: Sequence[SearchQuery]) -> list[Stored] | None:
    """Return all members by type, newest first; None if there are too many for one Bundle."""
    rows: list[Stored] = []
    size = 0
    for at in range(0, len(queries), _AT_ONCE):
        plans = [
            keys_plan(query.type, query.expression, server.registry, MOST + 1)
            for query in queries[at : at + _AT_ONCE]
        ]
        pages = await asyncio.gather(*(server.store.search(plan, request.access) for plan in plans))
        for page in pages:
            rows += sorted(page.rows, key=_age)
            size += sum(row.size for row in page.rows)
        if any(page.is_cut for page in pages) or len(rows) > MOST or size > PAGE_BYTES:
            return None
    return rows


def _age(row: Stored) -> int:
    return -row.key


async def _page(
    server: Server, request: FhirRequest, queries: Sequence[SearchQuery], count: int, mark: Mark | None
) -> tuple[list[Stored], Mark | None]:
    """Return the members from a mark on, and where the next page begins, None after the last one.

    The first page has the record itself on top, which counts.
    """
    rows: list[Stored] = []
    room = count if mark else count - 1
    names = [query.type for query in queries]
    first = names.index(mark.type) if mark is not None and mark.type in names else 0
    for query in queries[first:]:
        position = mark.position if mark is not None and mark.type == query.type else Position()
        if room <= len(rows) or sum(row.size for row in rows) > PAGE_BYTES:
            if await _has_any(server, request, query):
                return rows, Mark(query.type)
            continue
        pager = await page_of(server, request, query, room - len(rows), position)
        rows += pager.rows
        if pager.next is not None:
            return rows, Mark(query.type, pager.next)
    return rows, None


async def _has_any(server: Server, request: FhirRequest, query: SearchQuery) -> bool:
    plan = replace(keys_plan(query.type, query.expression, server.registry, 1), keys_only=True)
    return bool((await server.store.search(plan, request.access)).rows)
