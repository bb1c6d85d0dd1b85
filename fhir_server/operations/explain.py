"""Consent/$explain: what would somebody see of a space, and why; of one resource, too.

For the patient, who represents the patient, and operators. docs/consent.md.
"""

from __future__ import annotations

from typing import Any

from fhir_server.access import OPEN
from fhir_server.interactions.exchange import FhirRequest, FhirResponse, Server, Target
from fhir_server.interactions.steps.emergency import ROLES
from fhir_server.operations.inputs import answered, inputs, missing
from fhir_server.operations.seeing import Step, Told, holds, seen_of, supposed, told
from fhir_server.outcome import error
from fhir_server.search import SearchPlan

_TAKEN = {
    "patient": "text", "actor": "text", "organization": "text", "profession": "text", "purpose": "text", "role":
    "text*", "resource": "text", "emergency": "text",
}  # fmt: skip


async def explain(server: Server, request: FhirRequest, target: Target) -> FhirResponse:  # noqa: ARG001
    """Return 200 with ``sees`` (all, part or nothing), a ``step`` for each reason, a ``type`` for each type there.

    ``actor`` is a reference, ``patient`` one (default: the caller's own); with ``resource`` also whether that is
    seen, and each step says whether it holds for it. Raises FhirError 403 for others than the patient, 400.
    """
    given = inputs(request, _TAKEN)
    patient = given.text("patient").removeprefix("Patient/") or next(iter(request.access.own), "")
    actor, resource, mode = given.text("actor"), given.text("resource"), given.text("emergency")
    if "/" not in actor or not patient:
        raise missing(
            "Name the actor (Practitioner/x, Organization/x, RelatedPerson/x, Device/x) and the patient."
        )
    if not request.access.decides_for(patient):
        raise error("forbidden", "What others see of a space is its citizen's own matter.", status=403)
    if mode and mode not in ROLES:
        raise error("value", f"The emergency is one of {', '.join(ROLES)}.")
    caller = supposed(
        server,
        actor,
        patient,
        organization=given.text("organization"),
        profession=given.text("profession"),
        purpose=given.text("purpose"),
        roles=frozenset(given.texts("role")),
    )
    found = await told(server, caller, patient, mode)
    rows: list[dict[str, Any]] = [{"name": "sees", "valueCode": found.extent}]
    if resource:
        rows.append(await _of_resource(server, found, resource, patient))
    rows += [await _of_step(server, step, resource) for step in found.steps]
    rows += [_of_type(*row) for row in found.types]
    return answered(rows)


async def _of_resource(server: Server, found: Told, resource: str, patient: str) -> dict[str, Any]:
    type_, _, id_ = resource.partition("/")
    known = type_ in server.definitions.types.resource_type_names
    if not known or not await server.store.count(SearchPlan(type_, {"_id": id_, "p": patient}), OPEN):
        raise error("not-found", "There is no such resource in this space.", status=404)
    is_seen = await holds(server, seen_of(found, type_), resource)
    return {
        "name": "resource",
        "part": [
            {"name": "reference", "valueReference": {"reference": resource}},
            {"name": "seen", "valueBoolean": is_seen},
        ],
    }


async def _of_step(server: Server, step: Step, resource: str) -> dict[str, Any]:
    parts: list[dict[str, Any]] = [
        {"name": "name", "valueCode": step.name},
        {"name": "text", "valueString": step.text},
    ]
    if step.consent:
        parts.append({"name": "consent", "valueReference": {"reference": step.consent}})
        parts.append({"name": "verdict", "valueCode": "deny" if step.denies else "permit"})
    if resource:
        parts.append({"name": "holds", "valueBoolean": await holds(server, step.clause, resource)})
    return {"name": "step", "part": parts}


def _of_type(type_: str, seen: int, there: int) -> dict[str, Any]:
    return {
        "name": "type",
        "part": [
            {"name": "type", "valueCode": type_},
            {"name": "seen", "valueInteger": seen},
            {"name": "there", "valueInteger": there},
        ],
    }
