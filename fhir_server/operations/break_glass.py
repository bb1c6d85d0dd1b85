"""Patient/[id]/$break-glass: emergency access to one patient's space for half an hour, with a reason.

Who gets it sends it with each request as ``X-Emergency-Grant``. The citizen is told by a Communication, and the audit
has the purpose. Code de la sante publique L1111-17, R1111-48; docs/consent.md.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from fhir_server.access import OPEN
from fhir_server.access.audit import Act, Situation, event
from fhir_server.access.caller import Caller, Kind
from fhir_server.access.policy import NOTHING
from fhir_server.interactions.exchange import FhirRequest, FhirResponse, Server, Target
from fhir_server.interactions.steps.admit import admitted
from fhir_server.interactions.steps.consents import resource_of
from fhir_server.interactions.steps.emergency import LIFETIME, ROLES, Emergency, no_emergency, sealed
from fhir_server.interactions.steps.guard import secured
from fhir_server.interactions.steps.in_space import commit
from fhir_server.interactions.steps.prepare import identified, instant, stamped
from fhir_server.operations.inputs import answered, inputs, missing
from fhir_server.outcome import error
from fhir_server.store.documents import Change, Method

#: Grants of one person in an hour.
_MOST = 5
_HOUR = 3_600_000
_NOTICE = (
    "Your health space was opened in an emergency. The access history tells who did what. / "
    "Votre espace de santé a été ouvert en urgence. L'historique des accès dit qui a fait quoi."
)


async def break_glass(server: Server, request: FhirRequest, target: Target) -> FhirResponse:
    """Return 200 with ``grant``, ``header`` and ``until``.

    ``reason`` is a text, ``mode`` BTG (the default) or ETREAT. Raises FhirError 403 without the role and with one text
    for whatever is in the way with this patient, 400 without a reason, 429 after five grants in an hour.
    """
    given = inputs(request, {"reason": "text", "mode": "text"})
    mode, caller = given.text("mode") or "BTG", request.access.caller
    if mode not in ROLES:
        raise error("value", f"The mode of an emergency is one of {', '.join(ROLES)}.")
    if caller is None or caller.kind is not Kind.PROFESSIONAL or ROLES[mode] not in caller.roles:
        raise no_emergency()
    if not given.text("reason").strip():
        raise missing("Tell the reason of the emergency.")
    now = server.clock()
    key = f"break-glass|{caller.subject}|{now // _HOUR}"
    if (await server.store.quotas.use({key: 1}))[key] > _MOST:
        seconds = str((_HOUR - now % _HOUR) // 1000 + 1)
        text = f"There can be {_MOST} emergencies in an hour."
        raise error("throttled", text, status=429, headers={"Retry-After": seconds})
    emergency = Emergency(mode, target.id)
    found = await admitted(server, caller, emergency)
    seen = found.judged.get(target.id)
    is_there = await resource_of(server, f"Patient/{target.id}") is not None
    if seen is None or not is_there or seen.clause == NOTHING:
        raise no_emergency()
    await _tell(server, request, _message(caller, target.id, given.text("reason").strip(), now))
    if server.audit is not None:
        situation = Situation(request.base, request.client, request.id, replace(caller, purpose=mode))
        act = Act("operation", now, query=f"POST {request.base}/{'/'.join(request.path)}", patient=target.id)
        await server.audit.record([event(situation, act)])
    return answered(
        [
            {"name": "grant", "valueString": sealed(server, caller, emergency)},
            {"name": "header", "valueString": "X-Emergency-Grant"},
            {"name": "until", "valueInstant": instant(now + LIFETIME)},
        ]
    )


def _message(caller: Caller, patient: str, reason: str, now: int) -> dict[str, Any]:
    """Return what tells the citizen."""
    reference = {"reference": f"Patient/{patient}"}
    category = {
        "system": "http://terminology.hl7.org/CodeSystem/communication-category",
        "code": "notification",
    }
    return {
        "resourceType": "Communication",
        "status": "completed",
        "category": [{"coding": [category]}],
        "priority": "urgent",
        "subject": reference,
        "recipient": [reference],
        "sender": {"reference": caller.subject},
        "sent": instant(now),
        "reasonCode": [{"text": reason}],
        "payload": [{"contentString": _NOTICE}],
    }


async def _tell(server: Server, request: FhirRequest, message: dict[str, Any]) -> None:
    """Store the message to the citizen: the server's own doing, whatever its sender may write."""
    own, now = replace(request, access=OPEN), server.clock()
    id_, entries = identified(server, message, request.base)
    body = stamped(message, "Communication", id_, 1, now)
    made = secured(own, message, entries)
    change = Change(Method.POST, "Communication", id_, 0, now, body, entries, security=made)
    await commit(server, own, message, change)
