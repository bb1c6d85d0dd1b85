"""A set of documents as IHE MHD submits it (ITI-65): a transaction of List, DocumentReferences and Binaries.

https://profiles.ihe.net/ITI/MHD/ITI-65.html; the profiles of the guide come later, the transaction is plain R4.
"""

import base64
import hashlib
import os
import uuid

import pytest

SIZES = [900, 700_000]


def urn():
    return f"urn:uuid:{uuid.uuid4()}"


def submission(patient, sizes):
    """The Bundle and the contents: a SubmissionSet that lists the documents, each with a Binary."""
    contents = [os.urandom(size) for size in sizes]
    binaries, documents = [urn() for _ in sizes], [urn() for _ in sizes]
    code = {"system": "https://profiles.ihe.net/ITI/MHD/CodeSystem/MHDlistTypes", "code": "submissionset"}
    submission_set = {
        "resourceType": "List",
        "status": "current",
        "mode": "working",
        "code": {"coding": [code]},
        "subject": {"reference": patient},
        "date": "2026-03-01T10:00:00Z",
        "entry": [{"item": {"reference": document}} for document in documents],
    }
    entries = [(urn(), submission_set)]
    for content, binary, document in zip(contents, binaries, documents, strict=True):
        attachment = {
            "contentType": "application/pdf",
            "url": binary,
            "size": len(content),
            "hash": base64.b64encode(hashlib.sha1(content).digest()).decode(),
        }
        described = {
            "resourceType": "DocumentReference",
            "masterIdentifier": {"system": "urn:ietf:rfc:3986", "value": urn()},
            "status": "current",
            "subject": {"reference": patient},
            "content": [{"attachment": attachment}],
        }
        held = {
            "resourceType": "Binary",
            "contentType": "application/pdf",
            "securityContext": {"reference": document},
            "data": base64.b64encode(content).decode(),
        }
        entries += [(document, described), (binary, held)]
    return contents, {
        "resourceType": "Bundle",
        "type": "transaction",
        "entry": [
            {
                "fullUrl": full_url,
                "resource": resource,
                "request": {"method": "POST", "url": resource["resourceType"]},
            }
            for full_url, resource in entries
        ],
    }


@pytest.fixture
def patient(fhir):
    return f"Patient/{fhir.post('Patient', json={'resourceType': 'Patient'}).json()['id']}"


@pytest.mark.parametrize("order", [1, -1], ids=["list first", "binaries first"])
def test_the_set_is_stored_with_its_links(fhir, patient, order):
    contents, bundle = submission(patient, SIZES)
    bundle["entry"] = bundle["entry"][::order]
    answer = fhir.post("", json=bundle)
    assert answer.status_code == 200, answer.text[:500]
    made = [entry["resource"] for entry in answer.json()["entry"]][::order]
    submission_set, documents, binaries = made[0], made[1::2], made[2::2]
    assert [entry["item"]["reference"] for entry in submission_set["entry"]] == [
        f"DocumentReference/{document['id']}" for document in documents
    ]
    for document, binary, content in zip(documents, binaries, contents, strict=True):
        url = document["content"][0]["attachment"]["url"]
        assert url == f"Binary/{binary['id']}"
        raw = fhir.get(url)
        assert (raw.content, raw.headers["content-type"]) == (content, "application/pdf")
        assert raw.headers["x-security-context"] == f"DocumentReference/{document['id']}"
    found = fhir.get(f"List?subject={patient}&_include=List:item").json()["entry"]
    assert {entry["resource"]["resourceType"] for entry in found} == {"List", "DocumentReference"}


def test_one_wrong_hash_and_nothing_is_stored(fhir, patient):
    _, bundle = submission(patient, SIZES)
    bundle["entry"][3]["resource"]["content"][0]["attachment"]["hash"] = "2jmj7l5rSw0yVb/vlWAYkK/YBwk="
    answer = fhir.post("", json=bundle)
    assert answer.status_code == 422
    [issue] = answer.json()["issue"]
    assert issue["expression"] == ["Bundle.entry[3].resource.content[0].attachment.hash"]
    assert "entry" not in fhir.get(f"List?subject={patient}").json()
    assert "entry" not in fhir.get(f"DocumentReference?subject={patient}").json()


def test_a_binary_in_another_batch_is_found_by_its_url(fhir, patient):
    """As simplified publish does it: the Binary is there before the DocumentReference that names it."""
    content = os.urandom(300_000)
    made = fhir.post("Binary", content=content, headers={"Content-Type": "application/pdf"})
    _, bundle = submission(patient, [1])
    attachment = bundle["entry"][1]["resource"]["content"][0]["attachment"]
    del bundle["entry"][2]
    attachment |= {"url": made.headers["location"].partition("/_history")[0], "size": 1}
    attachment.pop("hash")
    assert fhir.post("", json=bundle).status_code == 422
    attachment["size"] = len(content)
    assert fhir.post("", json=bundle).status_code == 200
