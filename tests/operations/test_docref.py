"""DocumentReference/$docref over HTTP."""

from __future__ import annotations

import itertools

import pytest

_numbers = itertools.count(1)
CCD, NOTE = ({"system": "http://loinc.org", "code": code} for code in ("34133-9", "11506-3"))


@pytest.fixture
def patient(fhir):
    """The id of a patient with documents of two types and several years."""
    id_ = f"dr{next(_numbers)}"
    fhir.put(f"Patient/{id_}", json={"resourceType": "Patient", "id": id_}).raise_for_status()

    def put(name, coding, date, period=None, **more):
        body = {
            "resourceType": "DocumentReference", "id": f"{id_}-{name}", "status": "current",
            "type": {"coding": [coding]}, "subject": {"reference": f"Patient/{id_}"}, "date": date,
            "content": [{"attachment": {"title": name}}], **({"context": {"period": period}} if period else {}), **more,
        }  # fmt: skip
        fhir.put(f"DocumentReference/{body['id']}", json=body).raise_for_status()

    put("ccd20", CCD, "2020-05-01T00:00:00Z")
    put("ccd21", CCD, "2021-05-01T00:00:00Z", {"start": "2019-01-01", "end": "2019-12-31"})
    put("note22", NOTE, "2022-05-01T00:00:00Z")
    put("gone", NOTE, "2023-05-01T00:00:00Z", status="entered-in-error")
    return id_


def found(answer):
    assert answer.status_code == 200, answer.text
    entries = answer.json().get("entry", ())
    return [e["resource"]["id"].partition("-")[2] for e in entries if e["search"]["mode"] == "match"]


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ({}, "note22 ccd21"),
        ({"type": "http://loinc.org|34133-9"}, "ccd21"),
        ({"type": "11506-3"}, "note22"),
        ({"start": "2020"}, "note22 ccd20"),
        ({"start": "2019-06-01", "end": "2020-12-31"}, "ccd21 ccd20"),
        ({"end": "2019"}, "ccd21"),
        ({"end": "2019", "type": "11506-3"}, ""),
        ({"on-demand": "true"}, ""),
        ({"on-demand": "false"}, "note22 ccd21"),
        ({"profile": "http://example.org/none"}, ""),
    ],
)
def test_what_is_found(fhir, patient, query, names):
    answer = fhir.get("DocumentReference/$docref", params={"patient": patient, **query})
    assert found(answer) == names.split()
    assert answer.json()["type"] == "searchset"


def test_post(fhir, patient):
    parameters = [
        {"name": "patient", "valueId": patient},
        {"name": "type", "valueCodeableConcept": {"coding": [NOTE]}},
    ]
    body = {"resourceType": "Parameters", "parameter": parameters}
    assert found(fhir.post("DocumentReference/$docref", json=body)) == ["note22"]
    parameters[1] = {"name": "type", "valueCoding": CCD}
    xml = fhir.post("DocumentReference/$docref", json=body, headers={"Accept": "application/fhir+xml"})
    assert xml.text.count("<DocumentReference>") == 1


def test_on_demand_tells_the_way(fhir, patient):
    answer = fhir.get("DocumentReference/$docref", params={"patient": patient, "on-demand": "true"}).json()
    assert "$summary" in answer["entry"][0]["resource"]["issue"][0]["diagnostics"]


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("", "required"),
        ("patient=1&start=soon", "invalid"),
        ("patient=1&on-demand=some", "value"),
        ("patient=1&format=pdf", "not-supported"),
    ],
)
def test_what_is_refused(fhir, query, code):
    answer = fhir.get(f"DocumentReference/$docref?{query}")
    assert (answer.status_code, answer.json()["issue"][0]["code"]) == (400, code)
