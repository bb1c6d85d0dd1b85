"""create over HTTP: https://hl7.org/fhir/R4/http.html#create."""

import re

import pytest


def test_a_new_resource_gets_an_id_a_version_and_a_location(fhir):
    answer = fhir.post("Patient", json={"resourceType": "Patient", "id": "mine", "active": True})
    assert answer.status_code == 201
    created = answer.json()
    assert created["id"] != "mine"
    assert created["meta"]["versionId"] == "1"
    assert answer.headers["location"] == f"{fhir.base_url}Patient/{created['id']}/_history/1"
    assert answer.headers["etag"] == 'W/"1"'
    assert re.fullmatch(r"\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT", answer.headers["last-modified"])
    assert answer.headers["content-type"] == "application/fhir+json; charset=utf-8"
    assert fhir.get(f"Patient/{created['id']}").json() == created


def test_server_owned_meta_is_replaced_and_the_rest_of_meta_is_kept(fhir):
    sent = {
        "resourceType": "Patient",
        "meta": {
            "versionId": "77",
            "lastUpdated": "1999-01-01T00:00:00Z",
            "tag": [{"system": "urn:t", "code": "a"}],
        },
    }
    meta = fhir.post("Patient", json=sent).json()["meta"]
    assert meta["versionId"] == "1"
    assert meta["lastUpdated"] > "2020"
    assert meta["tag"] == [{"system": "urn:t", "code": "a"}]


@pytest.mark.parametrize(
    "number",
    ["72.50", "1.00", "0.10", "1e-22", "1.0E+2", "0.00000001", "-0.0", "12345678901234567890.123456789"],
)
def test_the_text_of_a_decimal_survives(fhir, number):
    body = (
        '{"resourceType":"Observation","status":"final","code":{"text":"x"},'
        f'"valueQuantity":{{"value":{number}}}}}'
    )
    answer = fhir.post("Observation", content=body)
    assert answer.status_code == 201, answer.text
    assert f'"value":{number}}}' in fhir.get(f"Observation/{answer.json()['id']}").text


def test_primitive_extensions_and_the_order_of_elements_survive(fhir):
    body = (
        '{"resourceType":"Patient","name":[{"given":[null,"Ana"],"_given":[{"extension":[{"url":"urn:x",'
        '"valueCode":"a"}]},null],"family":"B"}],"active":true,"_birthDate":{"id":"b1"},"birthDate":"1970-01"}'
    )
    answer = fhir.post("Patient", content=body)
    assert answer.status_code == 201, answer.text
    assert answer.text.endswith(body.removeprefix('{"resourceType":"Patient",'))


@pytest.mark.parametrize(
    ("prefer", "expected"),
    [
        ("return=minimal", None),
        ("return=representation", "Patient"),
        ("return=OperationOutcome", "OperationOutcome"),
    ],
)
def test_prefer_decides_what_comes_back(fhir, prefer, expected):
    answer = fhir.post("Patient", json={"resourceType": "Patient"}, headers={"Prefer": prefer})
    assert answer.status_code == 201
    assert (answer.json()["resourceType"] if answer.content else None) == expected


def test_criteria_in_the_address_of_a_create_are_refused_rather_than_ignored(fhir):
    assert fhir.post("Patient?identifier=x", json={"resourceType": "Patient"}).status_code == 400
    assert fhir.post("Patient?_format=json", json={"resourceType": "Patient"}).status_code == 201


def test_an_invalid_resource_is_refused_with_every_issue_and_nothing_is_stored(fhir):
    tag = "urn:test:refused|x"
    body = {
        "resourceType": "Observation",
        "meta": {"tag": [{"system": "urn:test:refused", "code": "x"}]},
        "status": "done",
        "colour": "red",
    }
    answer = fhir.post("Observation", json=body)
    assert answer.status_code == 400
    found = {(issue["code"], issue["expression"][0]) for issue in answer.json()["issue"]}
    assert {
        ("code-invalid", "Observation.status"),
        ("structure", "Observation"),
        ("required", "Observation"),
    } <= found
    assert fhir.get("Observation", params={"_tag": tag, "_total": "accurate"}).json()["total"] == 0


def test_a_broken_invariant_is_422(fhir):
    body = {"resourceType": "Patient", "contact": [{"gender": "male"}]}
    answer = fhir.post("Patient", json=body)
    assert answer.status_code == 422
    [issue] = answer.json()["issue"]
    assert (issue["severity"], issue["code"], issue["expression"]) == (
        "error",
        "invariant",
        ["Patient.contact[0]"],
    )
    assert issue["details"]["coding"][0]["code"] == "pat-1"
