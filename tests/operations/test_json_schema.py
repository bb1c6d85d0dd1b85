"""$json-schema over HTTP; what the schemas say is in tests/validation/test_json_schema.py."""

from __future__ import annotations

import json

import jsonschema
import pytest

from fhir_server.definitions.content import content_folder

BASE = "http://hl7.org/fhir/StructureDefinition/"


@pytest.mark.parametrize("accept", ["*/*", "application/json", "application/schema+json"])
def test_a_base_type(fhir, accept):
    answer = fhir.get("StructureDefinition/Patient/$json-schema", headers={"Accept": accept})
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/schema+json")
    validator = jsonschema.Draft202012Validator(answer.json())
    assert validator.is_valid({"resourceType": "Patient", "active": True})
    assert not validator.is_valid({"resourceType": "Patient", "active": "yes"})


def test_full(fhir):
    schema = fhir.get("StructureDefinition/Bundle/$json-schema?full=true").json()
    bundle = {
        "resourceType": "Bundle",
        "type": "collection",
        "entry": [{"resource": {"resourceType": "Patient", "x": 1}}],
    }
    assert not jsonschema.Draft202012Validator(schema).is_valid(bundle)


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("StructureDefinition/Nothing/$json-schema", 404),
        ("StructureDefinition/Patient.contact/$json-schema", 404),
        ("Patient/Patient/$json-schema", 404),
        ("StructureDefinition/$json-schema", 404),
        ("StructureDefinition/Patient/$json-schema?full=maybe", 400),
        ("StructureDefinition/Patient/$json-schema?other=1", 400),
    ],
)
def test_what_has_no_schema(fhir, path, status):
    answer = fhir.get(path)
    assert answer.status_code == status
    assert answer.json()["resourceType"] == "OperationOutcome"


def test_a_stored_profile(fhir):
    """It has a schema as soon as it is stored, and another one when it has changed."""
    profile = {
        "resourceType": "StructureDefinition", "id": "my-patient", "url": "urn:x:my-patient", "name": "MyPatient",
        "status": "draft", "kind": "resource", "abstract": False, "type": "Patient", "derivation": "constraint",
        "baseDefinition": BASE + "Patient", "differential": {"element": [{"id": "Patient", "path": "Patient"}]},
    }  # fmt: skip
    patient = {"resourceType": "Patient", "gender": "male"}

    def accepts():
        assert fhir.put("StructureDefinition/my-patient", json=profile).status_code in (200, 201)
        answer = fhir.get("StructureDefinition/my-patient/$json-schema")
        assert answer.status_code == 200
        return jsonschema.Draft202012Validator(answer.json()).is_valid(patient)

    assert accepts()
    profile["differential"]["element"].append({"id": "Patient.name", "path": "Patient.name", "min": 1})
    assert not accepts()


def test_a_definition_that_is_no_profile_has_none(fhir):
    logical = {
        "resourceType": "StructureDefinition", "id": "my-model", "url": "urn:x:my-model", "name": "MyModel",
        "status": "draft", "kind": "logical", "abstract": False, "type": "urn:x:my-model",
        "derivation": "specialization", "baseDefinition": BASE + "Element",
        "differential": {"element": [{"id": "my-model", "path": "my-model", "definition": "x", "min": 0, "max": "*"}]},
    }  # fmt: skip
    assert fhir.put("StructureDefinition/my-model", json=logical).status_code in (200, 201)
    assert fhir.get("StructureDefinition/my-model/$json-schema").status_code == 422


def test_its_definition_is_ours_and_valid(fhir):
    definition = json.loads((content_folder("profiles") / "OperationDefinition-json-schema.json").read_text())
    [row] = [
        r for r in fhir.get("metadata").json()["rest"][0]["resource"] if r["type"] == "StructureDefinition"
    ]
    assert {"name": "json-schema", "definition": definition["url"]} in row["operation"]
    outcome = fhir.post("OperationDefinition/$validate", json=definition).json()
    assert [i for i in outcome["issue"] if i["severity"] == "error"] == []
