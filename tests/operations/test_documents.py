"""Documents of a space over HTTP: a simple deposit, replacement, archiving, and the rules hs-b-doc-*."""

from __future__ import annotations

import base64
import copy
import hashlib
import json
import uuid
from pathlib import Path

import pytest

from fhir_server.datatypes.json_format import encode
from fhir_server.demo import persons
from fhir_server.demo.identities import rpps, with_key

DEPOSIT = json.loads(
    (Path(__file__).parents[2] / "examples" / "rules" / "pass" / "deposit.json").read_text(encoding="utf-8")
)
ARCHIVED = "https://interop.esante.gouv.fr/ig/fhir/pdsm/StructureDefinition/pdsm-ext-is-archived"


@pytest.fixture(scope="module")
def fhir(site_with):
    from datetime import date

    with site_with({"content.load": True}) as client:
        client.base_url = client.base_url.join("fhir/")
        for one in (
            persons.patient("citizen-a", with_key("2220399000001"), family="EXEMPLE", given=["Lou"], gender="female",
                            born=date(2022, 3, 4), identity=persons.INS_TEST, active=True),
            persons.organization("hospital", ("https://finess.esante.gouv.fr", "990000901"), name="CH",
                                 sector=("SA01", "Etablissement public de santé")),
            persons.practitioner("dr-exemple", rpps(77), family="MODELE", given="Alice", profession=("10", "Médecin")),
        ):  # fmt: skip
            answer = client.put(
                f"{one['resourceType']}/{one['id']}",
                content=encode(one),
                headers={"Content-Type": "application/fhir+json"},
            )
            assert answer.status_code == 201, answer.text
        yield client


def a_deposit(**other):
    made = copy.deepcopy(DEPOSIT) | other
    made["masterIdentifier"] = {"system": "urn:ietf:rfc:3986", "value": f"urn:uuid:{uuid.uuid4()}"}
    return made


def stored(fhir, document):
    answer = fhir.post("DocumentReference", json=document)
    assert answer.status_code == 201, answer.text
    return answer.json()


def rules(answer):
    return {
        coding["code"]
        for issue in answer.json()["issue"]
        for coding in issue.get("details", {}).get("coding", ())
    }


def test_a_deposit_becomes_a_document_and_its_content(fhir):
    bare = a_deposit(author=[{"reference": "Organization/hospital"}])
    del bare["securityLabel"], bare["context"], bare["content"][0]["format"]
    made = stored(fhir, bare)
    attachment = made["content"][0]["attachment"]
    data = base64.b64decode(DEPOSIT["content"][0]["attachment"]["data"])
    assert "data" not in attachment
    assert attachment["size"] == len(data)
    assert attachment["hash"] == base64.b64encode(hashlib.sha1(data).digest()).decode()
    assert made["meta"]["profile"] == ["https://health-space.example/fhir/StructureDefinition/hs-document"]
    assert made["custodian"] == {"reference": "Organization/hospital"}
    assert made["context"]["facilityType"]["coding"][0]["code"] == "SA01"
    assert made["context"]["practiceSetting"]["coding"][0]["code"] == "ETABLISSEMENT"
    assert fhir.get(attachment["url"], headers={"Accept": "application/pdf"}).content == data
    binary = fhir.get(attachment["url"], headers={"Accept": "application/fhir+json"}).json()
    assert binary["securityContext"] == {"reference": f"DocumentReference/{made['id']}"}
    found = fhir.get(
        f"DocumentReference?patient=citizen-a&identifier={made['masterIdentifier']['value']}"
    ).json()
    assert [entry["resource"]["id"] for entry in found["entry"]] == [made["id"]]


def test_large_content_is_measured_too(fhir):
    data = b"%PDF-1.7 " + b"x" * 3_000_000
    large = a_deposit()
    large["content"][0]["attachment"]["data"] = base64.b64encode(data).decode()
    attachment = stored(fhir, large)["content"][0]["attachment"]
    assert attachment["size"] == len(data)
    assert attachment["hash"] == base64.b64encode(hashlib.sha1(data).digest()).decode()
    assert fhir.get(attachment["url"], headers={"Accept": "application/pdf"}).content == data


def test_a_wrong_deposit_leaves_nothing(fhir):
    before = fhir.get("Binary?_summary=count&_total=accurate").json()
    wrong = a_deposit(status="superseded")
    assert fhir.post("DocumentReference", json=wrong).status_code == 422
    assert fhir.get("Binary?_summary=count&_total=accurate").json().get("total") == before.get("total")
    again = a_deposit()
    stored(fhir, again)
    twice = fhir.post("DocumentReference", json=again)
    assert (twice.status_code, rules(twice)) == (409, {"hs-b-doc-unique"})


def replacing(first, code="replaces"):
    return a_deposit(relatesTo=[{"code": code, "target": {"reference": f"DocumentReference/{first['id']}"}}])


def test_a_replacement_supersedes_in_the_same_transaction(fhir):
    first = stored(fhir, a_deposit())
    second = stored(fhir, replacing(first))
    assert fhir.get(f"DocumentReference/{first['id']}").json()["status"] == "superseded"
    again = fhir.post("DocumentReference", json=replacing(first))
    assert (again.status_code, rules(again)) == (422, {"hs-b-doc-replace"})
    assert fhir.post("DocumentReference", json=replacing({"id": "nothing"})).status_code == 422
    third = stored(fhir, replacing(second, "appends"))
    assert fhir.get(f"DocumentReference/{second['id']}").json()["status"] == "current"
    # An update that keeps the relation is no second replacement.
    second = fhir.get(f"DocumentReference/{second['id']}").json()
    assert (
        fhir.put(f"DocumentReference/{second['id']}", json=second | {"description": "x"}).status_code == 200
    )
    assert third["status"] == "current"


def test_a_set_replaces_as_a_transaction_and_a_list_names_it(fhir):
    first = stored(fhir, a_deposit())
    document = {**first, "relatesTo": [{"code": "replaces", "target": {"reference": f"DocumentReference/{first['id']}"}}],
                "masterIdentifier": {"system": "urn:ietf:rfc:3986", "value": f"urn:uuid:{uuid.uuid4()}"}}  # fmt: skip
    binary = fhir.get(
        first["content"][0]["attachment"]["url"], headers={"Accept": "application/fhir+json"}
    ).json()
    del document["id"], binary["id"]
    document["content"][0]["attachment"]["url"] = "urn:uuid:00000000-0000-4000-8000-000000000002"
    binary["securityContext"] = {"reference": "urn:uuid:00000000-0000-4000-8000-000000000001"}
    submission = {
        "resourceType": "List", "status": "current", "mode": "working", "subject": {"reference": "Patient/citizen-a"},
        "code": {"coding": [{"system": "https://profiles.ihe.net/ITI/MHD/CodeSystem/MHDlistTypes", "code": "submissionset"}]},
        "entry": [{"item": {"reference": "urn:uuid:00000000-0000-4000-8000-000000000001"}}],
    }  # fmt: skip
    entries = [
        {"fullUrl": f"urn:uuid:00000000-0000-4000-8000-00000000000{number}", "resource": resource,
         "request": {"method": "POST", "url": resource["resourceType"]}}
        for number, resource in enumerate((submission, document, binary))
    ]  # fmt: skip
    answer = fhir.post("", json={"resourceType": "Bundle", "type": "transaction", "entry": entries})
    assert answer.status_code == 200, answer.text
    place = answer.json()["entry"][1]["response"]["location"]
    assert fhir.get(f"DocumentReference/{first['id']}").json()["status"] == "superseded"
    assert fhir.get(
        f"List?item=DocumentReference/{place.split('DocumentReference/')[1].split('/')[0]}"
    ).json()["entry"]


def patch(fhir, document, *operations):
    return fhir.patch(
        f"DocumentReference/{document['id']}",
        content=json.dumps(operations),
        headers={"Content-Type": "application/json-patch+json"},
    )


def test_a_patch_archives_masks_and_nothing_else(fhir):
    document = stored(fhir, a_deposit())
    archived = {"op": "add", "path": "/extension", "value": [{"url": ARCHIVED, "valueBoolean": True}]}
    assert patch(fhir, document, archived).status_code == 200
    masked = {
        "system": "https://mos.esante.gouv.fr/NOS/TRE_A07-StatutVisibiliteDocument/FHIR/TRE-A07-StatutVisibiliteDocument",
        "code": "MASQUE_PS",
    }
    assert patch(
        fhir, document, {"op": "add", "path": "/securityLabel/-", "value": {"coding": [masked]}}
    ).status_code == 200  # fmt: skip
    refused = patch(fhir, document, {"op": "add", "path": "/description", "value": "x"})
    assert (refused.status_code, rules(refused)) == (405, {"hs-b-doc-patch"})
    other = {
        "op": "add",
        "path": "/extension/-",
        "value": {"url": "http://example.org/x", "valueBoolean": True},
    }
    assert patch(fhir, document, other).status_code == 405
    withdrawn = {"op": "replace", "path": "/status", "value": "entered-in-error"}
    assert patch(fhir, document, withdrawn).status_code == 200
