"""Emergency access: who gets it, for whom, for how long; what it doesn't open; what the citizen is told."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from fhir_server.access import OPEN
from fhir_server.app import create_app
from fhir_server.interactions.exchange import FhirRequest
from fhir_server.interactions.steps.emergency import LIFETIME, Emergency, emergency_of, sealed
from fhir_server.outcome import FhirError
from fhir_server.settings import load
from tests.conftest import serving
from tests.security.personas import PERSONAS, Tokens
from tests.security.test_consent import CONFIDENTIALITY, VISIBILITY, actor, consent, recorded, relabel
from tests.security.test_leaks import ids
from tests.security.world import observation, patient

__all__ = ["recorded"]


@pytest.fixture
def quota(mongo_client, module_database_name):
    """Nobody had an emergency in this hour."""
    mongo_client[module_database_name]["quotas"].delete_many({})


def asked(client: Any, patient: str = "A", **more: Any) -> Any:
    given = {"reason": "unconscious, allergies?", **more}
    rows = [{"name": name, "valueString": value} for name, value in given.items() if value]
    return client.post(
        f"Patient/{patient}/$break-glass", json={"resourceType": "Parameters", "parameter": rows}
    )


def granted(client: Any, **more: Any) -> dict[str, str]:
    answer = asked(client, **more)
    assert answer.status_code == 200, answer.text
    found = {row["name"]: row for row in answer.json()["parameter"]}
    return {found["header"]["valueString"]: found["grant"]["valueString"]}


def test_C13_who_and_why(as_):
    assert asked(as_("N")).status_code == 403
    assert asked(as_("A")).status_code == 403
    assert asked(as_("E"), reason="").status_code == 400
    assert asked(as_("E"), reason="  ").status_code == 400
    assert asked(as_("E"), mode="FUN").status_code == 400


def test_C13_a_grant_opens_one_space_and_tells_its_citizen(as_):
    doctor = as_("E")
    assert doctor.get("Observation/a1").status_code == 404
    before = ids(as_("A").get("Communication"))
    headers = granted(doctor)
    assert doctor.get("Observation/a1", headers=headers).status_code == 200
    assert "a1" in ids(doctor.get("Observation?patient=Patient/A&_count=1000", headers=headers))
    assert doctor.get("Observation/a1").status_code == 404
    (message,) = ids(as_("A").get("Communication")) - before
    told = as_("A").get(f"Communication/{message}").json()
    assert told["sender"] == {"reference": "Practitioner/e"}
    assert told["reasonCode"] == [{"text": "unconscious, allergies?"}]


def test_C13_a_second_patient_another_caller_and_a_made_up_grant(as_):
    headers = granted(as_("E"))
    refused = as_("E").get("Patient/M", headers=headers)
    assert refused.status_code == 403
    assert as_("E").get("Observation?subject=Patient/M", headers=headers).status_code == 403
    assert as_("E").get("Observation/m1", headers=headers).status_code == 404
    for name, sent in (("hasty", headers), ("A", headers), ("E", {"X-Emergency-Grant": "made-up"})):
        answer = as_(name).get("Observation/a1", headers=sent)
        assert (answer.status_code, answer.content) == (403, refused.content)


def test_C13_the_sixth_in_an_hour(as_):
    answers = [asked(as_("hasty")).status_code for _ in range(6)]
    assert answers == [200] * 5 + [429]
    assert int(asked(as_("hasty")).headers["retry-after"]) <= 3600


async def test_C13_after_half_an_hour(mongod_uri, database_name, tmp_path):
    app = create_app(
        load(
            {
                "mongodb.uri": mongod_uri,
                "mongodb.database": database_name,
                "data.dir": tmp_path,
                "content.load": False,
            }
        )
    )
    async with app.router.lifespan_context(app):
        server, caller = app.serving(), PERSONAS["E"]
        grant = sealed(server, caller, Emergency("BTG", "A"))
        request = FhirRequest("GET", ("Patient", "A"), headers={"x-emergency-grant": grant}, access=OPEN)
        assert emergency_of(server, caller, request) == Emergency("BTG", "A")
        now = server.clock()
        late = dataclasses.replace(server, clock=lambda: now + LIFETIME + 60_000)
        with pytest.raises(FhirError) as refused:
            emergency_of(late, caller, request)
        assert refused.value.status == 403
        assert emergency_of(server, caller, dataclasses.replace(request, headers={})) is None


def test_C13_the_audit_and_the_citizen_know(mongod_uri, database_name, tmp_path):
    flags = {
        "mongodb.uri": mongod_uri,
        "mongodb.database": database_name,
        "data.dir": tmp_path,
        "audit.mode": "on",
    }
    with serving(flags, Tokens()) as client:
        operator = {"Authorization": "Bearer operator"}
        assert client.put("fhir/Patient/A", json=patient("A"), headers=operator).status_code == 201
        client.base_url = client.base_url.join("fhir/")
        client.headers["Authorization"] = "Bearer E"
        headers = granted(client)
        assert client.get("Patient/A", headers=headers).status_code == 200
        client.headers["Authorization"] = "Bearer A"
        rows = client.get("Patient/A/$access-log").json()["parameter"]
        emergencies = [row for row in rows if {"name": "emergency", "valueBoolean": True} in row["part"]]
        assert len(emergencies) == 2  # the grant, and what was read with it
        assert rows[0] in emergencies


@pytest.mark.parametrize(
    ("kept", "opens"),
    [
        (consent(policy="break-glass-only"), True),
        (consent(policy="deny"), False),
        (consent({"type": "deny", "purpose": [{"code": "BTG"}]}), False),
        (consent({"type": "deny", "purpose": [{"code": "ETREAT"}]}), False),
        (consent({"type": "deny", "actor": [actor("Practitioner/e")]}), False),
        (consent({"type": "deny", "purpose": [{"code": "HRESCH"}]}), True),
    ],
)
def test_C01_C12_what_the_citizen_closes_stays_closed(as_, recorded, kept, opens, quota):
    recorded(kept)
    answer = asked(as_("E"))
    assert answer.status_code == (200 if opens else 403)
    if not opens:
        assert answer.content == asked(as_("E"), "nobody").content
    else:
        headers = {"X-Emergency-Grant": answer.json()["parameter"][0]["valueString"]}
        assert as_("E").get("Observation/a1", headers=headers).status_code == 200


def test_C12_each_mode_is_opposed_by_itself(as_, recorded, quota):
    recorded(consent({"type": "deny", "purpose": [{"code": "BTG"}]}))
    assert asked(as_("E"), mode="BTG").status_code == 403
    assert asked(as_("E"), mode="ETREAT").status_code == 200


def test_C13_restricted_is_opened_very_restricted_and_masked_are_not(as_, quota):
    made = {}
    for code in ("R", "V"):
        label = {"system": CONFIDENTIALITY, "code": code}
        made[code] = (
            as_("A").post("Observation", json=observation("A", meta={"security": [label]})).json()["id"]
        )
    made["masked"] = as_("A").post("Observation", json=observation("A")).json()["id"]
    assert relabel(as_("A"), made["masked"], {"system": VISIBILITY, "code": "MASQUE_PS"}) == 200
    headers = granted(as_("E"))
    found = {
        name: as_("E").get(f"Observation/{id_}", headers=headers).status_code for name, id_ in made.items()
    }
    assert found == {"R": 200, "V": 404, "masked": 404}
