"""The audit of each interaction: what is to be changed is recorded before it is, all else before it is answered.

No audit, no data: when events can't be stored the answer is a 503 without a body, and nothing was changed.
docs/audit.md
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterable, Sequence
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
_NOBODY = (None,)


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
                events += self._single(_MADE_BY[change.method], change, now)
        await self._audit.record(events)

    async def finish(self, response: FhirResponse) -> None:
        """Record what was answered, unless it is what was announced."""
        if response.interaction == _UNRECORDED:
            return
        shown = [row for row in response.shown if (row.type, row.id, row.version) not in self._announced]
        if response.status >= 400:
            events = self._whole(response.interaction, response.status, _issue_code(response), ())
        elif response.interaction in _BUNDLES:  # their entries are recorded one by one
            now = self._clock()
            events = [event for row in shown for event in self._single("read", row, now)]
        elif shown or not self._announced:
            events = self._whole(response.interaction, response.status, "", shown)
        else:
            return
        await self._audit.record(events)

    def _whole(
        self, interaction: str, status: int, code: str, shown: Sequence[Stored | Change]
    ) -> list[Event]:
        """Return the events of the request itself."""
        request = self._request
        interaction = _NAMES.get(interaction, interaction)
        if DRY_RUN in request.headers and interaction in _SINGLE:
            interaction = "operation"  # the like of $validate: nothing was changed
        entity = query = ""
        if interaction not in _SINGLE:
            query = _told(request)
        else:
            entity = _entity(shown[0]) if shown else "/".join(request.path)
        patients: Iterable[str] = (
            shown[0].patients if len(shown) == 1 else {p for row in shown for p in row.patients}
        )
        now = self._clock()
        return [
            event(self._situation, Act(interaction, now, status, code, entity, query, patient))
            for patient in patients or _named_patient(request) or _NOBODY
        ]

    def _single(self, interaction: str, row: Stored | Change, now: int) -> list[Event]:
        """Return the events of what is done with one version."""
        entity = _entity(row)
        return [
            event(self._situation, Act(interaction, now, entity=entity, patient=patient))
            for patient in row.patients or _NOBODY
        ]


def _entity(row: Stored | Change) -> str:
    return f"{row.type}/{row.id}/_history/{row.version}"


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


def _named_patient(request: FhirRequest) -> tuple[str, ...]:
    """Return the one patient that a request names in its address: those who ask in vain are recorded with it."""
    path = request.path
    if path[:1] == ("Patient",) and len(path) > 1:
        return (path[1],) if _ID(path[1]) else ()
    if "patient=" not in request.query and "subject=" not in request.query:
        return ()
    try:
        pairs = decode_pairs(request.query)
    except FhirError:
        return ()
    named = {value.removeprefix(_PATIENT) for name, value in pairs if name in ("patient", "subject")}
    return tuple(named) if len(named) == 1 and all(map(_ID, named)) else ()


def _issue_code(response: FhirResponse) -> str:
    body = b"".join(response.body)
    return (
        str(decode(body)["issue"][0]["code"])
        if body.startswith(b'{"resourceType":"OperationOutcome"')
        else ""
    )
