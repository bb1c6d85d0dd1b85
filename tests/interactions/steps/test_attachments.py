"""DocumentReference.content.attachment.hash and size against the document, in every interaction that writes."""

import base64
import hashlib
import os
import uuid

import pytest

PDF = os.urandom(1000)
LARGE = os.urandom(400_000)
JSON_PATCH = {"Content-Type": "application/json-patch+json"}


def sha1(content):
    return base64.b64encode(hashlib.sha1(content).digest()).decode()


def document(**attachment):
    return {
        "resourceType": "DocumentReference",
        "status": "current",
        "content": [{"attachment": {"contentType": "application/pdf", **attachment}}],
    }


def inline(content, **more):
    return document(data=base64.b64encode(content).decode(), **more)


def issues(answer):
    assert answer.status_code == 422, answer.text[:300]
    return [(i["code"], i["expression"][0].rpartition(".")[2]) for i in answer.json()["issue"]]


@pytest.fixture(params=[PDF, LARGE], ids=["small", "large"])
def content(request):
    """A document that stays in its resource, and one that does not."""
    return request.param


@pytest.fixture
def binary(fhir, content):
    """The address of a Binary with the content."""
    made = fhir.post("Binary", content=content, headers={"Content-Type": "application/pdf"})
    return made.headers["location"].partition("/fhir/")[2].partition("/_history")[0]


def test_what_is_right_is_stored(fhir, content):
    answer = fhir.post("DocumentReference", json=inline(content, hash=sha1(content), size=len(content)))
    assert answer.status_code == 201, answer.text[:300]


@pytest.mark.parametrize("wrong", ["size", "hash"])
def test_what_is_wrong_is_refused(fhir, content, wrong):
    said = {"size": len(content) + 1} if wrong == "size" else {"hash": sha1(b"other")}
    resource = inline(content, **said)
    expected = [("business-rule", wrong)]
    assert issues(fhir.post("DocumentReference", json=resource)) == expected
    id_ = f"a-{uuid.uuid4()}"
    assert issues(fhir.put(f"DocumentReference/{id_}", json=resource | {"id": id_})) == expected
    system = f"urn:uuid:{uuid.uuid4()}"
    resource["identifier"] = [{"system": system, "value": "1"}]
    assert issues(fhir.put(f"DocumentReference?identifier={system}|1", json=resource)) == expected
    headers = {"If-None-Exist": f"identifier={system}|1"}
    assert issues(fhir.post("DocumentReference", json=resource, headers=headers)) == expected
    assert "entry" not in fhir.get(f"DocumentReference?identifier={system}|").json()


def test_a_url_to_a_binary_of_this_server_is_checked(fhir, binary, content):
    base = str(fhir.base_url)
    for url in (binary, f"{base}{binary}", f"{binary}/_history/1"):
        right = document(url=url, hash=sha1(content), size=len(content))
        assert fhir.post("DocumentReference", json=right).status_code == 201
        assert issues(fhir.post("DocumentReference", json=document(url=url, size=1))) == [
            ("business-rule", "size")
        ]


@pytest.mark.parametrize(
    "url",
    ["https://elsewhere.example/Binary/1", "Binary/nowhere", "urn:uuid:7c1d9ec8-ae0c-4bd5-8b3d-3d4b9e1c5e01"],
)
def test_what_is_not_at_hand_is_taken_as_it_is(fhir, url):
    assert fhir.post("DocumentReference", json=document(url=url, size=1, hash="AAAA")).status_code == 201


def test_a_patch_is_checked(fhir, content):
    made = fhir.post("DocumentReference", json=inline(content, size=len(content))).json()
    address = f"DocumentReference/{made['id']}"
    wrong = [{"op": "replace", "path": "/content/0/attachment/size", "value": 7}]
    assert issues(fhir.patch(address, json=wrong, headers=JSON_PATCH)) == [("business-rule", "size")]
    right = [{"op": "add", "path": "/content/0/attachment/hash", "value": sha1(content)}]
    assert fhir.patch(address, json=right, headers=JSON_PATCH).status_code == 200


@pytest.mark.parametrize("is_right", [True, False])
def test_a_transaction_is_checked_against_the_binary_that_it_makes(fhir, content, is_right):
    urn = f"urn:uuid:{uuid.uuid4()}"
    described = document(url=urn, hash=sha1(content), size=len(content) if is_right else 5)
    entries = [
        {"fullUrl": f"urn:uuid:{uuid.uuid4()}", "resource": described},
        {
            "fullUrl": urn,
            "resource": {
                "resourceType": "Binary",
                "contentType": "application/pdf",
                "data": base64.b64encode(content).decode(),
            },
        },
    ]
    for entry in entries:
        entry["request"] = {"method": "POST", "url": entry["resource"]["resourceType"]}
    answer = fhir.post("", json={"resourceType": "Bundle", "type": "transaction", "entry": entries})
    if is_right:
        assert answer.status_code == 200, answer.text[:300]
        made = [entry["resource"] for entry in answer.json()["entry"]]
        assert made[0]["content"][0]["attachment"]["url"] == f"Binary/{made[1]['id']}"
    else:
        [issue] = answer.json()["issue"]
        assert answer.status_code == 422
        assert issue["expression"] == ["Bundle.entry[0].resource.content[0].attachment.size"]
