"""The AuditEvent of what a job does with a space, committed in the same transaction."""

from __future__ import annotations

from dataclasses import replace

from fhir_server.access import OPEN
from fhir_server.interactions.exchange import FhirRequest, Server
from fhir_server.interactions.steps.guard import secured
from fhir_server.interactions.steps.prepare import instant, stamped
from fhir_server.space.life import Space
from fhir_server.store.documents import Change, Method


def space_event(
    server: Server, request: FhirRequest, space: Space, *, job: str, action: str, text: str
) -> Change:
    """Return the event of a job that brought a space into its state; ``action`` is a code of audit-event-action."""
    resource = {
        "resourceType": "AuditEvent",
        "type": {"system": "http://terminology.hl7.org/CodeSystem/audit-event-type", "code": "rest"},
        "action": action,
        "recorded": instant(space.since),
        "outcome": "0",
        "outcomeDesc": text,
        "agent": [{"name": job, "requestor": False}],
        "source": {"observer": {"display": "fhir-server"}},
        "entity": [{"what": {"reference": f"Patient/{space.patient}"}}],
    }
    id_ = server.new_id(space.patient)
    body = stamped(resource, "AuditEvent", id_, 1, space.since)
    entries = server.indexer.entries(resource, request.base)
    made = secured(replace(request, access=OPEN), resource, entries)
    return Change(Method.POST, "AuditEvent", id_, 0, space.since, body, entries, security=made)
