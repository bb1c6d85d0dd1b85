"""Patient/[id]/$who-can-see: everybody whom care teams, Consents and relations name, and how much each sees.

With ``resource`` also whether each sees that one. For the patient, who represents the patient, and operators.
"""

from __future__ import annotations

from typing import Any

from fhir_server.access import OPEN
from fhir_server.access.consent import COLLECTIVES, counting, provisions
from fhir_server.access.keys import PROFESSIONS, actor_names
from fhir_server.datatypes.json_format import decode
from fhir_server.interactions.exchange import FhirRequest, FhirResponse, Server, Target
from fhir_server.interactions.read import current
from fhir_server.interactions.steps.consents import members, read, resource_of
from fhir_server.operations.inputs import answered, inputs
from fhir_server.operations.seeing import holds, seen_of, supposed, told
from fhir_server.outcome import error
from fhir_server.search import SearchPlan

#: Persons and organizations that one answer is about.
_MOST = 100


async def who_can_see(server: Server, request: FhirRequest, target: Target) -> FhirResponse:
    """Return 200 with a ``seer`` for each: ``who``, ``reason``, ``sees`` (all, part, nothing), ``resource`` (boolean).

    Raises FhirError 403 for others than the patient, 422 for more than a hundred.
    """
    given = inputs(request, {"resource": "text"})
    if not request.access.decides_for(target.id):
        raise error("forbidden", "What others see of a space is its citizen's own matter.", status=403)
    await current(server, request, target)
    resource = given.text("resource")
    type_, _, id_ = resource.partition("/")
    if resource and (
        type_ not in server.definitions.types.resource_type_names
        or not await server.store.count(SearchPlan(type_, {"_id": id_, "p": target.id}), OPEN)
    ):
        raise error("not-found", "There is no such resource in this space.", status=404)
    named = await _named(server, target.id)
    if len(named) > _MOST:
        raise error("too-costly", f"More than {_MOST} are named; ask Consent/$explain for each.")
    rows = [await _row(server, name, target.id, resource) for name in sorted(named)]
    return answered(rows)


async def _row(server: Server, name: str, patient: str, resource: str) -> dict[str, Any]:
    if name.startswith(f"{PROFESSIONS}|"):
        caller = supposed(server, "Practitioner/", patient, profession=name.partition("|")[2])
        who: dict[str, Any] = {"identifier": {"system": PROFESSIONS, "value": name.partition("|")[2]}}
    else:
        caller = supposed(server, name, patient)
        who = {"reference": name}
    found = await told(server, caller, patient)
    parts: list[dict[str, Any]] = [
        {"name": "who", "valueReference": who},
        {"name": "reason", "valueString": found.steps[0].text if found.steps else ""},
        {"name": "sees", "valueCode": found.extent},
    ]
    if resource:
        seen = await holds(server, seen_of(found, resource.partition("/")[0]), resource)
        parts.append({"name": "resource", "valueBoolean": seen})
    return {"name": "seer", "part": parts}


async def _named(server: Server, patient: str) -> set[str]:
    """Return whom the patient's care teams, Consents and relations name, groups as their members."""
    now = server.clock()
    facts = await server.store.facts.of([patient])
    found: set[str] = set()
    for fact in facts:
        if fact.type == "CareTeam":
            found |= members(read(fact), now)
    for consent in counting(read(fact) for fact in facts if fact.type == "Consent"):
        for provision in provisions(consent):
            for actor in provision.get("actor", ()):
                found.update(actor_names(actor))
    for name in [name for name in found if name.startswith(COLLECTIVES)]:
        collective = await resource_of(server, name)
        found |= members(collective, now) if collective is not None else set()
    plan = SearchPlan("RelatedPerson", {"p": patient}, sort=(("_id", 1),), limit=_MOST + 1)
    found |= {
        f"RelatedPerson/{decode(row.body)['id']}" for row in (await server.store.search(plan, OPEN)).rows
    }
    return {name for name in found if not name.startswith((*COLLECTIVES, f"Patient/{patient}"))}
