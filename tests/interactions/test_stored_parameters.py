"""SearchParameters of a server's own: https://hl7.org/fhir/R4/searchparameter.html. They take effect while it runs."""

import time
import uuid

import pytest


def parameter(name, **more):
    return {
        "resourceType": "SearchParameter",
        "id": name,
        "url": f"http://example.org/SearchParameter/{name}",
        "name": "Own",
        "status": "active",
        "description": "A parameter of our own.",
        "code": name,
        "base": ["Patient"],
        "type": "token",
        "expression": "Patient.multipleBirth.as(boolean)",
        **more,
    }


def until(condition, seconds=20):
    end = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.05)
    return found


def state(fhir, name):
    answer = fhir.get(f"SearchParameter/{name}/$reindex")
    assert answer.status_code == 200, answer.text
    for job in answer.json().get("parameter", ()):
        return {
            part["name"]: next(v for k, v in part.items() if k.startswith("value")) for part in job["part"]
        }
    return {}


def is_done(fhir, name):
    return (
        state(fhir, name).get("state") == "done"
        and fhir.get("Patient", params={name: "true"}).status_code == 200
    )


@pytest.fixture
def name(fhir):
    name = f"own-{uuid.uuid4().hex[:12]}"
    yield name
    fhir.delete(f"SearchParameter/{name}")


@pytest.fixture
def older(fhir, name):
    """A patient who was there before the parameter."""
    made = {"resourceType": "Patient", "id": f"{name}-old", "multipleBirthBoolean": True}
    assert fhir.put(f"Patient/{name}-old", json=made).status_code == 201
    return made["id"]


def found(fhir, **query):
    answer = fhir.get("Patient", params=query)
    assert answer.status_code == 200, answer.text
    return {e["resource"]["id"] for e in answer.json().get("entry", ())}


def listed(fhir, name):
    [patient] = [r for r in fhir.get("metadata").json()["rest"][0]["resource"] if r["type"] == "Patient"]
    return [p for p in patient["searchParam"] if p["name"] == name]


def test_the_life_of_a_parameter(fhir, name, older):
    assert fhir.get("Patient", params={name: "true"}).status_code == 400
    assert fhir.put(f"SearchParameter/{name}", json=parameter(name)).status_code == 201
    # Known within a second, and refused until older resources are indexed: an answer would be incomplete.
    until(lambda: "is being built" in fhir.get("Patient", params={name: "true"}).text, 2)
    assert listed(fhir, name) == []
    newer = fhir.post("Patient", json={"resourceType": "Patient", "multipleBirthBoolean": True}).json()["id"]
    until(lambda: is_done(fhir, name))
    assert {older, newer} <= found(fhir, **{name: "true", "_count": "1000"})
    assert found(fhir, **{name: "true", "_id": f"{older},{newer}"}) == {older, newer}
    assert found(fhir, **{name: "false", "_id": f"{older},{newer}"}) == set()
    [row] = listed(fhir, name)
    assert row == {"name": name, "definition": f"http://example.org/SearchParameter/{name}", "type": "token"}
    now = state(fhir, name)
    assert (now["code"], now["searchable"], now["type"]) == (name, True, "Patient")
    assert now["indexed"] >= 2
    # Gone within a second.
    assert fhir.delete(f"SearchParameter/{name}").status_code == 204
    until(lambda: "has no search parameter" in fhir.get("Patient", params={name: "true"}).text, 2)
    assert listed(fhir, name) == []


def test_another_expression_is_indexed_anew_and_another_description_is_not(fhir, name, older):
    fhir.put(f"SearchParameter/{name}", json=parameter(name))
    until(lambda: is_done(fhir, name))
    begun = state(fhir, name)["begun"]
    fhir.put(f"SearchParameter/{name}", json=parameter(name, description="Other words."))
    time.sleep(1.2)
    assert state(fhir, name)["begun"] == begun
    assert found(fhir, **{name: "true", "_id": older}) == {older}
    fhir.put(f"SearchParameter/{name}", json=parameter(name, expression="Patient.active"))
    until(lambda: state(fhir, name)["begun"] != begun)
    until(lambda: is_done(fhir, name))
    assert found(fhir, **{name: "true", "_id": older}) == set()


def test_reindex_on_demand_changes_no_resource(fhir, name, older):
    fhir.put(f"SearchParameter/{name}", json=parameter(name))
    until(lambda: is_done(fhir, name))
    before = fhir.get(f"Patient/{older}")
    answer = fhir.post(f"SearchParameter/{name}/$reindex")
    assert answer.status_code == 202, answer.text
    assert answer.json()["parameter"][0]["name"] == "job"
    until(lambda: is_done(fhir, name))
    after = fhir.get(f"Patient/{older}")
    assert (after.content, after.headers["etag"]) == (before.content, before.headers["etag"])


def test_values_of_extensions(fhir, name):
    url = f"http://example.org/{name}"
    made = {"resourceType": "Patient", "extension": [{"url": url, "valueString": "Zürich"}]}
    expression = f"Patient.extension.where(url = '{url}').value.as(string)"
    older = fhir.post("Patient", json=made).json()["id"]
    answer = fhir.put(f"SearchParameter/{name}", json=parameter(name, type="string", expression=expression))
    assert answer.status_code == 201, answer.text
    until(lambda: state(fhir, name).get("state") == "done" and listed(fhir, name))
    assert found(fhir, **{name: "zur"}) == {older}
    assert found(fhir, **{f"{name}:exact": "Zürich", "_sort": name}) == {older}


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"expression": "Patient.name.("}, "can't be used"),
        ({"expression": "Patient.nothing"}, "no element"),
        ({"expression": "Patient.photo"}, "can't be searched as token"),
        ({"code": "gender"}, "has a parameter 'gender' already"),
        ({"code": "a.b"}, "can't be the name"),
        ({"type": "special"}, "can't be added"),
    ],
)
def test_what_can_not_work_is_refused(fhir, name, more, message):
    answer = fhir.put(f"SearchParameter/{name}", json=parameter(name, **more))
    assert answer.status_code == 422, answer.text
    assert any(message in issue["diagnostics"] for issue in answer.json()["issue"])


def test_a_draft_has_no_effect_and_r4s_own_stay(fhir, name):
    assert fhir.put(f"SearchParameter/{name}", json=parameter(name, status="draft")).status_code == 201
    own = parameter(
        name, id=f"{name}-r4", url="http://hl7.org/fhir/SearchParameter/Patient-active", code="active"
    )
    assert fhir.put(f"SearchParameter/{name}-r4", json=own).status_code == 201
    time.sleep(1.2)
    assert "has no search parameter" in fhir.get("Patient", params={name: "true"}).text
    assert fhir.get("Patient", params={"active": "true"}).status_code == 200
    assert fhir.post(f"SearchParameter/{name}/$reindex").status_code == 422


@pytest.mark.parametrize(
    "path", ["Patient/x/$reindex", "Patient/$reindex", "SearchParameter/unknown/$reindex"]
)
def test_reindex_elsewhere(fhir, path):
    assert fhir.get(path).status_code == 404


def test_a_job_needs_its_parameter(fhir):
    assert fhir.post("SearchParameter/$reindex").status_code == 400


def test_all_jobs(fhir):
    assert fhir.get("SearchParameter/$reindex").json()["resourceType"] == "Parameters"
