"""What comes with the server is stored at the start, takes effect, and is left alone when an operator changed it."""

from __future__ import annotations

import time
from pathlib import Path

import httpx
import pytest

from fhir_server.definitions.content import own_definitions

RULES = Path(__file__).parents[2] / "examples" / "rules"
PATIENT, DEVICE = "StructureDefinition/hs-patient", "StructureDefinition/hs-device"
#: One that the tests delete.
DELETED = ("NamingSystem", "hs-ns-ndp")


@pytest.fixture(scope="module")
def space(site_with):
    with site_with({"content.load": True}) as client:
        yield client


def test_every_definition_can_be_read(space: httpx.Client):
    for type_, id_, _ in own_definitions():
        answer = space.get(f"/fhir/{type_}/{id_}")
        assert answer.status_code == 200 or (type_, id_) == DELETED, (type_, id_)


def test_every_operation_has_its_definition(space: httpx.Client):
    [rest] = space.get("/fhir/metadata").json()["rest"]
    offered = {row["definition"] for one in (rest, *rest["resource"]) for row in one.get("operation", ())}
    assert len(offered) > 5
    for url in offered:
        found = space.get("/fhir/OperationDefinition", params={"url": url}).json().get("entry", ())
        assert [entry["resource"]["url"] for entry in found] == [url]


def test_a_resource_is_judged_by_the_profile_that_it_claims(space: httpx.Client):
    bad = space.post(
        "/fhir/Patient",
        content=(RULES / "fail/patient-bad-key.json").read_bytes(),
        headers={"content-type": "application/fhir+json"},
    )
    assert bad.status_code == 422
    assert "hs-pat-3" in bad.text
    good = space.post(
        "/fhir/Patient",
        content=(RULES / "pass/patient.json").read_bytes(),
        headers={"content-type": "application/fhir+json"},
    )
    assert good.status_code == 201


def test_our_search_parameters_are_searched(space: httpx.Client):
    statement = (RULES / "pass/eob-gp.json").read_bytes()
    space.post(
        "/fhir/ExplanationOfBenefit", content=statement, headers={"content-type": "application/fhir+json"}
    )
    for _ in range(100):  # they are indexed in the background
        answer = space.get("/fhir/ExplanationOfBenefit", params={"service-date": "2026-03-02"})
        if answer.status_code == 200:
            break
        time.sleep(0.1)
    assert answer.json()["total"] == 1
    assert space.get("/fhir/ExplanationOfBenefit", params={"service-date": "2026-03-03"}).json()["total"] == 0


def test_a_second_start_writes_nothing_and_keeps_what_an_operator_deleted(site_with):
    with site_with({"content.load": True}) as client:
        assert client.delete("/fhir/NamingSystem/hs-ns-ndp").status_code in (200, 204)
    with site_with({"content.load": True}) as client:
        assert client.get("/fhir/NamingSystem/hs-ns-ndp").status_code == 410
        assert client.get(f"/fhir/{PATIENT}").json()["meta"]["versionId"] == "1"


def test_an_older_version_is_brought_up_to_date(site_with):
    with site_with({"content.load": True}) as client:
        body = client.get(f"/fhir/{DEVICE}").json()
        body["version"] = "0.0.1"
        assert client.put(f"/fhir/{DEVICE}", json=body).status_code == 200
    with site_with({"content.load": True}) as client:
        renewed = client.get(f"/fhir/{DEVICE}").json()
        assert (renewed["version"], renewed["meta"]["versionId"]) == ("0.1.0", "3")
