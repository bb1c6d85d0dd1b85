"""A sandbox: back to a snapshot, faults on demand, a clock and ids that can be foretold; none of it elsewhere."""

from __future__ import annotations

import time

import httpx
import pytest

from fhir_server.cli.serve import unsafe
from fhir_server.settings import load

PATIENT = {"resourceType": "Patient", "name": [{"family": "Bac"}]}


def parameters(**values):
    kinds = {str: "valueString", int: "valueInteger", bool: "valueBoolean"}
    return {
        "resourceType": "Parameters",
        "parameter": [{"name": n.rstrip("_"), kinds[type(v)]: v} for n, v in values.items()],
    }


@pytest.fixture(scope="module")
def box(site_with):
    with (
        site_with(
            {"sandbox.on": True, "sandbox.ids": "box", "sandbox.clock": "2026-01-01T08:00:00Z"}
        ) as site,
        httpx.Client(base_url=site.base_url.join("fhir/"), timeout=60) as client,
    ):
        yield client


@pytest.fixture(autouse=True)
def _fresh(request):
    if "box" in request.fixturenames:
        assert request.getfixturevalue("box").post("$reset").status_code == 200


def count(box, type_="Patient"):
    return box.get(f"{type_}?_summary=count").json()["total"]


def test_reset_brings_back_what_was_there_at_the_start(box):
    made = box.post("Patient", json=PATIENT).json()
    assert count(box) == 1
    assert box.post("$reset").json()["parameter"][0] == {"name": "snapshot", "valueString": "start"}
    assert count(box) == 0
    assert box.get(f"Patient/{made['id']}").status_code == 404
    assert box.get(f"Patient/{made['id']}/_history").status_code == 404


def test_snapshots_are_made_copied_put_back_and_dropped(box):
    made = box.post("Patient", json=PATIENT).json()
    assert box.post("$snapshot", json=parameters(name="one")).status_code == 200
    assert box.post("$snapshot", json=parameters(name="two", from_="one")).status_code == 200
    names = {p["valueString"] for p in box.get("$snapshot").json()["parameter"]}
    assert names == {"start", "one", "two"}
    box.delete(f"Patient/{made['id']}")
    assert box.post("$snapshot", json=parameters(name="one", drop=True)).status_code == 200
    assert box.post("$reset", json=parameters(to="two")).status_code == 200
    assert box.get(f"Patient/{made['id']}").json() == made
    assert box.get("Patient?family=bac").json()["total"] == 1
    changed = box.put(f"Patient/{made['id']}", json={**made, "active": True}, headers={"If-Match": 'W/"1"'})
    assert changed.status_code == 200
    assert box.post("$reset", json=parameters(to="one")).status_code == 404
    assert box.post("$snapshot", json=parameters(name="two", drop=True)).status_code == 200


@pytest.mark.parametrize(
    "body", [parameters(), parameters(name="a b"), parameters(name="x" * 21), parameters(nam="x")]
)
def test_bad_snapshots_are_refused(box, body):
    assert box.post("$snapshot", json=body).status_code == 400


def test_definitions_that_were_stored_meanwhile_go(box):
    profile = {
        "resourceType": "StructureDefinition", "url": "https://x.example/active", "name": "A", "status": "active",
        "kind": "resource", "abstract": False, "type": "Patient", "derivation": "constraint",
        "baseDefinition": "http://hl7.org/fhir/StructureDefinition/Patient",
        "differential": {"element": [{"id": "Patient.active", "path": "Patient.active", "min": 1}]},
    }  # fmt: skip
    claims = {**PATIENT, "meta": {"profile": [profile["url"]]}}
    assert box.post("StructureDefinition", json=profile).status_code == 201
    assert box.post("Patient", json=claims).status_code == 422
    box.post("$reset")
    assert box.post("Patient", json=claims).status_code == 201


def test_clock_and_ids_can_be_foretold(box):
    def once():
        box.post("$reset")
        made = [box.post("Patient", json=PATIENT).json() for _ in range(2)]
        return [(one["id"], one["meta"]["lastUpdated"]) for one in made]

    assert once() == once()
    assert [id_ for id_, _ in once()] == ["box-000001", "box-000002"]
    assert once()[0][1].startswith("2026-01-01T08:00:0")


def test_clock_and_ids_of_one_request(box):
    headers = {"X-Sandbox-Clock": "2031-05-06T07:08:09Z", "X-Sandbox-Ids": "mine"}
    made = box.post("Patient", json=PATIENT, headers=headers).json()
    assert (made["id"], made["meta"]["lastUpdated"]) == ("mine-000001", "2031-05-06T07:08:09.000Z")
    for bad in ({"X-Sandbox-Clock": "2031-05-06"}, {"X-Sandbox-Clock": "now"}, {"X-Sandbox-Ids": "a b"}):
        assert box.post("Patient", json=PATIENT, headers=bad).status_code == 400


@pytest.mark.parametrize(
    ("fault", "status", "header", "value"),
    [
        ("409", 409, None, None),
        ("429; seconds=7", 429, "retry-after", "7"),
        ("503", 503, "retry-after", "1"),
        ("expired-token", 401, "www-authenticate", 'Bearer error="invalid_token"'),
        ("418", 400, None, None),
        ("429; seconds=x", 400, None, None),
        ("slow; seconds=301", 400, None, None),
    ],
)
def test_a_fault_by_header(box, fault, status, header, value):
    answer = box.post("Patient", json=PATIENT, headers={"X-Sandbox-Fault": fault})
    assert answer.status_code == status
    assert answer.json()["resourceType"] == "OperationOutcome"
    if header:
        assert answer.headers[header].startswith(value)
    assert count(box) == 0


@pytest.mark.parametrize(
    ("fault", "path", "least"),
    [("slow", "Patient/x", 1), ("slow-page", "Patient", 1), ("slow-page", "Patient/x", 0)],
)
def test_slow_answers(box, fault, path, least):
    began = time.monotonic()
    box.get(path, headers={"X-Sandbox-Fault": fault})
    assert time.monotonic() - began >= least


def test_faults_that_wait_for_their_requests(box):
    given = parameters(fault="503", times=2, seconds=3, method="POST", type="Patient")
    assert box.post("$fault", json=given).status_code == 200
    assert count(box) == 0
    assert box.post("Observation", json={}).status_code == 400
    statuses = [box.post("Patient", json=PATIENT).status_code for _ in range(3)]
    assert statuses == [503, 503, 201]
    assert "parameter" not in box.get("$fault").json()
    box.post("$fault", json=parameters(fault="429", times=5))
    assert len(box.get("$fault").json()["parameter"]) == 1
    box.post("$fault", json=parameters(fault="none"))
    assert count(box) == 1
    assert box.post("$fault", json=parameters(fault="what")).status_code == 400


def test_the_statement_lists_its_operations(box):
    names = {one["name"] for one in box.get("metadata").json()["rest"][0]["operation"]}
    assert {"reset", "snapshot", "fault"} <= names


def test_no_other_server_has_any_of_it(fhir):
    assert fhir.post("$reset").status_code in (400, 404, 405)
    assert fhir.get("metadata", headers={"X-Sandbox-Fault": "503"}).status_code == 200
    made = fhir.post("Patient", json=PATIENT, headers={"X-Sandbox-Fault": "503", "X-Sandbox-Ids": "mine"})
    assert made.status_code == 201
    assert not made.json()["id"].startswith("mine")


def test_production_and_several_workers_are_refused(tmp_path):
    settings = load({"sandbox.on": True, "http.workers": 2, "data.dir": tmp_path})
    found = " ".join(unsafe(settings, is_production=True))
    assert "refuses sandbox.on" in found
    assert "one worker" in found
