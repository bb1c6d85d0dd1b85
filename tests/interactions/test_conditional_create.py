"""Conditional create over HTTP: https://hl7.org/fhir/R4/http.html#ccreate."""

import asyncio
import uuid

import httpx
import pytest

SYSTEM = "urn:test:conditional-create"


def patient(value, **more):
    return {"resourceType": "Patient", "identifier": [{"system": SYSTEM, "value": value}], **more}


def criteria(value):
    return {"If-None-Exist": f"identifier={SYSTEM}%7C{value}"}


@pytest.fixture
def value():
    return uuid.uuid4().hex


def total(fhir, value):
    answer = fhir.get("Patient", params={"identifier": f"{SYSTEM}|{value}", "_total": "accurate"})
    return answer.json()["total"]


def test_without_a_match_the_resource_is_created(fhir, value):
    answer = fhir.post("Patient", json=patient(value), headers=criteria(value))
    assert answer.status_code == 201
    assert total(fhir, value) == 1


def test_with_one_match_nothing_is_stored_and_the_match_is_answered(fhir, value):
    first = fhir.post("Patient", json=patient(value, gender="male"))
    answer = fhir.post("Patient", json=patient(value, gender="female"), headers=criteria(value))
    assert answer.status_code == 200
    assert answer.json() == first.json()
    for header in ("location", "etag", "last-modified"):
        assert answer.headers[header] == first.headers[header]
    assert total(fhir, value) == 1


def test_with_several_matches_it_is_a_412_that_says_how_many(fhir, value):
    for _ in range(3):
        fhir.post("Patient", json=patient(value))
    answer = fhir.post("Patient", json=patient(value), headers=criteria(value))
    assert answer.status_code == 412
    [issue] = answer.json()["issue"]
    assert issue["code"] == "multiple-matches"
    assert issue["diagnostics"].startswith("3 resources")
    assert total(fhir, value) == 3


@pytest.mark.parametrize(
    ("header", "status"),
    [
        ("", 412),
        ("identifier=", 412),
        ("identifer=x", 400),
        ("_count=1&identifier=x", 400),
        ("identifier:foo=x", 400),
        ("identifier=x&_include=Patient:organization", 400),
    ],
)
def test_criteria_that_pick_nothing_in_particular_are_refused(fhir, value, header, status):
    answer = fhir.post(
        "Patient", json=patient(value), headers={"If-None-Exist": header, "Prefer": "handling=lenient"}
    )
    assert answer.status_code == status, answer.text
    assert total(fhir, value) == 0


def test_prefer_minimal_and_operation_outcome_hold_for_a_match_too(fhir, value):
    fhir.post("Patient", json=patient(value))
    minimal = fhir.post(
        "Patient", json=patient(value), headers={**criteria(value), "Prefer": "return=minimal"}
    )
    assert (minimal.status_code, minimal.content) == (200, b"")
    told = fhir.post(
        "Patient", json=patient(value), headers={**criteria(value), "Prefer": "return=OperationOutcome"}
    )
    assert "Nothing was stored" in told.json()["issue"][0]["diagnostics"]


def test_a_body_that_does_not_match_its_own_criteria_is_created_each_time(fhir, value):
    """There is never a match, so the claim of the first must not stop the second."""
    ids = {
        fhir.post("Patient", json=patient("other"), headers=criteria(value)).json()["id"] for _ in range(3)
    }
    assert len(ids) == 3


async def test_concurrent_attempts_make_one_resource(site_with, value):
    """Two applications on one database stand for two workers."""
    body = patient(value)
    with site_with({}) as one, site_with({}) as other:
        async with httpx.AsyncClient(timeout=60) as client:
            answers = await asyncio.gather(
                *(
                    client.post(f"{site.base_url}/fhir/Patient", json=body, headers=criteria(value))
                    for _ in range(100)
                    for site in (one, other)
                )
            )
        statuses = [answer.status_code for answer in answers]
        assert sorted(set(statuses)) == [200, 201], statuses
        assert statuses.count(201) == 1
        assert len({answer.json()["id"] for answer in answers}) == 1
