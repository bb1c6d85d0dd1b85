"""batch over HTTP: https://hl7.org/fhir/R4/http.html#brules."""

import base64
import uuid

import pytest


@pytest.fixture
def value():
    return uuid.uuid4().hex


def send(fhir, *entries, **headers):
    answer = fhir.post(
        "", json={"resourceType": "Bundle", "type": "batch", "entry": entries}, headers=headers
    )
    assert answer.status_code == 200, answer.text
    assert answer.json()["type"] == "batch-response"
    return answer.json()["entry"]


def entry(method, url, resource=None, **request):
    made = {"request": {"method": method, "url": url, **request}}
    return made if resource is None else {**made, "resource": resource}


def statuses(entries):
    return [row["response"]["status"][:3] for row in entries]


def test_entries_succeed_and_fail_on_their_own(fhir, value):
    rows = send(
        fhir,
        entry("PUT", f"Patient/{value}", {"resourceType": "Patient", "id": value}),
        entry("POST", "Patient", {"resourceType": "Patient", "gender": "wrong"}),
        entry("GET", f"Patient/{value}"),
        entry("GET", "Patient/there-is-none"),
        entry("PUT", f"Patient/{value}", {"resourceType": "Patient", "id": value}, ifMatch='W/"9"'),
        entry("POST", "Patient", {"resourceType": "Basic", "code": {"text": "x"}}),
        entry("GET", "Patent"),
        entry("POST", "Patient"),
        entry("GET", "metadata?mode=nonsense"),
        entry("DELETE", f"Patient/{value}"),
        entry("GET", f"Patient/{value}"),
        entry("POST", "Patient", {"resourceType": "Patient"}, ifNoneExist=f"_id={value}"),
    )
    assert statuses(rows) == [
        "201", "422", "200", "404", "412", "400", "404", "400", "400", "204", "410", "201",
    ]  # fmt: skip
    for row in rows:
        failed = row["response"]["status"] >= "4"
        assert ("outcome" in row["response"]) == failed, row
    assert rows[2]["resource"]["id"] == value
    assert rows[0]["response"]["etag"] == 'W/"1"'
    assert rows[0]["response"]["location"].endswith(f"Patient/{value}/_history/1")


def test_prefer_holds_for_the_entries(fhir):
    [row] = send(fhir, entry("POST", "Patient", {"resourceType": "Patient"}), Prefer="return=minimal")
    assert row.keys() == {"response"}


def test_links_between_entries_are_refused_rather_than_stored_broken(fhir):
    url = f"urn:uuid:{uuid.uuid4()}"
    person = {**entry("POST", "Patient", {"resourceType": "Patient"}), "fullUrl": url}
    reading = {
        "resourceType": "Observation",
        "status": "final",
        "code": {"text": "x"},
        "subject": {"reference": url},
    }
    rows = send(fhir, person, entry("POST", "Observation", reading))
    assert statuses(rows) == ["201", "422"]
    assert rows[1]["response"]["outcome"]["issue"][0]["expression"] == ["Bundle.entry[1]"]


def test_conditional_entries(fhir, value):
    body = {"resourceType": "Patient", "identifier": [{"value": value}]}
    rows = send(
        fhir,
        *(entry("POST", "Patient", body, ifNoneExist=f"identifier={value}") for _ in range(5)),
        entry("PUT", f"Patient?identifier={value}", {**body, "active": True}),
        entry("GET", f"Patient?identifier={value}"),
        entry("DELETE", f"Patient?identifier={value}"),
    )
    assert sorted(statuses(rows[:5])) == ["200"] * 4 + ["201"]
    assert statuses(rows[5:]) == ["200", "200", "204"]
    assert rows[6]["resource"]["entry"][0]["resource"]["active"] is True


def test_a_hundred_reads_and_search_by_post(fhir, value):
    fhir.put(f"Patient/{value}", json={"resourceType": "Patient", "id": value})
    rows = send(
        fhir,
        *(entry("GET", f"Patient/{value}") for _ in range(100)),
        entry("POST", f"Patient/_search?_id={value}"),
    )
    assert set(statuses(rows)) == {"200"}
    assert rows[100]["resource"]["entry"][0]["resource"]["id"] == value


def test_head_has_no_resource(fhir, value):
    fhir.put(f"Patient/{value}", json={"resourceType": "Patient", "id": value})
    [row] = send(fhir, entry("HEAD", f"Patient/{value}"))
    assert row.keys() == {"response"}


def test_patches(fhir, value):
    fhir.put(f"Patient/{value}", json={"resourceType": "Patient", "id": value, "gender": "male"})
    operations = b'[{"op":"replace","path":"/gender","value":"female"}]'
    binary = {"resourceType": "Binary", "contentType": "application/json-patch+json"}
    parts = [{"name": "type", "valueCode": "delete"}, {"name": "path", "valueString": "Patient.gender"}]
    parameters = {"resourceType": "Parameters", "parameter": [{"name": "operation", "part": parts}]}
    url = f"Patient/{value}"
    rows = send(
        fhir,
        entry("PATCH", url, {**binary, "data": base64.b64encode(operations).decode()}),
        entry("GET", url),
        entry("PATCH", url, parameters),
        entry("GET", url),
        entry("PATCH", url, {**binary, "data": "!"}),
    )
    assert statuses(rows) == ["200", "200", "200", "200", "400"]
    assert rows[1]["resource"]["gender"] == "female"
    assert "gender" not in rows[3]["resource"]
