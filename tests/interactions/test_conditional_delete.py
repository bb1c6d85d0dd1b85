"""Conditional delete over HTTP: https://hl7.org/fhir/R4/http.html#3.1.0.7.1."""

import uuid

import pytest

SYSTEM = "urn:test:conditional-delete"


@pytest.fixture
def value():
    return uuid.uuid4().hex


def stored(fhir, value, number):
    body = {"resourceType": "Patient", "identifier": [{"system": SYSTEM, "value": value}]}
    return [fhir.post("Patient", json=body).json()["id"] for _ in range(number)]


def delete(fhir, value, **headers):
    return fhir.delete("Patient", params={"identifier": f"{SYSTEM}|{value}"}, headers=headers)


def test_one_match_is_deleted_and_none_is_no_error(fhir, value):
    [id_] = stored(fhir, value, 1)
    assert delete(fhir, value).status_code == 204
    assert fhir.get(f"Patient/{id_}").status_code == 410
    assert delete(fhir, value).status_code == 204


def test_several_matches_are_a_412_that_says_how_many_and_all_stay(fhir, value):
    ids = stored(fhir, value, 3)
    answer = delete(fhir, value)
    assert answer.status_code == 412
    assert answer.json()["issue"][0]["diagnostics"].startswith("3 resources")
    assert all(fhir.get(f"Patient/{id_}").status_code == 200 for id_ in ids)


def test_if_match_is_about_the_match(fhir, value):
    stored(fhir, value, 1)
    assert delete(fhir, value, **{"If-Match": 'W/"2"'}).status_code == 412
    assert delete(fhir, value, **{"If-Match": 'W/"1"'}).status_code == 204


@pytest.mark.parametrize(("query", "status"), [("", 412), ("?_tag=", 412), ("?nonsense=1", 400)])
def test_without_criteria_nothing_is_deleted(fhir, value, query, status):
    [id_] = stored(fhir, value, 1)
    assert fhir.delete(f"Patient{query}").status_code == status
    assert fhir.get(f"Patient/{id_}").status_code == 200


def test_where_several_may_be_deleted_all_go_up_to_the_limit(site_with, value):
    with site_with({"delete.conditional": "multiple", "delete.conditional_max": 4}) as site:
        base = str(site.base_url)
        site.base_url = f"{base}/fhir/"
        ids = stored(site, value, 4)
        assert delete(site, value).status_code == 204
        assert all(site.get(f"Patient/{id_}").status_code == 410 for id_ in ids)
        ids = stored(site, value, 5)
        assert delete(site, value).status_code == 412
        assert all(site.get(f"Patient/{id_}").status_code == 200 for id_ in ids)
        resource = site.get("metadata").json()["rest"][0]["resource"][0]
        assert resource["conditionalDelete"] == "multiple"
