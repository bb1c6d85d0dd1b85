"""$erase-due-spaces, and the daily job: spaces that were closed so long ago that the law wants them destroyed.

``POST Patient/$erase-due-spaces``, with ``dryRun`` to see what would go. What remains: the control document (id of the
Patient, state erased), the events of the audit, and the record of the purge, which counts the versions.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from fhir_server.access.caller import Kind
from fhir_server.interactions.exchange import FhirRequest, FhirResponse, Server, Target
from fhir_server.interactions.steps.in_space import moved
from fhir_server.operations.inputs import answered, inputs
from fhir_server.operations.space_audit import space_event
from fhir_server.outcome import error
from fhir_server.space.life import DAY, State
from fhir_server.store.documents import VersionConflict
from fhir_server.store.purging import Purge

#: So long after a space became erased the job looks whether its purge was finished.
_LOOK_BACK = 30 * DAY


async def erase_due_spaces(server: Server, request: FhirRequest, target: Target) -> FhirResponse:  # noqa: ARG001
    """Return 200 with Parameters: each Patient that is erased, or would be, and the number of versions."""
    given = inputs(request, {"dryRun": "boolean"})
    if request.access.caller is not None and request.access.caller.kind is not Kind.OPERATOR:
        raise error("forbidden", "$erase-due-spaces is for operators.")
    erased = await erase_due(server, request, is_dry=given.flag("dryRun"))
    rows: list[dict[str, Any]] = [
        {
            "name": "erased",
            "part": [
                {"name": "patient", "valueReference": {"reference": f"Patient/{patient}"}},
                {"name": "versions", "valueInteger": versions},
            ],
        }
        for patient, versions in erased.items()
    ]
    return answered([{"name": "dryRun", "valueBoolean": given.flag("dryRun")}, *rows])


async def erase_due(server: Server, request: FhirRequest, *, is_dry: bool = False) -> dict[str, int]:
    """Erase the spaces that are due and return how many versions went of each patient.

    The state is the first thing that changes, with its event, so that nobody reopens what is being destroyed; a purge
    that a crash prevented is made up for by the next run.
    """
    now = server.clock()
    due = await server.store.spaces.in_state(
        State.CLOSED, until=_before(now, server.policy.space_erasure_years)
    )
    found: dict[str, int] = {}
    for space in due:
        purge = _purge(space.patient)
        if is_dry:
            found[space.patient] = await server.store.purges.count(purge)
            continue
        erased = moved(space, space.patient, State.ERASED, now)
        text = f"space erased: closed for {server.policy.space_erasure_years} years"
        event = space_event(server, request, erased, job="erasure job", action="D", text=text)
        try:
            await server.store.commit_many([event], (erased,))
        except VersionConflict:
            continue
        found[space.patient] = await _carried_out(server, purge)
    if not is_dry:
        for space in await server.store.spaces.in_state(State.ERASED, since=now - _LOOK_BACK, until=now):
            purge = _purge(space.patient)
            if space.patient not in found and await server.store.purges.count(purge):
                found[space.patient] = await _carried_out(server, purge)
    return found


def _purge(patient: str) -> Purge:
    return Purge("erasure job", "The legal term of a closed space has passed.", patient=patient)


async def _carried_out(server: Server, purge: Purge) -> int:
    row = await server.store.purges.begin(purge, server.clock())
    while row["state"] == "running":
        row = await server.store.purges.step(row, server.clock())
    return int(row["removed"])


def _before(now: int, years: int) -> int:
    """Return the moment so many calendar years before another one."""
    moment = datetime.fromtimestamp(now / 1000, UTC)
    day = 28 if (moment.month, moment.day) == (2, 29) else moment.day
    return int(moment.replace(year=moment.year - years, day=day).timestamp() * 1000)
