"""Conditional update over HTTP: https://hl7.org/fhir/R4/http.html#cond-update."""

import uuid

import pytest

SYSTEM = "urn:test:conditional-update"


@pytest.fixture
def value():
    return uuid.uuid4().hex


def patient(value, **more):
    return {"resourceType": "Patient", "identifier": [{"system": SYSTEM, "value": value}], **more}


def put(fhir, value, body, **headers):
    return fhir.put("Patient", params={"identifier": f"{SYSTEM}|{value}"}, json=body, headers=headers)


def test_no_match_and_no_id_creates_under_an_id_of_the_server(fhir, value):
    answer = put(fhir, value, patient(value))
    assert answer.status_code == 201
    assert fhir.get(f"Patient/{answer.json()['id']}").json() == answer.json()


def test_no_match_and_an_id_creates_under_that_id(fhir, value):
    answer = put(fhir, value, patient(value, id=f"c-{value}"))
    assert (answer.status_code, answer.json()["id"]) == (201, f"c-{value}")


def test_no_match_and_the_id_of_another_resource_is_a_409(fhir, value):
    fhir.put(f"Patient/c-{value}", json={"resourceType": "Patient", "id": f"c-{value}"})
    answer = put(fhir, value, patient(value, id=f"c-{value}"))
    assert answer.status_code == 409
    assert fhir.get(f"Patient/c-{value}").json()["meta"]["versionId"] == "1"


def test_no_match_and_the_id_of_a_deleted_resource_continues_its_versions(fhir, value):
    fhir.put(f"Patient/c-{value}", json={"resourceType": "Patient", "id": f"c-{value}"})
    fhir.delete(f"Patient/c-{value}")
    answer = put(fhir, value, patient(value, id=f"c-{value}"))
    assert (answer.status_code, answer.json()["meta"]["versionId"]) == (201, "3")


def test_one_match_is_updated_with_and_without_its_id(fhir, value):
    first = put(fhir, value, patient(value)).json()
    second = put(fhir, value, patient(value, gender="female"))
    assert (second.status_code, second.json()["id"], second.json()["gender"]) == (200, first["id"], "female")
    third = put(fhir, value, patient(value, id=first["id"], gender="male"))
    assert (third.status_code, third.json()["meta"]["versionId"]) == (200, "3")


def test_one_match_and_another_id_is_a_400(fhir, value):
    put(fhir, value, patient(value))
    answer = put(fhir, value, patient(value, id="another"))
    assert answer.status_code == 400
    assert answer.json()["issue"][0]["expression"] == ["Patient.id"]


def test_several_matches_are_a_412_that_says_how_many(fhir, value):
    for _ in range(2):
        fhir.post("Patient", json=patient(value))
    answer = put(fhir, value, patient(value))
    assert answer.status_code == 412
    assert answer.json()["issue"][0]["diagnostics"].startswith("2 resources")


def test_preconditions_are_about_the_match(fhir, value):
    assert put(fhir, value, patient(value), **{"If-Match": 'W/"1"'}).status_code == 412
    put(fhir, value, patient(value))
    assert put(fhir, value, patient(value), **{"If-Match": 'W/"2"'}).status_code == 412
    assert put(fhir, value, patient(value), **{"If-None-Match": "*"}).status_code == 412
    assert put(fhir, value, patient(value), **{"If-Match": 'W/"1"'}).status_code == 200


@pytest.mark.parametrize(("query", "status"), [("", 412), ("?identifier=", 412), ("?nonsense=1", 400)])
def test_without_criteria_nothing_is_updated(fhir, value, query, status):
    assert fhir.put(f"Patient{query}", json=patient(value)).status_code == status
