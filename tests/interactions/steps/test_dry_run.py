"""X-Dry-Run over HTTP: the answer of a write, and nothing written."""

import uuid

import pytest

DRY = {"X-Dry-Run": "true"}


@pytest.fixture
def value():
    return uuid.uuid4().hex


def patient(value, **more):
    return {"resourceType": "Patient", "identifier": [{"value": value}], **more}


@pytest.fixture
def version(fhir, value):
    """Count the versions in the server's history of this test's resource."""
    fhir.put(f"Patient/{value}", json=patient(value, id=value))
    return lambda: fhir.get(f"Patient/{value}").json()["meta"]["versionId"]


def test_a_create_is_answered_and_not_stored(fhir, value):
    answer = fhir.post("Patient", json=patient(value), headers=DRY)
    assert (answer.status_code, answer.headers["x-dry-run"]) == (201, "true")
    assert fhir.get(f"Patient/{answer.json()['id']}").status_code == 404
    assert fhir.post("Patient", json=patient(value, gender="wrong"), headers=DRY).status_code == 422


def test_updates_and_deletes_are_answered_and_not_stored(fhir, value, version):
    url = f"Patient/{value}"
    update = fhir.put(url, json=patient(value, id=value, active=True), headers=DRY)
    assert (update.status_code, update.json()["meta"]["versionId"]) == (200, "2")
    assert (
        fhir.put(url, json=patient(value, id=value), headers={**DRY, "If-Match": 'W/"9"'}).status_code == 412
    )
    assert fhir.delete(url, headers=DRY).status_code == 204
    assert fhir.delete("Patient", params={"identifier": value}, headers=DRY).status_code == 204
    conditional = fhir.put("Patient", params={"identifier": value}, json=patient(value), headers=DRY)
    assert (conditional.status_code, conditional.json()["id"]) == (200, value)
    assert version() == "1"


@pytest.mark.parametrize("type_", ["batch", "transaction"])
def test_bundles_are_answered_and_not_stored(fhir, value, version, type_):
    new = f"new-{value}"
    entries = [
        {"resource": patient("x", id=new), "request": {"method": "PUT", "url": f"Patient/{new}"}},
        {"request": {"method": "GET", "url": f"Patient/{new}"}},
        {"request": {"method": "DELETE", "url": f"Patient/{value}"}},
    ]
    answer = fhir.post("", json={"resourceType": "Bundle", "type": type_, "entry": entries}, headers=DRY)
    assert [row["response"]["status"][:3] for row in answer.json()["entry"]] == ["201", "200", "204"]
    assert fhir.get(f"Patient/{new}").status_code == 404
    assert version() == "1"


def test_false_is_no_dry_run_and_other_words_are_refused(fhir, value):
    assert fhir.post("Patient", json=patient(value), headers={"X-Dry-Run": "yes"}).status_code == 400
    answer = fhir.post("Patient", json=patient(value), headers={"X-Dry-Run": "false"})
    assert fhir.get(f"Patient/{answer.json()['id']}").status_code == 200
