"""Patches as entries of a transaction: https://hl7.org/fhir/R4/http.html#patch."""

import base64
import json
import uuid

import pytest

from tests.interactions.transactions import (
    done,
    entry,
    found,
    observation,
    patient,
    refused,
    send,
    statuses,
    urn,
)


@pytest.fixture
def value():
    return uuid.uuid4().hex


def json_patch(*operations):
    data = base64.b64encode(json.dumps(operations).encode()).decode()
    return {"resourceType": "Binary", "contentType": "application/json-patch+json", "data": data}


def fhirpath_patch(path, **value):
    parts = [{"name": "type", "valueCode": "replace"}, {"name": "path", "valueString": path}]
    return {
        "resourceType": "Parameters",
        "parameter": [{"name": "operation", "part": [*parts, {"name": "value", **value}]}],
    }


def test_patches_are_part_of_the_transaction(fhir, value):
    ids = [fhir.post("Patient", json=patient(f"{value}{n}", gender="male")).json()["id"] for n in range(3)]
    reading = fhir.post("Observation", json=observation(f"Patient/{ids[0]}")).json()["id"]
    url = urn()
    rows = done(
        fhir,
        entry(
            "PATCH", f"Patient/{ids[0]}", json_patch({"op": "replace", "path": "/gender", "value": "female"})
        ),
        entry("PATCH", f"Patient?identifier={value}1", fhirpath_patch("Patient.gender", valueCode="other")),
        entry(
            "PATCH",
            f"Observation/{reading}",
            fhirpath_patch("Observation.subject", valueReference={"reference": url}),
            ifMatch='W/"1"',
        ),
        entry("POST", "Patient", patient("new"), url),
    )
    assert statuses(rows) == ["200", "200", "200", "201"]
    assert [fhir.get(f"Patient/{id_}").json()["gender"] for id_ in ids[:2]] == ["female", "other"]
    subject = fhir.get(f"Observation/{reading}").json()["subject"]["reference"]
    assert subject == f"Patient/{rows[3]['resource']['id']}"
    assert rows[0]["response"]["etag"] == 'W/"2"'


@pytest.mark.parametrize(
    ("url", "body", "status"),
    [
        ("Patient/none", json_patch({"op": "remove", "path": "/gender"}), 404),
        ("Patient?identifier=none", json_patch({"op": "remove", "path": "/gender"}), 404),
        ("Patient/{id}", json_patch({"op": "remove", "path": "/nothing"}), 422),
        ("Patient/{id}", json_patch({"op": "replace", "path": "/gender", "value": "x"}), 422),
        ("Patient/{id}", {"resourceType": "Basic", "code": {"text": "x"}}, 400),
    ],
)
def test_a_patch_that_fails_stops_the_transaction(fhir, value, url, body, status):
    id_ = fhir.post("Patient", json=patient(value, gender="male")).json()["id"]
    found_status, _ = refused(
        fhir, entry("POST", "Patient", patient(value)), entry("PATCH", url.format(id=id_), body)
    )
    assert found_status == status
    assert len(found(fhir, "Patient", value)) == 1


def test_a_patch_and_an_update_of_one_resource_are_refused(fhir, value):
    fhir.put(f"Patient/{value}", json=patient(value, id=value, gender="male"))
    answer = send(
        fhir,
        entry("PUT", f"Patient/{value}", patient(value, id=value)),
        entry("PATCH", f"Patient/{value}", json_patch({"op": "remove", "path": "/gender"})),
    )
    assert answer.status_code == 400
    assert answer.json()["issue"][0]["code"] == "duplicate"
