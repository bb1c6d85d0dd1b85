"""delete: https://hl7.org/fhir/R4/http.html#delete."""

import pytest


@pytest.fixture
def deleted(fhir):
    patient = fhir.post("Patient", json={"resourceType": "Patient", "active": True}).json()
    answer = fhir.delete(f"Patient/{patient['id']}")
    assert answer.status_code == 204
    assert answer.content == b""
    assert answer.headers["etag"] == 'W/"2"'
    return patient


def test_a_deleted_resource_is_410_and_not_found_by_search(fhir, deleted):
    answer = fhir.get(f"Patient/{deleted['id']}")
    assert answer.status_code == 410
    assert answer.json()["issue"][0]["code"] == "deleted"
    assert answer.headers["etag"] == 'W/"2"'
    assert "entry" not in fhir.get("Patient", params={"_id": deleted["id"]}).json()


def test_versions_before_the_deletion_stay_and_the_deletion_is_410(fhir, deleted):
    assert fhir.get(f"Patient/{deleted['id']}/_history/1").json() == deleted
    assert fhir.get(f"Patient/{deleted['id']}/_history/2").status_code == 410


def test_deleting_again_or_nothing_is_204(fhir, deleted):
    assert fhir.delete(f"Patient/{deleted['id']}").status_code == 204
    assert fhir.delete("Patient/never-there").status_code == 204
    assert len(fhir.get(f"Patient/{deleted['id']}/_history").json()["entry"]) == 2


def test_a_deleted_resource_comes_back_by_update_with_a_higher_version(fhir, deleted):
    answer = fhir.put(f"Patient/{deleted['id']}", json=deleted)
    assert answer.status_code == 201
    assert answer.json()["meta"]["versionId"] == "3"
    assert fhir.get(f"Patient/{deleted['id']}").status_code == 200
    bundle = fhir.get(f"Patient/{deleted['id']}/_history").json()
    assert [e["request"]["method"] for e in bundle["entry"]] == ["PUT", "DELETE", "POST"]


@pytest.mark.parametrize(("tag", "status"), [('W/"1"', 204), ('W/"2"', 412)])
def test_if_match_on_delete(fhir, tag, status):
    patient = fhir.post("Patient", json={"resourceType": "Patient"}).json()
    answer = fhir.delete(f"Patient/{patient['id']}", headers={"If-Match": tag})
    assert answer.status_code == status
