from __future__ import annotations

from typing import Any

import httpx

URL = "https://example.org/StructureDefinition/named-patient"
PROFILE: dict[str, Any] = {
    "resourceType": "StructureDefinition",
    "id": "named-patient",
    "url": URL,
    "name": "NamedPatient",
    "status": "active",
    "kind": "resource",
    "abstract": False,
    "type": "Patient",
    "baseDefinition": "http://hl7.org/fhir/StructureDefinition/Patient",
    "derivation": "constraint",
    "differential": {
        "element": [
            {"id": "Patient", "path": "Patient"},
            {"id": "Patient.name", "path": "Patient.name", "min": 1},
        ]
    },
}
NAMELESS = {"resourceType": "Patient", "meta": {"profile": [URL]}, "active": True}


def test_a_stored_profile_takes_effect_at_once_and_ends_with_its_deletion(
    fhir: httpx.Client,
) -> None:
    assert fhir.post("Patient", json=NAMELESS).status_code == 201
    assert fhir.put("StructureDefinition/named-patient", json=PROFILE).status_code == 201

    refused = fhir.post("Patient", json=NAMELESS)
    assert refused.status_code == 422
    [issue] = [i for i in refused.json()["issue"] if i["severity"] == "error"]
    assert issue["expression"] == ["Patient"]
    assert issue["details"]["coding"][0]["code"] == f"cardinality@{URL}#Patient.name"
    named = {**NAMELESS, "name": [{"family": "Example"}]}
    assert fhir.post("Patient", json=named).status_code == 201

    changed = {
        **PROFILE,
        "differential": {
            "element": [
                {"id": "Patient", "path": "Patient"},
                {"id": "Patient.birthDate", "path": "Patient.birthDate", "min": 1},
            ]
        },
    }
    assert fhir.put("StructureDefinition/named-patient", json=changed).status_code == 200
    refused = fhir.post("Patient", json=named)
    assert [i["details"]["coding"][0]["code"] for i in refused.json()["issue"]] == [
        f"cardinality@{URL}#Patient.birthDate"
    ]

    assert fhir.delete("StructureDefinition/named-patient").status_code in {200, 204}
    assert fhir.post("Patient", json=NAMELESS).status_code == 201


def test_a_stored_value_set_is_what_a_binding_asks(fhir: httpx.Client) -> None:
    value_set = {
        "resourceType": "ValueSet",
        "id": "colours",
        "url": "https://example.org/ValueSet/colours",
        "status": "active",
        "compose": {"include": [{"system": "https://example.org/colours", "concept": [{"code": "red"}]}]},
    }
    binding = {"strength": "required", "valueSet": "https://example.org/ValueSet/colours"}
    profile = {
        **PROFILE,
        "id": "coloured",
        "url": "https://example.org/StructureDefinition/coloured",
        "type": "Basic",
        "baseDefinition": "http://hl7.org/fhir/StructureDefinition/Basic",
        "differential": {
            "element": [
                {"id": "Basic", "path": "Basic"},
                {"id": "Basic.code", "path": "Basic.code", "binding": binding},
            ]
        },
    }
    basic = {
        "resourceType": "Basic",
        "meta": {"profile": [profile["url"]]},
        "code": {"coding": [{"system": "https://example.org/colours", "code": "blue"}]},
    }
    assert fhir.put("StructureDefinition/coloured", json=profile).status_code == 201
    assert fhir.post("Basic", json=basic).status_code == 201  # not known yet: a warning
    assert fhir.put("ValueSet/colours", json=value_set).status_code == 201
    refused = fhir.post("Basic", json=basic)
    assert refused.status_code == 422
    assert refused.json()["issue"][0]["expression"] == ["Basic.code"]
    basic["code"]["coding"][0]["code"] = "red"
    assert fhir.post("Basic", json=basic).status_code == 201
