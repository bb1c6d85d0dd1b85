"""update: https://hl7.org/fhir/R4/http.html#update, https://hl7.org/fhir/R4/http.html#concurrency."""

import concurrent.futures
import uuid

import pytest


@pytest.fixture
def patient(fhir):
    return fhir.post("Patient", json={"resourceType": "Patient", "active": True}).json()


def test_update_makes_the_next_version(fhir, patient):
    answer = fhir.put(f"Patient/{patient['id']}", json={**patient, "active": False})
    assert answer.status_code == 200
    assert answer.headers["etag"] == 'W/"2"'
    assert answer.headers["location"].endswith(f"Patient/{patient['id']}/_history/2")
    updated = answer.json()
    assert updated["active"] is False
    assert updated["meta"]["lastUpdated"] > patient["meta"]["lastUpdated"]
    assert fhir.get(f"Patient/{patient['id']}").json() == updated


def test_update_as_create(fhir):
    id_ = f"client-{uuid.uuid4()}"
    answer = fhir.put(f"Patient/{id_}", json={"resourceType": "Patient", "id": id_})
    assert answer.status_code == 201
    assert answer.headers["etag"] == 'W/"1"'


@pytest.mark.parametrize(
    ("id_", "body", "status"),
    [
        ("a-1", {"resourceType": "Patient"}, 400),
        ("a-1", {"resourceType": "Patient", "id": "a-2"}, 400),
        ("a-1", {"resourceType": "Observation", "id": "a-1"}, 400),
        ("a" * 65, {"resourceType": "Patient", "id": "a" * 65}, 400),
        ("a_b", {"resourceType": "Patient", "id": "a_b"}, 400),
        ("a%2Fb", {"resourceType": "Patient", "id": "a/b"}, 400),
    ],
)
def test_ids_that_do_not_agree_or_are_malformed_are_refused(fhir, id_, body, status):
    answer = fhir.put(f"Patient/{id_}", json=body)
    assert answer.status_code == status
    assert answer.json()["resourceType"] == "OperationOutcome"


@pytest.mark.parametrize(("tag", "status"), [('W/"1"', 200), ("1", 200), ('W/"2"', 412), ("*", 200)])
def test_if_match(fhir, patient, tag, status):
    answer = fhir.put(f"Patient/{patient['id']}", json=patient, headers={"If-Match": tag})
    assert answer.status_code == status


def test_if_match_on_an_unknown_resource_is_412(fhir):
    body = {"resourceType": "Patient", "id": "not-there"}
    assert fhir.put("Patient/not-there", json=body, headers={"If-Match": 'W/"1"'}).status_code == 412
    assert fhir.get("Patient/not-there").status_code == 404


def test_if_none_match_star_makes_update_a_create(fhir, patient):
    answer = fhir.put(f"Patient/{patient['id']}", json=patient, headers={"If-None-Match": "*"})
    assert answer.status_code == 412


def test_concurrent_updates_with_if_match_let_one_win(fhir, patient):
    def attempt(_):
        return fhir.put(f"Patient/{patient['id']}", json=patient, headers={"If-Match": 'W/"1"'}).status_code

    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        statuses = list(pool.map(attempt, range(16)))
    assert sorted(statuses) == [200] + [412] * 15


def test_concurrent_updates_without_if_match_make_dense_versions(fhir, patient):
    def attempt(number):
        return fhir.put(
            f"Patient/{patient['id']}", json={**patient, "multipleBirthInteger": number}
        ).status_code

    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        assert set(pool.map(attempt, range(40))) == {200}
    bundle = fhir.get(f"Patient/{patient['id']}/_history?_count=100").json()
    versions = [int(entry["resource"]["meta"]["versionId"]) for entry in bundle["entry"]]
    assert versions == list(range(41, 0, -1))
    assert {e["resource"].get("multipleBirthInteger") for e in bundle["entry"]} == {None, *range(40)}
