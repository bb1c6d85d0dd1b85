"""read and search of AuditEvents: what the server wrote itself; clients can't write any.

https://hl7.org/fhir/R4/auditevent.html. A search names a patient, an agent or a time: others would walk through the
whole audit. Newest first, unless ``_sort=date``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

from fhir_server.access.caller import Kind
from fhir_server.datatypes.dates import search_interval
from fhir_server.interactions.exchange import FhirRequest, FhirResponse, Server, Target
from fhir_server.interactions.steps.searchset import searchset
from fhir_server.outcome import FhirError, error
from fhir_server.search import decode_pairs
from fhir_server.store.audit_reading import Row
from fhir_server.store.auditing import AuditLog
from fhir_server.store.documents import Method, Stored

TYPE = "AuditEvent"
#: Parameters by name: their type in R4 and what they are good for.
PARAMETERS = {
    "patient": "reference",
    "agent": "reference",
    "date": "date",
    "entity": "reference",
    "action": "token",
    "outcome": "token",
    "subtype": "token",
}
_SHAPING = ("_format", "_pretty")
_TOKENS = {"action": "a", "outcome": "o", "subtype": "k"}
#: Who may read the whole audit; the patient and the representative read that of their own record, others nothing.
_AUDITORS = (Kind.AUDITOR, Kind.OPERATOR)
_ID_MAX = 64


@dataclass(slots=True)
class Query:
    """A search: conditions on fields, inclusive milliseconds UTC, order and page."""

    conditions: dict[str, Any] = field(default_factory=dict)
    since: int | None = None
    until: int | None = None
    ascending: bool = False
    count: int = 50
    after: str | None = None


def unwritable(place: str = "") -> FhirError:
    """Return the 405 for whoever wants to write an AuditEvent."""
    return error(
        "not-supported",
        "AuditEvents are written by the server alone, and never changed.",
        expression=place or TYPE,
        status=405,
        headers={"Allow": "GET"},
    )


async def read(server: Server, request: FhirRequest, target: Target) -> FhirResponse:
    """Return 200 with an event; raise FhirError 404 if there is none for this caller."""
    row = await _log(server).read(target.id[:_ID_MAX], visible(request))
    if row is None:
        raise error("not-found", "There is no AuditEvent with this id.")
    stored = shown(row)
    return FhirResponse(200, (("ETag", 'W/"1"'),), (row.body,), shown=(stored,))


async def search(server: Server, request: FhirRequest, target: Target) -> FhirResponse:
    """Return 200 with a searchset Bundle."""
    seen = visible(request)
    body = request.body.decode("utf-8", "replace") if request.path[-1] == "_search" else ""
    pairs = [pair for text in (request.query, body) if text for pair in decode_pairs(text)]
    compartment = target.id if target.version == TYPE else ""
    if compartment and target.type != "Patient":
        raise error("not-supported", "Of the compartments only the Patient's has AuditEvents.", status=404)
    place = f"{target.type}/{target.id}/{TYPE}" if compartment else TYPE
    query = parsed(server, request, pairs, place)
    if compartment:
        query.conditions["p"] = compartment
    narrow = {"p", "s"} & (query.conditions.keys() | seen.keys())
    if not narrow and query.since is None and query.until is None:
        raise error(
            "too-costly", "A search of the audit names a patient, an agent, or a time (date=ge2026-01-01)."
        )
    rows = await _log(server).search(
        {"$and": [query.conditions, seen]},
        since=query.since,
        until=query.until,
        after=query.after,
        ascending=query.ascending,
        limit=query.count + 1,
    )
    page = rows[: query.count]
    kept = [(name, value) for name, value in pairs if name not in (*_SHAPING, "_cursor")]
    address = f"{request.base}/{place}"
    links = {"self": f"{address}?{urlencode(kept)}"}
    if len(rows) > len(page):
        cursor = server.cursors.seal_state(
            page[-1].id, place=place, actor=request.access.actor, now=server.clock()
        )
        links["next"] = f"{address}?{urlencode([*kept, ('_cursor', cursor)])}"
    found = [shown(row) for row in page]
    return FhirResponse(200, (), (searchset(request.base, found, links),), shown=found)


def visible(request: FhirRequest) -> Mapping[str, Any]:
    """Return the condition on events that the caller may see; raise FhirError 403 where that is none."""
    caller = request.access.caller
    if caller is None or caller.kind in _AUDITORS:
        return {}
    if request.access.own:
        return {"p": {"$in": sorted(request.access.own)}}
    raise error("forbidden", "The audit is for the patient concerned and for auditors.", status=403)


def shown(row: Row) -> Stored:
    """Return an event as a version of a resource; what it tells of the patient is an access, too."""
    time = row.fields["t"]
    patients = (row.fields["p"],) if "p" in row.fields else ()
    return Stored(TYPE, row.id, 1, time, time, Method.POST, row.body, patients=patients)


def parsed(server: Server, request: FhirRequest, pairs: list[tuple[str, str]], place: str) -> Query:
    """Return the query of parameters; raise FhirError 400 for one that is unknown or malformed."""
    query = Query(count=server.policy.default_count)
    for name, value in pairs:
        if name in _SHAPING:
            continue
        reader = _READERS.get(name)
        if reader is None and name != "_cursor":
            known = ", ".join((*PARAMETERS, *_READERS.keys() - PARAMETERS.keys()))
            raise error("not-supported", f"AuditEvent has the search parameters {known}.", status=400)
        if reader is None:
            query.after = str(
                server.cursors.open_state(value, place, actor=request.access.actor, now=server.clock())
            )
        else:
            reader(query, name, value)
    query.count = min(query.count, server.policy.max_count)
    return query


def _token(query: Query, name: str, value: str) -> None:
    codes = [code.rpartition("|")[2] for code in value.split(",")]
    query.conditions[_TOKENS[name]] = {"$in": codes}


def _patient(query: Query, name: str, value: str) -> None:
    if "," in value or not value.removeprefix("Patient/"):
        raise error("value", f"Parameter '{name}' takes one patient: its id or Patient/[id].")
    query.conditions["p"] = value.removeprefix("Patient/")


def _agent(query: Query, name: str, value: str) -> None:
    if "/" not in value:
        raise error("value", f"Parameter '{name}' takes a reference, such as Practitioner/[id].")
    query.conditions["s"] = {"$in": value.split(",")}


def _entity(query: Query, name: str, value: str) -> None:  # noqa: ARG001 (as every reader)
    query.conditions["e"] = {"$in": [part.partition("/_history/")[0] for part in value.split(",")]}


def _date(query: Query, name: str, value: str) -> None:
    prefix, text = (value[:2], value[2:]) if value[:2].isalpha() else ("eq", value)
    try:
        low, high = search_interval(text)
    except ValueError:
        raise error("value", f"Parameter '{name}': that is no date.") from None
    bounds = {
        "eq": (low, high),
        "ge": (low, None),
        "gt": (high + 1, None),
        "sa": (high + 1, None),
        "le": (None, high),
        "lt": (None, low - 1),
        "eb": (None, low - 1),
    }.get(prefix)
    if bounds is None:
        raise error(
            "not-supported", f"Parameter '{name}' has the prefixes eq, ge, gt, sa, le, lt, eb.", status=400
        )
    since, until = bounds
    if since is not None:
        query.since = since if query.since is None else max(query.since, since)
    if until is not None:
        query.until = until if query.until is None else min(query.until, until)


def _count(query: Query, name: str, value: str) -> None:
    if not (value.isascii() and value.isdigit() and int(value)):
        raise error("value", f"Parameter '{name}' is a number above 0.")
    query.count = int(value)


def _sort(query: Query, name: str, value: str) -> None:
    if value not in ("date", "-date"):
        raise error("not-supported", f"Parameter '{name}' is date or -date here.", status=400)
    query.ascending = value == "date"


_READERS: Mapping[str, Callable[[Query, str, str], None]] = {
    "patient": _patient,
    "agent": _agent,
    "date": _date,
    "entity": _entity,
    **dict.fromkeys(_TOKENS, _token),
    "_count": _count,
    "_sort": _sort,
}


def _log(server: Server) -> AuditLog:
    assert server.audit is not None, "the router asks before"
    return server.audit
