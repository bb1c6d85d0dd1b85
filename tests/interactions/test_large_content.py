"""Attachments and Binaries whose content is stored apart from the resource, through the whole application."""

import base64
import hashlib
import json
import os
import uuid

import httpx
import pytest

JSON = {"Accept": "application/fhir+json"}
LARGE = os.urandom(700_000)
TEXT = base64.b64encode(LARGE).decode()
WRAPPED = base64.encodebytes(LARGE).decode()


@pytest.fixture(scope="module")
def fhir(site_with):
    """A client of an application on a database of its own, so that tests can look behind it."""
    with site_with({}) as client, httpx.Client(base_url=client.base_url.join("fhir/"), timeout=60) as fhir:
        yield fhir


@pytest.fixture
def database(mongo_client, module_database_name):
    """The database of that application."""
    return mongo_client[module_database_name]


def document(data=TEXT, **more):
    """A DocumentReference with its document inside."""
    attachment = {"contentType": "application/pdf", "data": data, **more}
    return {
        "resourceType": "DocumentReference",
        "status": "current",
        "description": "before",
        "content": [{"attachment": attachment}],
    }


def created(fhir, resource):
    answer = fhir.post(resource["resourceType"], json=resource)
    assert answer.status_code == 201, answer.text[:500]
    return answer.json()


@pytest.mark.parametrize(
    "data", [TEXT, WRAPPED, WRAPPED.replace("\n", "\r\n")], ids=["canonical", "lines", "crlf"]
)
def test_an_inline_attachment_comes_back_as_it_was_everywhere(fhir, data):
    made = created(fhir, document(data))
    assert made["content"][0]["attachment"]["data"] == data
    address = f"DocumentReference/{made['id']}"
    read = fhir.get(address)
    assert read.json() == made
    assert fhir.get(f"{address}/_history/1").content == read.content
    assert fhir.get(f"DocumentReference?_id={made['id']}").json()["entry"][0]["resource"] == made
    assert fhir.get(f"?_type=DocumentReference&_id={made['id']}").json()["entry"][0]["resource"] == made
    assert fhir.get(f"{address}/_history").json()["entry"][0]["resource"] == made
    bundle = {
        "resourceType": "Bundle",
        "type": "batch",
        "entry": [{"request": {"method": "GET", "url": address}}] * 2,
    }
    assert [entry["resource"] for entry in fhir.post("", json=bundle).json()["entry"]] == [made, made]
    bundle["type"] = "transaction"
    assert [entry["resource"] for entry in fhir.post("", json=bundle).json()["entry"]] == [made, made]


def test_the_text_of_the_json_is_the_same_with_and_without_the_store(fhir):
    small = created(fhir, document(base64.b64encode(b"small").decode()))
    large = created(fhir, document())
    texts = [fhir.get(f"DocumentReference/{one['id']}").text for one in (small, large)]
    same = [
        text.replace(one["id"], "")
        .replace(one["meta"]["lastUpdated"], "")
        .replace(one["content"][0]["attachment"]["data"], "")
        for text, one in zip(texts, (small, large), strict=True)
    ]
    assert same[0] == same[1]


def test_the_body_in_the_database_is_small(fhir, database):
    made = created(fhir, document())
    stored = database["DocumentReference"].find_one({"_id": made["id"]})
    assert len(stored["j"]) < 1000
    [listed] = stored["b"]
    assert (listed["n"], listed["h"]) == (len(LARGE), hashlib.sha256(LARGE).digest())
    file = database["bin.files"].find_one({"_id": listed["f"]})
    assert file["o"] == f"DocumentReference/{made['id']}"
    assert "open" not in file


def test_xml_up_and_down(fhir):
    made = created(fhir, document())
    xml = fhir.get(f"DocumentReference/{made['id']}", headers={"Accept": "application/fhir+xml"})
    assert f'<data value="{TEXT}"/>' in xml.text
    assert int(xml.headers["content-length"]) == len(xml.content)
    again = fhir.post(
        "DocumentReference", content=xml.content, headers={"Content-Type": "application/fhir+xml", **JSON}
    )
    assert again.status_code == 201
    assert again.json()["content"] == made["content"]
    pretty = fhir.get(f"DocumentReference/{made['id']}?_pretty=true")
    assert pretty.json() == made


def test_summary_and_elements(fhir):
    made = created(fhir, document())
    address = f"DocumentReference/{made['id']}"
    assert TEXT not in fhir.get(f"{address}?_elements=description").text.replace(TEXT, "", 1)
    part = fhir.get(f"{address}?_elements=content").json()
    assert part["content"] == made["content"]
    found = fhir.get(f"DocumentReference?_id={made['id']}&_summary=true").json()["entry"][0]["resource"]
    assert found["content"] == made["content"]
    photo = created(fhir, {"resourceType": "Patient", "photo": [{"contentType": "image/png", "data": TEXT}]})
    assert "photo" not in fhir.get(f"Patient/{photo['id']}?_summary=true").json()
    assert fhir.get(f"Patient/{photo['id']}").json() == photo


def test_any_attachment_and_several_in_one_resource(fhir):
    data = [base64.b64encode(os.urandom(300_000 + n)).decode() for n in range(3)]
    communication = {
        "resourceType": "Communication",
        "status": "completed",
        "payload": [{"contentAttachment": {"contentType": "image/png", "data": text}} for text in data],
    }
    made = created(fhir, communication)
    assert fhir.get(f"Communication/{made['id']}").json()["payload"] == communication["payload"]


def test_patch_and_update_keep_or_change_the_content(fhir, database):
    made = created(fhir, document())
    address = f"DocumentReference/{made['id']}"
    json_patch = {"Content-Type": "application/json-patch+json"}
    patched = fhir.patch(
        address,
        json=[
            {"op": "test", "path": "/content/0/attachment/data", "value": TEXT},
            {"op": "replace", "path": "/description", "value": "after"},
        ],
        headers=json_patch,
    )
    assert patched.status_code == 200, patched.text[:300]
    assert patched.json()["content"] == made["content"]
    other = base64.b64encode(os.urandom(400_000)).decode()
    changed = fhir.patch(
        address,
        json=[{"op": "replace", "path": "/content/0/attachment/data", "value": other}],
        headers=json_patch,
    )
    assert changed.status_code == 200
    assert fhir.get(address).json()["content"][0]["attachment"]["data"] == other
    assert fhir.get(f"{address}/_history/2").json()["content"] == made["content"]
    versions = fhir.get(f"{address}/_history").json()["entry"]
    assert [entry["resource"]["content"][0]["attachment"]["data"] == TEXT for entry in versions] == [
        False,
        True,
        True,
    ]
    # Two versions with the same document refer to one content.
    files = database["bin.files"]
    assert files.count_documents({"o": address}) == 2


def test_meta_and_validate_leave_the_content_alone(fhir):
    made = created(fhir, document(size=len(LARGE)))
    assert (
        fhir.get(f"DocumentReference/{made['id']}/$validate").json()["issue"][0]["severity"] == "information"
    )
    tag = {
        "resourceType": "Parameters",
        "parameter": [{"name": "meta", "valueMeta": {"tag": [{"code": "t"}]}}],
    }
    assert fhir.post(f"DocumentReference/{made['id']}/$meta-add", json=tag).status_code == 200
    after = fhir.get(f"DocumentReference/{made['id']}").json()
    assert after["content"] == made["content"]
    assert after["meta"]["tag"] == [{"code": "t"}]
    updated = fhir.put(f"DocumentReference/{made['id']}", json={**after, "description": "again"})
    assert updated.status_code == 200
    assert fhir.get(f"DocumentReference/{made['id']}/_history/1").json()["content"] == made["content"]


def test_deletion_hides_it_and_history_keeps_it(fhir):
    made = created(fhir, document())
    address = f"DocumentReference/{made['id']}"
    assert fhir.delete(address).status_code == 204
    assert fhir.get(address).status_code == 410
    assert fhir.get(f"{address}/_history/1").json() == made


def test_a_conditional_create_answers_with_the_match(fhir):
    system = f"urn:uuid:{uuid.uuid4()}"
    resource = document() | {"identifier": [{"system": system, "value": "1"}]}
    made = created(fhir, resource)
    again = fhir.post("DocumentReference", json=resource, headers={"If-None-Exist": f"identifier={system}|1"})
    assert (again.status_code, again.json()) == (200, made)


def test_a_page_is_bounded_by_its_bytes(fhir):
    system = f"urn:uuid:{uuid.uuid4()}"
    size = 4_500_000
    for number in range(4):
        data = base64.b64encode(bytes([number]) * size).decode()
        created(fhir, document(data) | {"identifier": [{"system": system, "value": str(number)}]})
    seen = []
    address = f"DocumentReference?identifier={system}|&_count=10"
    while address:
        page = fhir.get(address)
        assert len(page.content) < 17_000_000
        bundle = page.json()
        seen += [entry["resource"]["identifier"][0]["value"] for entry in bundle["entry"]]
        address = next((link["url"] for link in bundle["link"] if link["relation"] == "next"), None)
    assert sorted(seen) == ["0", "1", "2", "3"]


def test_history_pages_are_bounded_too(fhir):
    id_ = f"h-{uuid.uuid4()}"
    for number in range(3):
        resource = {"resourceType": "Binary", "id": id_, "contentType": "image/png"}
        data = base64.b64encode(bytes([number]) * 6_500_000).decode()
        assert fhir.put(f"Binary/{id_}", json={**resource, "data": data}).status_code in (200, 201)
    seen = []
    address = f"Binary/{id_}/_history"
    while address:
        bundle = fhir.get(address).json()
        seen.append([entry["resource"]["meta"]["versionId"] for entry in bundle["entry"]])
        address = next((link["url"] for link in bundle["link"] if link["relation"] == "next"), None)
    assert seen == [["3"], ["2"], ["1"]]


def test_what_looks_like_a_token_is_text(fhir, database):
    made = created(fhir, document())
    stored = database["DocumentReference"].find_one({"_id": made["id"]})
    token = stored["b"][0]["f"]
    other = created(fhir, document(token))
    assert fhir.get(f"DocumentReference/{other['id']}").json()["content"][0]["attachment"]["data"] == token


def test_nothing_is_left_of_a_write_that_is_refused(fhir, database):
    id_ = f"r-{uuid.uuid4()}"
    png = {"Content-Type": "image/png"}
    assert fhir.put(f"Binary/{id_}", content=LARGE, headers=png).status_code == 201
    files = database["bin.files"]
    before = files.count_documents({})
    assert (
        fhir.put(f"Binary/{id_}", content=LARGE + b"1", headers={**png, "If-Match": 'W/"9"'}).status_code
        == 412
    )
    assert (
        fhir.put(
            f"Binary/{id_}", json=json.loads(fhir.get(f"Binary/{id_}", headers=JSON).text) | {"x": 1}
        ).status_code
        == 400
    )
    dry = fhir.post("Binary", content=LARGE, headers={**png, "X-Dry-Run": "true"})
    assert dry.status_code == 201
    assert files.count_documents({}) == before
    assert files.count_documents({"open": {"$exists": True}}) == 0


def test_raw_content_in_every_form(fhir):
    made = fhir.post("Binary", content=LARGE, headers={"Content-Type": "application/dicom"})
    assert (made.status_code, made.content) == (201, b"")
    address = made.headers["location"].partition("/fhir/")[2].partition("/_history")[0]
    raw = fhir.get(address)
    assert (raw.content, raw.headers["content-type"]) == (LARGE, "application/dicom")
    digest = base64.b64encode(hashlib.sha256(LARGE).digest()).decode()
    assert raw.headers["repr-digest"] == f"sha-256=:{digest}:"
    whole = fhir.get(address, headers=JSON).json()
    assert whole["data"] == TEXT
    head = fhir.head(address)
    assert (head.content, head.headers["content-length"]) == (b"", str(len(LARGE)))
    xml = fhir.get(address, headers={"Accept": "application/fhir+xml"}).text
    assert TEXT in xml
    for asked, first, last in (
        ("0-0", 0, 0),
        ("-5", 699_995, 699_999),
        ("100-200", 100, 200),
        ("699990-", 699_990, 699_999),
    ):
        part = fhir.get(address, headers={"Range": f"bytes={asked}"})
        assert (part.status_code, part.content) == (206, LARGE[first : last + 1])
        assert part.headers["content-range"] == f"bytes {first}-{last}/{len(LARGE)}"
    assert fhir.get(address, headers={"Range": "bytes=700000-"}).status_code == 416
    patched = fhir.patch(
        address,
        json=[{"op": "replace", "path": "/contentType", "value": "image/jpeg"}],
        headers={"Content-Type": "application/json-patch+json", "Prefer": "return=minimal"},
    )
    assert patched.status_code == 200
    assert (fhir.get(address).content, fhir.get(address).headers["content-type"]) == (LARGE, "image/jpeg")


def test_the_representation_of_raw_content_is_answered_on_request(fhir):
    made = fhir.post(
        "Binary", content=LARGE, headers={"Content-Type": "image/png", "Prefer": "return=representation"}
    )
    assert made.json()["data"] == TEXT


@pytest.mark.parametrize("chunks", [1020 * 1024, 1020 * 1024 * 2, 1020 * 1024 * 2 + 1])
def test_content_at_the_border_of_chunks(fhir, chunks):
    content = os.urandom(chunks)
    made = fhir.post("Binary", content=content, headers={"Content-Type": "image/png"})
    address = made.headers["location"].partition("/fhir/")[2].partition("/_history")[0]
    assert fhir.get(address).content == content
    border = 1020 * 1024
    part = fhir.get(address, headers={"Range": f"bytes={border - 2}-{border + 1}"})
    assert part.content == content[border - 2 : border + 2]
    assert base64.b64decode(fhir.get(address, headers=JSON).json()["data"]) == content


def test_the_same_key_with_the_same_content_is_answered_once(fhir):
    headers = {"Content-Type": "image/png", "Idempotency-Key": str(uuid.uuid4())}
    first = fhir.post("Binary", content=LARGE, headers=headers)
    again = fhir.post("Binary", content=LARGE, headers=headers)
    assert first.headers["location"] == again.headers["location"]
    assert fhir.post("Binary", content=LARGE[::-1], headers=headers).status_code == 422
    assert fhir.get(first.headers["location"]).content == LARGE
