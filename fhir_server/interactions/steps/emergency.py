"""Emergency access: a grant for one patient and half an hour, which a professional's requests carry in a header.

``Patient/[id]/$break-glass`` gives it. It stands in for membership of the care team; all else holds: law, matrix,
what the citizen denies. Refusals have one text, so that they tell nothing of the patient.
"""

from __future__ import annotations

from dataclasses import dataclass

from fhir_server.access.caller import Caller, Kind
from fhir_server.interactions.exchange import FhirRequest, Server
from fhir_server.outcome import FhirError, error
from fhir_server.search import decode_pairs

GRANT_HEADER = "x-emergency-grant"
#: How long a grant holds, in milliseconds.
LIFETIME = 30 * 60_000
#: The role that each kind of emergency asks for: somebody at risk who can't speak; an emergency call.
ROLES = {"BTG": "emergency", "ETREAT": "regulation"}
_PLACE = "$break-glass"


@dataclass(frozen=True, slots=True)
class Emergency:
    """A grant: the purpose of use, BTG or ETREAT, and the one patient."""

    purpose: str
    patient: str


def sealed(server: Server, caller: Caller, emergency: Emergency) -> str:
    """Return a grant as its caller, and nobody else, can use it."""
    now = server.clock()
    state = [emergency.purpose, emergency.patient, now + LIFETIME]
    return server.cursors.seal_state(state, place=_PLACE, actor=_actor(caller), now=now)


def emergency_of(server: Server, caller: Caller, request: FhirRequest) -> Emergency | None:
    """Return the grant that a request carries, None if it carries none.

    Raises FhirError 403 when it isn't the caller's, has ended, or the request names another patient.
    """
    text = request.headers.get(GRANT_HEADER)
    if text is None:
        return None
    now = server.clock()
    try:
        purpose, patient, until = server.cursors.open_state(text, _PLACE, actor=_actor(caller), now=now)
    except FhirError as problem:
        raise no_emergency() from problem
    if now > until or caller.kind is not Kind.PROFESSIONAL or not _named(request) <= {patient}:
        raise no_emergency()
    return Emergency(purpose, patient)


def _named(request: FhirRequest) -> set[str]:
    """Return the patients that the address names."""
    path = request.path
    found = {path[1]} if path[:1] == ("Patient",) and len(path) > 1 and path[1][:1] not in "_$" else set()
    pairs = decode_pairs(request.query) if "=" in request.query else ()
    named = (v for name, value in pairs if name in ("patient", "subject") for v in value.split(","))
    return found | {value.removeprefix("Patient/") for value in named}


def no_emergency() -> FhirError:
    """Return the one refusal."""
    return error("forbidden", "There is no emergency access with this request.", status=403)


def _actor(caller: Caller) -> str:
    return f"{caller.client}|{caller.subject}"
