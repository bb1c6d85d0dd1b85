"""$open-due-spaces, and the daily job: spaces whose citizens had time to object are opened.

``POST Patient/$open-due-spaces``. A space is opened with its Patient and its AuditEvent in one transaction that names
the epoch of the control document: a job that runs twice, or on two nodes, opens it once.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any

from fhir_server.access import OPEN
from fhir_server.access.caller import Kind
from fhir_server.datatypes.json_format import decode
from fhir_server.interactions.exchange import FhirRequest, FhirResponse, Server, Target
from fhir_server.interactions.steps.in_space import changed, moved
from fhir_server.interactions.steps.prepare import instant
from fhir_server.operations.inputs import answered, inputs
from fhir_server.operations.space_audit import space_event
from fhir_server.operations.space_erasure import erase_due
from fhir_server.outcome import error
from fhir_server.space.life import DAY, State, is_due, is_in_cohort
from fhir_server.space.names import PROFILE
from fhir_server.store.documents import Unavailable, VersionConflict

_LOG = logging.getLogger("fhir_server")
#: Seconds from the start of the server to the first run, and between two runs.
_FIRST = 60.0
_EVERY = 24 * 3600.0


@dataclass(slots=True)
class Report:
    """What one run did: patients whose space is open now, and those whose could not be opened, with the reason."""

    opened: list[str] = field(default_factory=list)
    refused: list[tuple[str, str]] = field(default_factory=list)


async def open_due_spaces(server: Server, request: FhirRequest, target: Target) -> FhirResponse:  # noqa: ARG001
    """Return 200 with Parameters: ``opened`` and ``refused`` Patients, with the reasons."""
    inputs(request, {})
    if request.access.caller is not None and request.access.caller.kind is not Kind.OPERATOR:
        raise error("forbidden", "$open-due-spaces is for operators.")
    report = await open_due(server, request)
    rows: list[dict[str, Any]] = [
        {"name": "opened", "valueReference": {"reference": f"Patient/{patient}"}} for patient in report.opened
    ]
    rows += [
        {
            "name": "refused",
            "part": [
                {"name": "patient", "valueReference": {"reference": f"Patient/{patient}"}},
                {"name": "reason", "valueString": reason},
            ],
        }
        for patient, reason in report.refused
    ]
    return answered(rows)


async def follow(server: Server) -> None:
    """Open and erase what is due once a day, for ever; an outage of the database only delays it."""
    await asyncio.sleep(_FIRST)
    while True:
        with suppress(Unavailable):
            job = FhirRequest("POST", ("Patient", "$open-due-spaces"), access=OPEN)
            report = await open_due(server, job)
            if report.opened or report.refused:
                _LOG.info("spaces: %d opened, %d refused", len(report.opened), len(report.refused))
            if erased := await erase_due(server, job):
                _LOG.info("spaces: %d erased", len(erased))
        await asyncio.sleep(_EVERY)


async def open_due(server: Server, request: FhirRequest) -> Report:
    """Open the spaces that are due; another one's change in between is left for the next run."""
    report = Report()
    now, days = server.clock(), server.policy.space_opening_days
    for space in await server.store.spaces.announced(now - days * DAY):
        if not is_due(space, days, now):
            continue
        reason = await _hindrance(server, space.patient)
        if reason:
            report.refused.append((space.patient, reason))
            continue
        opened = replace(
            moved(space, space.patient, State.OPEN, now),
            origin="automatic",
            cohort=server.policy.space_cohort,
        )
        changes = [
            *await changed(server, request, f"Patient/{space.patient}", {"active": True}, now),
            space_event(
                server,
                request,
                opened,
                job="opening job",
                action="U",
                text=f"space opened: {opened.cohort}, notice of {instant(opened.notice)}",
            ),
        ]
        try:
            await server.store.commit_many(changes, (opened,))
        except VersionConflict:
            continue
        report.opened.append(space.patient)
    return report


async def _hindrance(server: Server, patient: str) -> str:
    """Return why a patient's space is not opened, "" if nothing is in the way."""
    stored = await server.store.read("Patient", patient, OPEN)
    if stored is None or stored.is_deleted:
        return "There is no such Patient."
    resource = decode(await server.store.contents.filled(stored))
    if not is_in_cohort(server.policy.space_cohort, str(resource.get("birthDate", ""))):
        return f"The birth date is not in the cohort {server.policy.space_cohort}."
    profiled = {**resource, "meta": {"profile": [f"{PROFILE}hs-patient"]}}
    issues = [i for i in server.validator.validate(profiled) if i.severity in ("error", "fatal")]
    return f"The Patient is not valid against hs-patient: {issues[0].diagnostics}" if issues else ""
