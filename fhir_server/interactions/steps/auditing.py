"""The audit of each interaction: what is to be changed is recorded before it is, all else before it is answered.

No audit, no data: when events can't be stored the answer is a 503 without a body, and nothing was changed.
docs/audit.md
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import replace

from fhir_server.access.audit import Act, Event, Situation, event
from fhir_server.datatypes.json_format import decode
from fhir_server.interactions.exchange import FhirRequest, FhirResponse, Server
from fhir_server.interactions.steps.dry_run import DRY_RUN
from fhir_server.outcome import FhirError
from fhir_server.search import decode_pairs
from fhir_server.store.auditing import AuditLog
from fhir_server.store.documents import Change, Method, Stored, Unavailable

Answer = Callable[[Server, FhirRequest], Awaitable[FhirResponse]]

#: Interactions on the single resource that an event names; of the others it keeps the request.
_SINGLE = frozenset(("read", "vread", "create", "update", "patch", "delete"))
_MADE_BY = {Method.POST: "create", Method.PUT: "update", Method.PATCH: "patch", Method.DELETE: "delete"}
#: What tells nothing about anybody.
_UNRECORDED = "capabilities"
_BUNDLES = ("batch", "transaction")
#: Interactions that the code system of AuditEvent.subtype calls otherwise.
_NAMES = {"search-compartment": "search"}
_PATIENT = "Patient/"
_ID = re.compile(r"[A-Za-z0-9\-.]{1,64}").fullmatch
#: Of a request so many characters are kept.
_KEPT = 4096


class Trail:
    """What one request leaves in the audit."""

    def __init__(self, audit: AuditLog, server: Server, request: FhirRequest) -> None:
        self._audit = audit
        self._clock = server.clock
        self._request = request
        self._situation = Situation(request.base, request.client, request.id, request.access.caller)
        self._announced: set[tuple[str, str, int]] = set()

    async def announce(self, changes: Sequence[Change]) -> None:
        """Record changes that are about to be made; a change that is tried again is recorded once."""
        events: list[Event] = []
        now = self._clock()
        for change in changes:
            key = (change.type, change.id, change.version)
            if key not in self._announced:
                self._announced.add(key)
                act = _of(Act(_MADE_BY[change.method], now), change)
                events += self._events(act, change.patients)
        await self._audit.record(events)

    async def finish(self, response: FhirResponse) -> None:
        """Record what was answered, unless it is what was announced."""
        if response.interaction == _UNRECORDED:
            return
        shown = [row for row in response.shown if (row.type, row.id, row.version) not in self._announced]
        if response.status >= 400:
            code = _issue_code(response)
            act = Act(
                _NAMES.get(response.interaction, response.interaction), self._clock(), response.status, code
            )
            events = self._whole(act, ())
        elif response.interaction in _BUNDLES:  # their entries are recorded one by one
            act = Act("read", self._clock())
            events = [event for row in shown for event in self._events(_of(act, row), row.patients)]
        elif shown or not self._announced:
            act = Act(_NAMES.get(response.interaction, response.interaction), self._clock(), response.status)
            events = self._whole(act, shown)
        else:
            return
        await self._audit.record(events)

    def _whole(self, act: Act, shown: Sequence[Stored | Change]) -> list[Event]:
        """Return the events of the request itself."""
        request = self._request
        if DRY_RUN in request.headers and act.interaction in _SINGLE:
            act = replace(act, interaction="operation")  # the like of $validate: nothing was changed
        if act.interaction not in _SINGLE:
            act = replace(act, query=_told(request))
        elif shown:
            act = _of(act, shown[0])
        else:
            act = replace(act, entity="/".join(request.path))
        patients = dict.fromkeys(patient for row in shown for patient in row.patients)
        return self._events(act, tuple(patients) or tuple(_named_patient(request)))

    def _events(self, act: Act, patients: Sequence[str]) -> list[Event]:
        if not patients:
            return [event(self._situation, act)]
        return [event(self._situation, replace(act, patient=patient)) for patient in patients]


def _of(act: Act, row: Stored | Change) -> Act:
    return replace(act, entity=f"{row.type}/{row.id}/_history/{row.version}")


async def audited(server: Server, request: FhirRequest, answer: Answer) -> FhirResponse:
    """Return the answer when what it tells is recorded."""
    audit = server.audit
    assert audit is not None, "the caller knows that there is an audit"
    trail = Trail(audit, server, request)
    inner = server
    if request.method not in ("GET", "HEAD"):
        inner = replace(server, store=server.store.announcing(trail.announce))
    response = await answer(inner, request)
    return await _recorded(trail, response)


async def refused(server: Server, request: FhirRequest, response: FhirResponse) -> FhirResponse:
    """Return the answer to a request that got no further than the edge, when it is recorded."""
    if server.audit is None:
        return response
    return await _recorded(Trail(server.audit, server, request), response)


async def _recorded(trail: Trail, response: FhirResponse) -> FhirResponse:
    try:
        await trail.finish(response)
    except Unavailable:
        return FhirResponse(503, (("Retry-After", "2"),), (), response.interaction, response.type)
    return response


def _told(request: FhirRequest) -> str:
    """Return the request as it is kept: method, address, and the parameters that were sent as a form."""
    address = "/".join((request.base, *request.path))
    text = f"{request.method} {address}?{request.query}" if request.query else f"{request.method} {address}"
    if request.path and request.path[-1] == "_search" and request.body:
        text = f"{text}\n{request.body[:_KEPT].decode('utf-8', 'replace')}"
    return text[:_KEPT]


def _named_patient(request: FhirRequest) -> Iterator[str]:
    """Yield the one patient that a request names in its address: those who ask in vain are recorded with it."""
    path = request.path
    if path[:1] == ("Patient",) and len(path) > 1:
        if _ID(path[1]):
            yield path[1]
    elif request.query and ("patient=" in request.query or "subject=" in request.query):
        try:
            pairs = decode_pairs(request.query)
        except FhirError:
            return
        named = {value.removeprefix(_PATIENT) for name, value in pairs if name in ("patient", "subject")}
        if len(named) == 1 and all(map(_ID, named)):
            yield from named


def _issue_code(response: FhirResponse) -> str:
    body = b"".join(response.body)
    return (
        str(decode(body)["issue"][0]["code"])
        if body.startswith(b'{"resourceType":"OperationOutcome"')
        else ""
    )
