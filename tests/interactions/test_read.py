"""read, vread and their conditional forms: https://hl7.org/fhir/R4/http.html#read."""

import pytest


@pytest.fixture
def patient(fhir):
    return fhir.post("Patient", json={"resourceType": "Patient", "active": True}).json()


def test_an_unknown_id_is_404_with_an_outcome(fhir):
    answer = fhir.get("Patient/nobody")
    assert answer.status_code == 404
    assert answer.json()["issue"][0]["code"] == "not-found"


def test_an_unknown_type_is_404_and_names_the_nearest(fhir):
    answer = fhir.get("Pacient/1")
    assert answer.status_code == 404
    assert "Did you mean Patient?" in answer.json()["issue"][0]["diagnostics"]


def test_an_id_may_be_called_metadata(fhir):
    body = {"resourceType": "Patient", "id": "metadata"}
    assert fhir.put("Patient/metadata", json=body).status_code in (200, 201)
    assert fhir.get("Patient/metadata").json()["id"] == "metadata"


@pytest.mark.parametrize("tag", ['W/"1"', '"1"', "1", '"9", W/"1"', "*"])
def test_if_none_match_of_the_current_version_is_304(fhir, patient, tag):
    answer = fhir.get(f"Patient/{patient['id']}", headers={"If-None-Match": tag})
    assert answer.status_code == 304
    assert answer.content == b""
    assert answer.headers["etag"] == 'W/"1"'


def test_if_none_match_of_another_version_is_200(fhir, patient):
    assert fhir.get(f"Patient/{patient['id']}", headers={"If-None-Match": 'W/"2"'}).status_code == 200


@pytest.mark.parametrize(
    ("since", "status"),
    [("Fri, 01 Jan 2100 00:00:00 GMT", 304), ("Sat, 01 Jan 2000 00:00:00 GMT", 200), ("yesterday", 200)],
)
def test_if_modified_since(fhir, patient, since, status):
    answer = fhir.get(f"Patient/{patient['id']}", headers={"If-Modified-Since": since})
    assert answer.status_code == status


def test_if_none_match_outranks_if_modified_since(fhir, patient):
    headers = {"If-None-Match": 'W/"2"', "If-Modified-Since": "Fri, 01 Jan 2100 00:00:00 GMT"}
    assert fhir.get(f"Patient/{patient['id']}", headers=headers).status_code == 200


def test_head_is_read_without_body(fhir, patient):
    whole = fhir.get(f"Patient/{patient['id']}")
    head = fhir.head(f"Patient/{patient['id']}")
    assert head.status_code == 200
    assert head.content == b""
    for name in ("etag", "last-modified", "content-type", "content-length"):
        assert head.headers[name] == whole.headers[name]


def test_vread_gives_each_version(fhir, patient):
    id_ = patient["id"]
    second = fhir.put(f"Patient/{id_}", json={**patient, "active": False}).json()
    assert fhir.get(f"Patient/{id_}/_history/1").json() == patient
    assert fhir.get(f"Patient/{id_}/_history/2").json() == second
    assert fhir.get(f"Patient/{id_}/_history/2").headers["etag"] == 'W/"2"'


@pytest.mark.parametrize("version", ["0", "3", "x", "-1", "1.0", "99999999999999999999", "%C2%B2"])
def test_an_unknown_version_is_404(fhir, patient, version):
    assert fhir.get(f"Patient/{patient['id']}/_history/{version}").status_code == 404


def test_pretty_and_format(fhir, patient):
    assert "\n" in fhir.get(f"Patient/{patient['id']}?_pretty=true").text
    for format_ in ("json", "application/json", "application/fhir+json", "application/fhir%2Bjson"):
        assert fhir.get(f"Patient/{patient['id']}?_format={format_}").status_code == 200
