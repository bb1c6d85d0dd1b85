"""Conditional create over HTTP: https://hl7.org/fhir/R4/http.html#ccreate."""

import asyncio
import json
import re
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


async def attempt(base_url, value):
    """Return status and id of a conditional create; a client library would need longer than the server."""
    body = json.dumps(patient(value)).encode()
    reader, writer = await asyncio.open_connection(base_url.host, base_url.port)
    head = f"POST /fhir/Patient HTTP/1.1\r\nHost: {base_url.host}:{base_url.port}\r\nContent-Length: {len(body)}\r\n"
    head += "Content-Type: application/fhir+json\r\nIf-None-Exist: " + criteria(value)["If-None-Exist"]
    writer.write(head.encode() + b"\r\n\r\n" + body)
    answer = await reader.readuntil(b"\r\n\r\n")
    length = int(re.search(rb"(?i)content-length: (\d+)", answer)[1])
    resource = json.loads(await reader.readexactly(length))
    writer.close()
    await writer.wait_closed()
    return int(answer.split(b" ", 2)[1]), resource.get("id")


async def test_1000_concurrent_attempts_make_one_resource(site_with, value):
    """Two applications on one database stand for two workers. They look together: one by one took a minute."""
    with site_with({}) as one, site_with({}) as other:
        attempts = (attempt(site.base_url, value) for _ in range(500) for site in (one, other))
        answers = await asyncio.wait_for(asyncio.gather(*attempts), 30)
    statuses = [status for status, _ in answers]
    assert sorted(set(statuses)) == [200, 201], statuses
    assert statuses.count(201) == 1
    assert len({id_ for _, id_ in answers}) == 1


async def test_concurrent_bodies_that_do_not_match_their_criteria_are_all_created(site_with, fhir, value):
    with site_with({}) as site:
        async with httpx.AsyncClient(base_url=site.base_url, timeout=30) as client:
            posts = (
                client.post("fhir/Patient", json=patient("x"), headers=criteria(value)) for _ in range(8)
            )
            answers = await asyncio.gather(*posts)
    assert [answer.status_code for answer in answers] == [201] * 8
