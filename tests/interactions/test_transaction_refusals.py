"""Transactions that make no sense, and resources that appear twice: https://hl7.org/fhir/R4/http.html#trules."""

import uuid

import pytest

from tests.interactions.transactions import entry, patient, send, urn


@pytest.fixture
def value():
    return uuid.uuid4().hex


DUPLICATES = {
    "the same PUT": lambda id_, value: [
        entry("PUT", f"Patient/{id_}", patient(value, id=id_)),
        entry("PUT", f"Patient/{id_}", patient(value, id=id_)),
    ],
    "PUT and DELETE": lambda id_, value: [
        entry("PUT", f"Patient/{id_}", patient(value, id=id_)),
        entry("DELETE", f"Patient/{id_}"),
    ],
    "PUT by id and by criteria": lambda id_, value: [
        entry("PUT", f"Patient/{id_}", patient(value, id=id_)),
        entry("PUT", f"Patient?identifier={value}", patient(value)),
    ],
    "two DELETEs, one by criteria": lambda id_, value: [
        entry("DELETE", f"Patient/{id_}"),
        entry("DELETE", f"Patient?identifier={value}"),
    ],
    "two creates for the same criteria": lambda id_, value: [
        entry("POST", "Patient", patient("n"), ifNoneExist=f"identifier=n{value}"),
        entry("POST", "Patient", patient("n"), ifNoneExist=f"identifier=n{value}"),
    ],
    "criteria that a create fulfils": lambda id_, value: [
        entry("POST", "Patient", patient(f"n{value}")),
        entry("PUT", f"Patient?identifier=n{value}", patient(f"n{value}")),
    ],
}


@pytest.mark.parametrize("name", DUPLICATES)
def test_a_resource_appears_once(fhir, value, name):
    id_ = fhir.post("Patient", json=patient(value)).json()["id"]
    answer = send(fhir, *DUPLICATES[name](id_, value))
    assert answer.status_code == 400, answer.text
    issues = answer.json()["issue"]
    assert {issue["expression"][0] for issue in issues} == {"Bundle.entry[0]", "Bundle.entry[1]"}
    assert all(issue["code"] == "duplicate" for issue in issues)
    assert "0 and 1" in issues[0]["diagnostics"] or "1 and 0" in issues[0]["diagnostics"]
    assert fhir.get(f"Patient/{id_}").json()["meta"]["versionId"] == "1"


REFUSED = {
    "no request": ({"resource": {"resourceType": "Patient"}}, 400, "Bundle.entry[0]"),
    "no resource": (entry("POST", "Patient"), 400, "Bundle.entry[0]"),
    "another type": (entry("POST", "Patient", {"resourceType": "Basic"}), 400, "Bundle.entry[0].resource"),
    "another id": (
        entry("PUT", "Patient/a", {"resourceType": "Patient", "id": "b"}),
        400,
        "Bundle.entry[0].resource.id",
    ),
    "an unknown type": (entry("DELETE", "Patent/a"), 400, "Bundle.entry[0].request.url"),
    "another server": (entry("DELETE", "http://x.example/Patient/a"), 400, "Bundle.entry[0].request.url"),
    "DELETE of a type": (entry("DELETE", "Patient"), 412, "Bundle.entry[0]"),
    "POST to an id": (
        entry("POST", "Patient/a", {"resourceType": "Patient"}),
        400,
        "Bundle.entry[0].request.url",
    ),
    "ifMatch with POST": (
        entry("POST", "Patient", {"resourceType": "Patient"}, ifMatch='W/"1"'),
        400,
        "Bundle.entry[0].request.ifMatch",
    ),
    "ifNoneExist with PUT": (
        entry("PUT", "Patient/a", {"resourceType": "Patient", "id": "a"}, ifNoneExist="identifier=x"),
        400,
        "Bundle.entry[0].request.ifNoneExist",
    ),
    "a read of nothing": (entry("GET", "Patient/there-is-none"), 404, "Bundle.entry[0]"),
    "a bad search": (entry("GET", "Patient?nonsense=1"), 400, "Bundle.entry[0]"),
    "ifMatch of nothing": (
        entry("PUT", "Patient/no-such", {"resourceType": "Patient", "id": "no-such"}, ifMatch='W/"1"'),
        412,
        "Bundle.entry[0]",
    ),
    "an unknown member": ({**entry("GET", "Patient"), "colour": "red"}, 400, "Bundle.entry[0]"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_makes_no_sense_is_refused(fhir, name):
    sent, status, place = REFUSED[name]
    answer = send(fhir, sent)
    assert answer.status_code == status, answer.text
    assert answer.json()["issue"][0]["expression"] == [place]


def test_duplicate_full_urls_are_named(fhir, value):
    url = urn()
    answer = send(
        fhir, entry("POST", "Patient", patient(value), url), entry("POST", "Patient", patient(value), url)
    )
    assert answer.status_code == 400
    [issue] = answer.json()["issue"]
    assert (issue["code"], issue["expression"]) == ("duplicate", ["Bundle.entry[1].fullUrl"])
    assert "entry 0" in issue["diagnostics"]
