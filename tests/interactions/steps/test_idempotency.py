"""Idempotency-Key over HTTP: the first answer comes again, and nothing is done twice."""

import asyncio
import uuid

import httpx
import pytest


@pytest.fixture
def value():
    return uuid.uuid4().hex


def patient(value, **more):
    return {"resourceType": "Patient", "identifier": [{"value": value}], **more}


def total(fhir, value):
    return fhir.get("Patient", params={"identifier": value, "_total": "accurate"}).json()["total"]


def test_the_same_request_gets_the_same_answer_and_is_done_once(fhir, value):
    headers = {"Idempotency-Key": value}
    first = fhir.post("Patient", json=patient(value), headers=headers)
    assert first.status_code == 201
    assert "idempotency-replayed" not in first.headers
    again = fhir.post("Patient", json=patient(value), headers=headers)
    assert (again.status_code, again.json()) == (201, first.json())
    assert again.headers["idempotency-replayed"] == "true"
    for header in ("location", "etag", "last-modified"):
        assert again.headers[header] == first.headers[header]
    assert total(fhir, value) == 1


@pytest.mark.parametrize("change", ["body", "path", "prefer"])
def test_the_same_key_with_another_request_is_a_422(fhir, value, change):
    headers = {"Idempotency-Key": value}
    fhir.post("Patient", json=patient(value), headers=headers)
    if change == "prefer":
        headers["Prefer"] = "return=minimal"
    path = "Practitioner" if change == "path" else "Patient"
    body = patient(value, active=True) if change == "body" else {**patient(value), "resourceType": path}
    answer = fhir.post(path, json=body, headers=headers)
    assert answer.status_code == 422
    assert total(fhir, value) == 1


def test_a_refused_request_leaves_the_key_free(fhir, value):
    headers = {"Idempotency-Key": value}
    assert fhir.post("Patient", json=patient(value, gender="wrong"), headers=headers).status_code == 422
    assert fhir.post("Patient", json=patient(value), headers=headers).status_code == 201


@pytest.mark.parametrize("key", ["", "with space", "x" * 256])
def test_a_malformed_key_is_a_400(fhir, value, key):
    answer = fhir.post("Patient", json=patient(value), headers={"Idempotency-Key": key})
    assert answer.status_code == 400
    assert total(fhir, value) == 0


def test_transactions_and_conditional_creates_are_replayed_too(fhir, value):
    bundle = {
        "resourceType": "Bundle",
        "type": "transaction",
        "entry": [
            {
                "resource": patient(value),
                "request": {"method": "POST", "url": "Patient", "ifNoneExist": f"identifier={value}"},
            }
        ],
    }
    answers = [fhir.post("", json=bundle, headers={"Idempotency-Key": value}).json() for _ in range(2)]
    assert answers[0] == answers[1]
    assert answers[1]["entry"][0]["response"]["status"] == "201 Created"


async def test_concurrent_attempts_store_once(fhir, value):
    url = f"{fhir.base_url}Patient"
    async with httpx.AsyncClient(timeout=60) as client:
        answers = await asyncio.gather(
            *(client.post(url, json=patient(value), headers={"Idempotency-Key": value}) for _ in range(40))
        )
    statuses = {answer.status_code for answer in answers}
    assert statuses <= {201, 409}
    assert len({answer.json()["id"] for answer in answers if answer.status_code == 201}) == 1
    assert all("retry-after" in answer.headers for answer in answers if answer.status_code == 409)
    assert total(fhir, value) == 1


def test_receipts_vanish_after_a_day(fhir, value, mongo_client):
    fhir.post("Patient", json=patient(value), headers={"Idempotency-Key": value})
    for name in mongo_client.list_database_names():
        indexes = mongo_client[name]["receipts"].index_information()
        if "at_1" in indexes:
            assert indexes["at_1"]["expireAfterSeconds"] == 86400
            return
    pytest.fail("there is no collection of receipts with a TTL index")
