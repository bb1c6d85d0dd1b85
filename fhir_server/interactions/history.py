"""history-instance, history-type, history-system: every version, deletions included.

https://hl7.org/fhir/R4/http.html#history. ``_since`` is inclusive, ``_at`` gives the versions that were current at
some time in its period, ``_list`` those that a List refers to, ``_sort`` takes _lastUpdated and -_lastUpdated;
``_count`` bounds a page, which may hold fewer rows than that, and ``_count=0`` asks for the total alone. 404 for an id
that there never was.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import urlencode

from fhir_server.datatypes.dates import search_interval
from fhir_server.datatypes.json_format import decode
from fhir_server.datatypes.primitives import is_date, is_instant
from fhir_server.datatypes.references import parse
from fhir_server.interactions.exchange import FhirRequest, FhirResponse, Policy, Server, Target
from fhir_server.interactions.steps.searchset import history, large_of
from fhir_server.outcome import error
from fhir_server.search import decode_pairs

_FORMAT = ("_format", "_pretty")


@dataclass(frozen=True, slots=True)
class HistoryQuery:
    """The parameters of a history request.

    ``since`` is milliseconds UTC, ``at`` the first and last millisecond of a period; ``shown`` what the links repeat.
    """

    count: int
    since: int | None = None
    at: tuple[int, int] | None = None
    ascending: bool = False
    list: str | None = None
    cursor: str | None = None
    shown: tuple[tuple[str, str], ...] = ()


async def history_instance(server: Server, request: FhirRequest, target: Target) -> FhirResponse:
    """Return 200 with the versions of one resource."""
    return await _answer(server, request, f"{target.type}/{target.id}", target.type, target.id)


async def history_type(server: Server, request: FhirRequest, target: Target) -> FhirResponse:
    """Return 200 with the versions of all resources of a type."""
    return await _answer(server, request, target.type, target.type, None)


async def history_system(server: Server, request: FhirRequest, target: Target) -> FhirResponse:  # noqa: ARG001
    """Return 200 with the versions of all resources."""
    return await _answer(server, request, "", None, None)


async def _answer(
    server: Server, request: FhirRequest, path: str, type_: str | None, id_: str | None
) -> FhirResponse:
    query = parse_history(request.query, server.policy, request.base)
    if id_ is not None and await server.store.read(type_ or "", id_, request.access) is None:
        raise error("not-found", f"There is no {type_} with this id.")
    listed = None if query.list is None else await _listed(server, request, query.list)
    address = "/".join(part for part in (request.base, path, "_history") if part)
    links = {"self": f"{address}?{urlencode(query.shown)}"}
    if query.count == 0:
        total = await server.store.count_history(
            type_, id_, request.access, since=query.since, at=query.at, listed=listed
        )
        return FhirResponse(200, (), (history(request.base, (), links, total=total),))
    actor, now = request.access.actor, server.clock()
    place = f"/{path}/_history"
    cursor = (
        None if query.cursor is None else server.cursors.open_state(query.cursor, place, actor=actor, now=now)
    )
    page = await server.store.history(
        type_,
        id_,
        request.access,
        since=query.since,
        at=query.at,
        ascending=query.ascending,
        listed=listed,
        cursor=cursor,
        limit=query.count,
    )
    if page.next is not None:
        sealed = server.cursors.seal_state(page.next, place=place, actor=actor, now=now)
        links["next"] = f"{address}?{urlencode([*query.shown, ('_cursor', sealed)])}"
    body = history(request.base, page.rows, links)
    return FhirResponse(200, (), (body,), large=large_of(page.rows), shown=page.rows)


async def _listed(server: Server, request: FhirRequest, id_: str) -> list[tuple[str, str, int]]:
    """Return the versions that a List refers to; a List that the caller can't see refers to none."""
    stored = await server.store.read("List", id_, request.access)
    if stored is None or stored.is_deleted:
        return []
    found: dict[tuple[str, str, int], None] = {}
    for entry in decode(stored.body).get("entry", ()):
        target = parse(entry.get("item", {}).get("reference", ""))
        if target is not None and target.id and target.base in ("", request.base):
            version = int(target.version) if _NUMBER(target.version) else 0
            if version or not target.version:
                found[target.type, target.id, version] = None
    if len(found) > _LONGEST_LIST:
        raise error(
            "too-costly",
            f"The List refers to {len(found)} resources; a history takes {_LONGEST_LIST} at most.",
        )
    return list(found)


def parse_history(query: str, policy: Policy, base: str = "") -> HistoryQuery:
    """Return the parameters of a history request; raise FhirError 400 for what is unknown or malformed."""
    given: dict[str, str] = {}
    for name, value in decode_pairs(query):
        if name in _FORMAT or not value:
            continue
        if name not in _PARAMETERS:
            raise error("not-supported", _OTHER)
        if name in given:
            raise error("value", f"A history takes {name} once only.")
        given[name] = value
    count = given.get("_count", str(policy.default_count))
    if not (count.isascii() and count.isdigit()):
        raise error("value", "_count is a whole number of rows, for example _count=20.")
    rows = min(int(count[:9]), policy.max_count)
    order = given.get("_sort", _NEWEST_FIRST)
    if order not in (_OLDEST_FIRST, _NEWEST_FIRST):
        raise error(
            "not-supported", f"A history is sorted by {_OLDEST_FIRST} or {_NEWEST_FIRST} (the default)."
        )
    since, at = given.get("_since"), given.get("_at")
    shown = [("_count", str(rows))]
    shown += [(name, given[name]) for name in ("_since", "_at", "_list", "_sort") if name in given]
    return HistoryQuery(
        rows,
        None if since is None else _milliseconds(since),
        None if at is None else _period(at),
        order == _OLDEST_FIRST,
        None if "_list" not in given else _list_id(given["_list"], base),
        given.get("_cursor"),
        tuple(shown),
    )


_OLDEST_FIRST, _NEWEST_FIRST = "_lastUpdated", "-_lastUpdated"
_PARAMETERS = ("_count", "_since", "_at", "_list", "_sort", "_cursor")
_OTHER = "A history takes the parameters _count, _since, _at, _list and _sort; it has another one."
#: Resources of a List whose histories are shown together.
_LONGEST_LIST = 500
_NUMBER = re.compile(r"[1-9][0-9]{0,8}", re.ASCII).fullmatch
_ID = re.compile(r"[A-Za-z0-9\-.]{1,64}", re.ASCII).fullmatch


def _list_id(text: str, base: str) -> str:
    id_ = text.removeprefix(f"{base}/").removeprefix("List/")
    if id_.startswith("$"):
        raise error("not-supported", f"_list: the list {id_} is not defined here.", status=400)
    if not _ID(id_):
        raise error("value", "_list takes the id of a List.")
    return id_


def _milliseconds(text: str) -> int:
    is_day = is_date(text) and len(text) == len("2020-01-01")
    if is_day or is_instant(text):
        try:
            moment = datetime.fromisoformat(f"{text}T00:00:00Z" if is_day else text)
            return int(moment.timestamp() * 1000)
        except (ValueError, OverflowError):
            pass  # A leap second, or a moment that leaves the calendar in UTC.
    raise error("value", "_since is an instant with zone or a date, for example 2026-01-31T08:00:00Z.")


def _period(text: str) -> tuple[int, int]:
    try:
        return search_interval(text)
    except (ValueError, OverflowError):
        raise error(
            "value", "_at is a date, dateTime or instant, for example 2026-01 or 2026-01-31T08:00:00Z."
        ) from None
