"""history-instance, history-type, history-system: every version, deletions included, newest first.

https://hl7.org/fhir/R4/http.html#history. ``_since`` is inclusive, ``_count`` bounds a page; a page may hold fewer rows
than that. 404 for an id that there never was.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from urllib.parse import urlencode

from fhir_server.datatypes.primitives import is_date, is_instant
from fhir_server.interactions.exchange import FhirRequest, FhirResponse, Policy, Server, Target
from fhir_server.interactions.steps.searchset import history
from fhir_server.outcome import error
from fhir_server.search import decode_pairs

_FORMAT = ("_format", "_pretty")


@dataclass(frozen=True, slots=True)
class HistoryQuery:
    """The parameters of a history request; ``since`` is milliseconds UTC, ``since_text`` as it was sent."""

    count: int
    since: int | None = None
    since_text: str = ""
    cursor: str | None = None


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
    query = parse_history(request.query, server.policy)
    if id_ is not None and await server.store.read(type_ or "", id_, request.access) is None:
        raise error("not-found", f"There is no {type_} with this id.")
    page = await server.store.history(
        type_, id_, request.access, since=query.since, cursor=query.cursor, limit=query.count
    )
    address = "/".join(part for part in (request.base, path, "_history") if part)
    shown = {"_count": str(query.count), **({"_since": query.since_text} if query.since_text else {})}
    links = {"self": f"{address}?{urlencode(shown)}"}
    if page.next is not None:
        links["next"] = f"{address}?{urlencode({**shown, '_cursor': page.next})}"
    return FhirResponse(200, (), (history(request.base, page.rows, links),))


def parse_history(query: str, policy: Policy) -> HistoryQuery:
    """Return the parameters of a history request; raise FhirError 400 for what is unknown or malformed."""
    count, since, since_text, cursor = policy.default_count, None, "", None
    for name, value in decode_pairs(query):
        if name == "_count":
            if not (value.isascii() and value.isdigit()):
                raise error("value", "_count is a whole number of rows, for example _count=20.")
            count = max(1, min(int(value[:9]), policy.max_count))
        elif name == "_since":
            since, since_text = _milliseconds(value), value
        elif name == "_cursor":
            cursor = value
        elif name not in _FORMAT:
            raise error(
                "not-supported",
                "A history takes the parameters _count and _since; it has another one.",
                status=400,
            )
    return HistoryQuery(count, since, since_text, cursor)


def _milliseconds(text: str) -> int:
    is_day = is_date(text) and len(text) == len("2020-01-01")
    if is_day or is_instant(text):
        try:
            moment = datetime.fromisoformat(f"{text}T00:00:00Z" if is_day else text)
            return int(moment.timestamp() * 1000)
        except (ValueError, OverflowError):
            pass  # A leap second, or a moment that leaves the calendar in UTC.
    raise error("value", "_since is an instant with zone or a date, for example 2026-01-31T08:00:00Z.")
