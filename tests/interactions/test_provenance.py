"""X-Provenance: stored with what it is about, or the whole request is refused."""

from __future__ import annotations

import json

import pytest

TOLD = {
    "resourceType": "Provenance",
    "recorded": "2026-11-24T10:00:00Z",
    "agent": [{"who": {"display": "Laboratoire du Nord"}}],
}
PATIENT = {"resourceType": "Patient", "name": [{"family": "Provence"}]}


def header(**changes):
    return {"X-Provenance": json.dumps({**TOLD, **changes}, ensure_ascii=True)}


def of(fhir, version):
    """Return the Provenances about a version."""
    found = fhir.get("Provenance", params={"target": version}).json()
    return [entry["resource"] for entry in found.get("entry", ())]


def test_a_create_and_its_versions(fhir):
    made = fhir.post("Patient", json=PATIENT, headers=header())
    assert made.status_code == 201
    name = f"Patient/{made.json()['id']}"
    [told] = of(fhir, name)
    assert told["target"] == [{"reference": f"{name}/_history/1"}]
    assert told["agent"] == TOLD["agent"]
    assert fhir.put(name, json={**made.json(), "active": True}, headers=header()).status_code == 200
    patch = [{"op": "replace", "path": "/active", "value": False}]
    patched = fhir.patch(
        name, content=json.dumps(patch), headers={"Content-Type": "application/json-patch+json", **header()}
    )
    assert patched.status_code == 200
    targets = sorted(told["target"][0]["reference"] for told in of(fhir, name))
    assert targets == [f"{name}/_history/{number}" for number in (1, 2, 3)]


def test_a_conditional_create_that_finds_tells_nothing(fhir):
    criteria = {"If-None-Exist": "identifier=urn:p|once", **header()}
    body = {**PATIENT, "identifier": [{"system": "urn:p", "value": "once"}]}
    first, second = (fhir.post("Patient", json=body, headers=criteria) for _ in range(2))
    assert (first.status_code, second.status_code) == (201, 200)
    assert len(of(fhir, f"Patient/{first.json()['id']}")) == 1


def test_a_transaction_is_one_deed(fhir):
    bundle = {
        "resourceType": "Bundle",
        "type": "transaction",
        "entry": [
            {"fullUrl": "urn:uuid:7d1f3f5c-9a4e-4c57-8a55-1b6f3a1c9e01", "resource": PATIENT,
             "request": {"method": "POST", "url": "Patient"}},
            {"resource": {"resourceType": "Basic", "code": {"text": "x"},
                          "subject": {"reference": "urn:uuid:7d1f3f5c-9a4e-4c57-8a55-1b6f3a1c9e01"}},
             "request": {"method": "POST", "url": "Basic"}},
        ],
    }  # fmt: skip
    answer = fhir.post("", json=bundle, headers=header())
    assert answer.status_code == 200, answer.text
    places = ["/".join(entry["response"]["location"].split("/")[-4:]) for entry in answer.json()["entry"]]
    [told] = of(fhir, places[0].partition("/_history")[0])
    assert [target["reference"] for target in told["target"]] == places


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("no JSON", "X-Provenance"),
        (json.dumps(PATIENT), "holds a Provenance"),
        (json.dumps({**TOLD, "target": [{"reference": "Patient/1"}]}), "target"),
        (json.dumps({"resourceType": "Provenance", "recorded": "2026-11-24T10:00:00Z"}), "agent"),
        (json.dumps({**TOLD, "recorded": "yesterday"}), "recorded"),
        (json.dumps({**TOLD, "invented": 1}), "invented"),
    ],
)
def test_a_bad_header_stores_nothing(fhir, text, word):
    before = fhir.get("Patient", params={"_summary": "count"}).json()["total"]
    answer = fhir.post("Patient", json=PATIENT, headers={"X-Provenance": text})
    assert answer.status_code == 400
    assert word in answer.json()["issue"][0]["diagnostics"]
    assert fhir.get("Patient", params={"_summary": "count"}).json()["total"] == before


def test_it_goes_with_writes_only(fhir):
    batch = {
        "resourceType": "Bundle",
        "type": "batch",
        "entry": [{"request": {"method": "GET", "url": "Patient"}}],
    }
    for answer in (
        fhir.get("Patient", headers=header()),
        fhir.delete("Patient/1", headers=header()),
        fhir.post("", json=batch, headers=header()),
    ):
        assert answer.status_code == 400
        assert "X-Provenance" in answer.json()["issue"][0]["diagnostics"]
