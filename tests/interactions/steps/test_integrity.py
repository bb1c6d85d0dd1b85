"""Referential integrity, where the settings ask for it."""

import uuid

import pytest


@pytest.fixture(scope="module")
def strict(site_with):
    with site_with({"integrity.references": "both"}) as site:
        site.base_url = f"{site.base_url}/fhir/"
        yield site


@pytest.fixture
def value():
    return uuid.uuid4().hex


def observation(subject, **more):
    return {
        "resourceType": "Observation",
        "status": "final",
        "code": {"text": "x"},
        "subject": {"reference": subject},
        **more,
    }


def patient(strict, value):
    assert strict.put(f"Patient/{value}", json={"resourceType": "Patient", "id": value}).status_code == 201
    return f"Patient/{value}"


def transaction(strict, *entries):
    return strict.post("", json={"resourceType": "Bundle", "type": "transaction", "entry": entries})


def entry(method, url, resource=None, full_url=None):
    made = {"request": {"method": method, "url": url}}
    if resource:
        made["resource"] = resource
    return {**made, "fullUrl": full_url} if full_url else made


def test_off_means_that_references_may_dangle(fhir, value):
    assert fhir.post("Observation", json=observation(f"Patient/{value}")).status_code == 201


@pytest.mark.parametrize("form", ["{}", "{}/_history/1", "{base}{}"])
def test_a_reference_must_lead_to_a_resource(strict, value, form):
    text = form.format(f"Patient/{value}", base=strict.base_url)
    answer = strict.post("Observation", json=observation(text))
    assert answer.status_code == 422
    [issue] = answer.json()["issue"]
    assert (issue["code"], issue["expression"]) == ("business-rule", ["Observation.subject.reference"])
    patient(strict, value)
    assert strict.post("Observation", json=observation(text)).status_code == 201


def test_contained_logical_foreign_and_own_references_are_left_alone(strict, value):
    body = observation(
        "http://other.example/fhir/Patient/1",
        id=value,
        contained=[{"resourceType": "Device", "id": "d"}],
        device={"reference": "#d"},
        performer=[{"identifier": {"value": "x"}}],
        hasMember=[{"reference": f"Observation/{value}"}],
    )
    assert strict.put(f"Observation/{value}", json=body).status_code == 201
    assert strict.put(f"Observation/{value}", json=observation("Patient/none", id=value)).status_code == 422
    url = f"Observation?_id={value}"
    assert strict.put(url, json=observation("Patient/none")).status_code == 422


def test_a_deleted_resource_is_no_target(strict, value):
    name = patient(strict, value)
    strict.delete(name)
    assert strict.post("Observation", json=observation(name)).status_code == 422


def test_what_is_referred_to_stays(strict, value):
    name = patient(strict, value)
    reader = strict.post("Observation", json=observation(name, focus=[{"reference": name}])).json()["id"]
    for refused in (strict.delete(name), strict.delete("Patient", params={"_id": value})):
        assert refused.status_code == 409
        assert f"Observation/{reader}" in refused.json()["issue"][0]["diagnostics"]
    assert strict.get(name).status_code == 200
    strict.delete(f"Observation/{reader}")
    assert strict.delete(name).status_code == 204


def test_a_transaction_is_judged_as_a_whole(strict, value):
    url = f"urn:uuid:{uuid.uuid4()}"
    answer = transaction(
        strict,
        entry("POST", "Observation", observation(url)),
        entry("POST", "Patient", {"resourceType": "Patient"}, url),
        entry("PUT", f"Patient/{value}", {"resourceType": "Patient", "id": value}),
        entry("POST", "Observation", observation(f"Patient/{value}")),
    )
    assert answer.status_code == 200, answer.text
    first, _, _, second = (row["resource"]["id"] for row in answer.json()["entry"])
    together = transaction(
        strict, entry("DELETE", f"Patient/{value}"), entry("DELETE", f"Observation/{second}")
    )
    assert together.status_code == 200
    dangling = transaction(
        strict,
        entry("POST", "Observation", observation(f"Patient/{value}")),
        entry("POST", "Observation", observation("Patient/none")),
        entry("DELETE", f"Observation/{first}"),
    )
    assert dangling.status_code == 422
    assert [issue["expression"] for issue in dangling.json()["issue"]] == [
        ["Bundle.entry[0].resource.subject.reference"],
        ["Bundle.entry[1].resource.subject.reference"],
    ]


def test_a_transaction_deletes_nothing_that_others_refer_to(strict, value):
    name = patient(strict, value)
    reader = strict.post("Observation", json=observation(name)).json()["id"]
    answer = transaction(strict, entry("DELETE", name))
    assert answer.status_code == 409
    assert f"Observation/{reader}" in answer.json()["issue"][0]["diagnostics"]
    moved = {**observation(""), "id": reader}
    del moved["subject"]
    rewritten = transaction(strict, entry("DELETE", name), entry("PUT", f"Observation/{reader}", moved))
    assert rewritten.status_code == 200, rewritten.text


def test_the_statement_says_so(strict, fhir):
    assert "enforced" in strict.get("metadata").json()["rest"][0]["resource"][0]["referencePolicy"]
    assert "referencePolicy" not in fhir.get("metadata").json()["rest"][0]["resource"][0]
