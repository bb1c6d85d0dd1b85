"""Binary in its native form: https://hl7.org/fhir/R4/binary.html."""

import base64
import time
import uuid

import pytest

JSON = {"Accept": "application/fhir+json"}
PDF = b"%PDF-1.7\n" + bytes(range(256)) * 4


@pytest.fixture
def pdf(fhir):
    """The id of a Binary whose content is PDF."""
    answer = fhir.post("Binary", content=PDF, headers={"Content-Type": "application/pdf"})
    assert answer.status_code == 201, answer.text
    return answer.headers["location"].split("/Binary/")[1].partition("/")[0]


def test_content_goes_up_and_comes_down_unchanged(fhir, pdf):
    answer = fhir.get(f"Binary/{pdf}")
    assert (answer.status_code, answer.content) == (200, PDF)
    assert answer.headers["content-type"] == "application/pdf"
    assert answer.headers["etag"] == 'W/"1"'
    assert answer.headers["accept-ranges"] == "bytes"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["content-disposition"] == "attachment"
    assert "sandbox" in answer.headers["content-security-policy"]


def test_the_answer_to_content_is_empty_unless_asked_for(fhir):
    headers = {"Content-Type": "image/png"}
    assert fhir.post("Binary", content=b"x", headers=headers).content == b""
    answer = fhir.post("Binary", content=b"x", headers={**headers, "Prefer": "return=representation"})
    assert answer.json()["data"] == "eA=="


@pytest.mark.parametrize(
    "accept",
    [
        "application/fhir+json",
        "application/json",
        "text/html, application/fhir+json;q=0.5",
        "application/pdf, application/fhir+json",
        "application/fhir+json, */*;q=0.1",
        "application/pdf;q=0.2, application/fhir+json;q=0.3",
    ],
)
def test_the_resource_is_there_for_who_asks(fhir, pdf, accept):
    answer = fhir.get(f"Binary/{pdf}", headers={"Accept": accept})
    assert answer.headers["content-type"].startswith("application/fhir+json")
    resource = answer.json()
    assert (resource["resourceType"], resource["contentType"]) == ("Binary", "application/pdf")
    assert base64.b64decode(resource["data"]) == PDF


@pytest.mark.parametrize(
    "accept",
    [
        "*/*",
        "application/pdf",
        "image/*",
        "text/html",
        "application/pdf, application/fhir+json;q=0.5",
        "application/*, application/fhir+json;q=0.9",
        "*/*, application/fhir+xml;q=0.9",
        "application/fhir+json;q=0",
    ],
)
def test_any_other_accept_gets_the_content(fhir, pdf, accept):
    assert fhir.get(f"Binary/{pdf}", headers={"Accept": accept}).content == PDF


def test_format_asks_for_the_resource(fhir, pdf):
    assert fhir.get(f"Binary/{pdf}?_format=json").json()["id"] == pdf


def test_put_with_content_makes_versions(fhir):
    id_ = f"b-{uuid.uuid4()}"
    text = {"Content-Type": "text/plain; charset=utf-8"}
    assert fhir.put(f"Binary/{id_}", content=b"one", headers=text).status_code == 201
    assert fhir.put(f"Binary/{id_}", content=b"two", headers={**text, "If-Match": 'W/"7"'}).status_code == 412
    assert fhir.put(f"Binary/{id_}", content=b"two", headers=text).status_code == 200
    assert fhir.get(f"Binary/{id_}").text == "two"
    old = fhir.get(f"Binary/{id_}/_history/1")
    assert (old.text, old.headers["content-type"]) == ("one", "text/plain; charset=utf-8")
    assert fhir.get(f"Binary/{id_}", headers={"If-None-Match": 'W/"2"'}).status_code == 304
    assert fhir.delete(f"Binary/{id_}").status_code == 204
    assert fhir.get(f"Binary/{id_}").status_code == 410


def test_a_resource_can_be_sent_and_its_content_read(fhir):
    body = {"resourceType": "Binary", "contentType": "text/csv", "data": "YSxi\nYyxk"}
    made = fhir.post("Binary", json=body)
    assert made.status_code == 201
    assert made.json()["data"] == body["data"]
    assert fhir.get(f"Binary/{made.json()['id']}").content == b"a,bc,d"


@pytest.mark.parametrize("content", [b'{"a":1}', b"[1]", b'{"resourceType":"Patient"}', b"no JSON"])
def test_json_that_is_no_binary_is_content(fhir, content):
    answer = fhir.post("Binary", content=content, headers={"Content-Type": "application/json"})
    assert answer.status_code == 201
    address = answer.headers["location"].partition("/fhir/")[2].partition("/_history")[0]
    assert fhir.get(address).content == content


def test_malformed_fhir_is_not_content(fhir):
    answer = fhir.post("Binary", content=b"{", headers={"Content-Type": "application/fhir+json"})
    assert answer.status_code == 400


def test_the_security_context_is_kept(fhir):
    headers = {"Content-Type": "image/png", "X-Security-Context": "Patient/example"}
    made = fhir.post("Binary", content=b"x", headers={**headers, "Prefer": "return=representation"}).json()
    assert made["securityContext"] == {"reference": "Patient/example"}
    assert fhir.get(f"Binary/{made['id']}").headers["x-security-context"] == "Patient/example"


@pytest.mark.parametrize(
    ("asked", "first", "last"),
    [
        ("bytes=0-0", 0, 0),
        ("bytes=10-19", 10, 19),
        ("bytes=1000-", 1000, len(PDF) - 1),
        ("bytes=-5", len(PDF) - 5, len(PDF) - 1),
        ("bytes=-99999", 0, len(PDF) - 1),
        ("bytes=5-99999", 5, len(PDF) - 1),
    ],
)
def test_ranges(fhir, pdf, asked, first, last):
    answer = fhir.get(f"Binary/{pdf}", headers={"Range": asked})
    assert answer.status_code == 206
    assert answer.content == PDF[first : last + 1]
    assert answer.headers["content-range"] == f"bytes {first}-{last}/{len(PDF)}"
    assert answer.headers["content-type"] == "application/pdf"


@pytest.mark.parametrize("asked", [f"bytes={len(PDF)}-", "bytes=99999-", "bytes=-0"])
def test_ranges_beyond_the_end_are_416(fhir, pdf, asked):
    answer = fhir.get(f"Binary/{pdf}", headers={"Range": asked})
    assert answer.status_code == 416
    assert answer.headers["content-range"] == f"bytes */{len(PDF)}"
    assert answer.json()["resourceType"] == "OperationOutcome"


@pytest.mark.parametrize("asked", ["bytes=5-1", "bytes=-", "bytes=a-b", "lines=1-2", "bytes=0-1,3-4"])
def test_ranges_that_are_not_understood_are_ignored(fhir, pdf, asked):
    answer = fhir.get(f"Binary/{pdf}", headers={"Range": asked})
    assert (answer.status_code, answer.content) == (200, PDF)


def test_a_conditional_range_with_a_weak_tag_gets_the_whole(fhir, pdf):
    answer = fhir.get(f"Binary/{pdf}", headers={"Range": "bytes=0-1", "If-Range": 'W/"1"'})
    assert (answer.status_code, answer.content) == (200, PDF)


def test_head(fhir, pdf):
    answer = fhir.head(f"Binary/{pdf}")
    assert (answer.status_code, answer.content) == (200, b"")
    assert answer.headers["content-length"] == str(len(PDF))
    assert fhir.head(f"Binary/{pdf}", headers={"Range": "bytes=0-1"}).status_code == 200


def test_a_range_with_the_date_of_the_version_goes_on(fhir, pdf):
    date = fhir.get(f"Binary/{pdf}").headers["last-modified"]
    other = "Mon, 05 Jan 2026 00:00:00 GMT"
    time.sleep(1)  # within the second of the version its date does not tell one from the next
    answers = [
        fhir.get(f"Binary/{pdf}", headers={"Range": "bytes=0-1", "If-Range": text})
        for text in (date, other, "yesterday", '"1"')
    ]
    assert [answer.status_code for answer in answers] == [206, 200, 200, 200]


def test_an_empty_content(fhir):
    empty = fhir.post("Binary", json={"resourceType": "Binary", "contentType": "text/plain"}).json()
    answer = fhir.get(f"Binary/{empty['id']}")
    assert (answer.status_code, answer.content, answer.headers["content-type"]) == (200, b"", "text/plain")


def test_a_content_type_that_is_none_is_refused(fhir):
    answer = fhir.post("Binary", content=b"x", headers={"Content-Type": "nonsense"})
    assert answer.status_code == 400


def test_other_types_take_no_content(fhir):
    answer = fhir.post("Patient", content=b"x", headers={"Content-Type": "application/pdf"})
    assert answer.status_code == 415


def test_entries_of_a_batch_hold_resources(fhir, pdf):
    operations = base64.b64encode(b'[{"op":"replace","path":"/contentType","value":"text/plain"}]').decode()
    bundle = {
        "resourceType": "Bundle",
        "type": "batch",
        "entry": [
            {"request": {"method": "GET", "url": f"Binary/{pdf}"}},
            {
                "request": {"method": "PATCH", "url": f"Binary/{pdf}"},
                "resource": {
                    "resourceType": "Binary",
                    "contentType": "application/json-patch+json",
                    "data": operations,
                },
            },
        ],
    }
    answer = fhir.post("", json=bundle)
    assert answer.status_code == 200, answer.text
    read, patched = answer.json()["entry"]
    assert read["resource"]["contentType"] == "application/pdf"
    assert patched["response"]["status"].startswith("200"), patched
    assert fhir.get(f"Binary/{pdf}").headers["content-type"] == "text/plain"
