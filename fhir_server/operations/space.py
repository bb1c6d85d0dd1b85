"""$space, $open-space, $close-space: the state of a citizen's space, and what the citizen does with it.

``Patient/[id]/$space`` and so on; docs/space.md. ``Patient.active`` and the state change in one transaction.
"""

from __future__ import annotations

from dataclasses import replace

from fhir_server.datatypes.dates import interval
from fhir_server.interactions.exchange import FhirRequest, FhirResponse, Server, Target
from fhir_server.interactions.read import current
from fhir_server.interactions.steps.in_space import changed, moved
from fhir_server.interactions.steps.prepare import instant
from fhir_server.operations.inputs import answered, inputs
from fhir_server.outcome import FhirError, Issue, error
from fhir_server.space.life import Space, State
from fhir_server.store.documents import VersionConflict

_ATTEMPTS = 10


async def status(server: Server, request: FhirRequest, target: Target) -> FhirResponse:
    """Return 200 with the state of a space; 404 when no space of this patient was ever spoken of."""
    inputs(request, {})
    check_own(request, target)
    await current(server, request, target)
    space = await server.store.spaces.read(target.id)
    if space is None:
        raise error("not-found", "This citizen has no space yet; $open-space opens one.")
    return _told(space)


async def open_space(server: Server, request: FhirRequest, target: Target) -> FhirResponse:
    """Return 200 with the state: open at once, or waiting for the day if a notice is told (422 after an opposition).

    ``notice`` is when the notice was sent; ``returned`` tells that it came back, so that the time does not run.
    """
    given = inputs(request, {"notice": "text", "returned": "boolean"})
    notice = _moment(given.text("notice"))

    def opened(before: Space | None, now: int) -> Space:
        was = before.state if before is not None else None
        if was in (State.OPPOSED, State.ERASED):
            text = "The citizen objected to this space: withdraw that first (Consent to inactive)."
            text = text if was is State.OPPOSED else "This space was erased."
            raise FhirError(Issue("error", "business-rule", text, rule=f"hs-b-space-{was}"))
        if not notice and not given.flag("returned"):
            return moved(before, target.id, State.OPEN, now)
        if was in (State.OPEN, State.CLOSED):
            text = "This space was open before, so that no notice is due: open it without one."
            raise FhirError(Issue("error", "business-rule", text, rule="hs-b-space-notice"))
        if notice > now:
            raise error("value", "A notice that was sent lies in the past.")
        made = moved(before, target.id, State.PENDING, before.since if before is not None else now)
        return replace(made, notice=0 if given.flag("returned") else notice)

    return await _change(server, request, target, opened, State.OPEN)


async def close_space(server: Server, request: FhirRequest, target: Target) -> FhirResponse:
    """Return 200 when the space is closed; 422 when it is not open."""
    inputs(request, {})

    def closed(before: Space | None, now: int) -> Space:
        if before is None or before.state not in (State.OPEN, State.CLOSED, State.PENDING):
            text = "Only a space that is open, or is to be opened, can be closed."
            raise FhirError(Issue("error", "business-rule", text, rule="hs-b-space-closed"))
        return moved(before, target.id, State.CLOSED, now)

    return await _change(server, request, target, closed, State.CLOSED)


async def _change(
    server: Server, request: FhirRequest, target: Target, to: object, already: State
) -> FhirResponse:
    """Bring a space to another state, with its Patient; what is so already stays as it is."""
    assert callable(to)
    check_own(request, target)
    for _ in range(_ATTEMPTS):
        await current(server, request, target)
        now = server.clock()
        before = await server.store.spaces.read(target.id)
        space: Space = to(before, now)
        if before is not None and space.state is already is before.state:
            return _told(before)
        active = {"active": space.state is State.OPEN}
        changes = await changed(server, request, f"Patient/{target.id}", active, now)
        try:
            if changes:
                await server.store.commit_many(changes, (space,))
            else:
                await server.store.spaces.replace(space)
        except VersionConflict:
            continue
        return _told(space)
    raise error("conflict", "The space is being changed by others; try again.", headers={"Retry-After": "1"})


def check_own(request: FhirRequest, target: Target) -> None:
    """Raise FhirError 403 for who signed in and is neither the citizen, nor for the citizen, nor an operator."""
    if not request.access.decides_for(target.id):
        raise error("forbidden", "A space is the citizen's own matter.")


def _moment(text: str) -> int:
    if not text:
        return 0
    try:
        return interval(text)[0]
    except ValueError:
        raise error("value", "notice is a date or dateTime.") from None


def _told(space: Space) -> FhirResponse:
    rows = [
        {"name": "state", "valueCode": space.state.value},
        {"name": "since", "valueInstant": instant(space.since)},
        {"name": "origin", "valueCode": space.origin},
    ]
    if space.cohort:
        rows.append({"name": "cohort", "valueString": space.cohort})
    if space.notice:
        rows.append({"name": "notice", "valueInstant": instant(space.notice)})
    return answered(rows)
