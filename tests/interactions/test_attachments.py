"""Size and hash of inline documents: https://hl7.org/fhir/R4/datatypes.html#Attachment."""

import base64
import hashlib

import pytest

TEXT = b"a document"
HASH = base64.b64encode(hashlib.sha1(TEXT).digest()).decode()
DATA = base64.b64encode(TEXT).decode()


def document(*attachments):
    return {
        "resourceType": "DocumentReference",
        "status": "current",
        "content": [
            {"attachment": {"contentType": "text/plain", **attachment}} for attachment in attachments
        ],
    }


@pytest.mark.parametrize(
    ("attachment", "wrong"),
    [
        ({"data": DATA, "size": 10, "hash": HASH}, []),
        ({"data": f"{DATA[:4]} {DATA[4:]}", "size": 10, "hash": HASH}, []),
        ({"data": DATA}, []),
        ({"url": "http://example.org/a", "size": 11, "hash": "YQ=="}, []),
        ({"data": DATA, "size": 16}, ["size"]),
        ({"data": DATA, "hash": "YQ=="}, ["hash"]),
        ({"data": DATA, "hash": hashlib.sha1(TEXT).hexdigest()}, ["hash"]),
        ({"data": DATA, "size": 0, "hash": "YQ=="}, ["size"]),  # the hash is looked at when the rest is right
    ],
)
def test_size_and_hash_are_those_of_the_data(fhir, attachment, wrong):
    answer = fhir.post("DocumentReference", json=document({"data": DATA}, attachment))
    assert answer.status_code == (422 if wrong else 201), answer.text
    if wrong:
        issues = [i for i in answer.json()["issue"] if i["severity"] == "error"]
        assert [i["expression"] for i in issues] == [
            [f"DocumentReference.content[1].attachment.{name}"] for name in wrong
        ]
        assert {i["code"] for i in issues} == {"business-rule"}
