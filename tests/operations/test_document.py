"""Composition/$document over HTTP."""

from __future__ import annotations

import itertools

import pytest

_numbers = itertools.count(1)


@pytest.fixture
def made(fhir):
    """A Composition with its subject, author, a section's entry, and what that refers to; the names by role."""
    mark = f"doc{next(_numbers)}"
    names = {}

    def put(role, resource):
        body = {**resource, "id": f"{mark}-{role}"}
        names[role] = f"{body['resourceType']}/{body['id']}"
        answer = fhir.put(names[role], json=body)
        assert answer.status_code == 201, answer.text

    put("patient", {"resourceType": "Patient"})
    put("author", {"resourceType": "Practitioner"})
    put("lab", {"resourceType": "Organization", "name": "Lab"})
    put("other", {"resourceType": "Patient"})
    put("result", {"resourceType": "Observation", "status": "final", "code": {"text": "x"},
                   "subject": {"reference": names["patient"]}, "performer": [{"reference": names["lab"]}],
                   "focus": [{"reference": names["other"]}]})  # fmt: skip
    put("composition", {
        "resourceType": "Composition", "status": "final", "type": {"text": "t"}, "date": "2026-01-01", "title": "T",
        "subject": {"reference": names["patient"]}, "author": [{"reference": names["author"]}],
        "section": [{"title": "s", "entry": [{"reference": names["result"]}]}],
    })  # fmt: skip
    return names


def resources(bundle):
    return [f"{e['resource']['resourceType']}/{e['resource']['id']}" for e in bundle["entry"]]


def test_a_document(fhir, made):
    answer = fhir.get(f"{made['composition']}/$document")
    assert answer.status_code == 200
    bundle = answer.json()
    assert bundle["type"] == "document"
    assert set(bundle["identifier"]) == {"system", "value"}
    assert bundle["timestamp"]
    found = resources(bundle)
    assert found[0] == made["composition"]
    assert set(found[1:]) == {made[role] for role in ("patient", "author", "result", "lab")}
    assert all(entry["fullUrl"].endswith(name) for entry, name in zip(bundle["entry"], found, strict=True))
    assert fhir.post("Bundle/$validate", json=bundle).json()["issue"][0]["severity"] not in ("error", "fatal")


def test_by_the_parameter(fhir, made):
    id_ = made["composition"].partition("/")[2]
    for named in (id_, made["composition"], str(fhir.base_url) + made["composition"]):
        found = fhir.get("Composition/$document", params={"id": named})
        assert resources(found.json())[0] == made["composition"]
    parameters = {"resourceType": "Parameters", "parameter": [{"name": "id", "valueUri": id_}]}
    answer = fhir.post("Composition/$document", json=parameters, headers={"Accept": "application/fhir+xml"})
    assert '<type value="document"/>' in answer.text


def test_persist(fhir, made):
    answer = fhir.post(f"{made['composition']}/$document?persist=true")
    assert answer.status_code == 200
    stored = fhir.get(answer.headers["location"])
    assert stored.json() == answer.json()
    assert stored.json()["id"]
    assert resources(stored.json())[0] == made["composition"]


def test_what_is_missing_is_told(fhir, made):
    fhir.delete(made["result"]).raise_for_status()
    answer = fhir.get(f"{made['composition']}/$document")
    assert answer.status_code == 422
    assert made["result"] in answer.json()["issue"][0]["diagnostics"]


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("Composition/nothing/$document", 404, "not-found"),
        ("Composition/$document", 400, "required"),
        ("Composition/$document?id=http://elsewhere.example/Composition/1", 400, "not-supported"),
        ("{composition}/$document?id=1", 400, "invalid"),
        ("{composition}/$document?graph=http://example.org/g", 400, "not-supported"),
        ("{composition}/$document?persist=maybe", 400, "value"),
        ("{patient}/$document", 404, "not-supported"),
    ],
)
def test_what_is_refused(fhir, made, path, status, code):
    answer = fhir.get(path.format(**made))
    assert (answer.status_code, answer.json()["issue"][0]["code"]) == (status, code)
