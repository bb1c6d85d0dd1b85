"""``_list``: https://hl7.org/fhir/R4/search.html#list."""

from __future__ import annotations

import pytest

from fhir_server.outcome import FhirError
from fhir_server.search.lookups import ListedResources, Open

TERMS = "http://terminology.hl7.org/CodeSystem"


def _concept(system, code):
    return {"coding": [{"system": f"{TERMS}/{system}", "code": code}]}


def _allergy(id_, clinical="active", verification="", **more):
    made = {"resourceType": "AllergyIntolerance", "id": id_, "patient": {"reference": "Patient/p"}, **more}
    made["clinicalStatus"] = _concept("allergyintolerance-clinical", clinical)
    if verification:
        made["verificationStatus"] = _concept("allergyintolerance-verification", verification)
    return made


def _condition(id_, clinical, verification="confirmed"):
    return {
        "resourceType": "Condition", "id": id_, "subject": {"reference": "Patient/p"},
        "clinicalStatus": _concept("condition-clinical", clinical),
        "verificationStatus": _concept("condition-ver-status", verification),
    }  # fmt: skip


def _medication(type_, id_, status):
    return {"resourceType": type_, "id": id_, "status": status, "subject": {"reference": "Patient/p"}}


RESOURCES = [
    _allergy("food", category=["food"]),
    _allergy("drug", verification="unconfirmed", category=["food", "medication"]),
    _allergy("over", "resolved", category=["medication"]),
    _allergy("refuted", verification="refuted", category=["medication"]),
    _allergy("wrong", verification="entered-in-error"),
    _condition("active", "active"),
    _condition("again", "relapse"),
    _condition("recurrent", "recurrence", "provisional"),
    _condition("healed", "resolved"),
    _condition("not", "active", "refuted"),
    _medication("MedicationStatement", "taken", "active"),
    _medication("MedicationStatement", "stopped", "stopped"),
    _medication("MedicationRequest", "ordered", "active"),
    _medication("MedicationRequest", "draft", "draft"),
]


@pytest.fixture(scope="module")
def filled(new_engine, module_database_name):
    engine = new_engine(module_database_name)
    engine.put(*RESOURCES)
    return engine


@pytest.mark.parametrize(
    ("type_", "name", "ids"),
    [
        ("AllergyIntolerance", "$current-allergies", "drug food"),
        ("AllergyIntolerance", "$current-drug-allergies", "drug"),
        ("Condition", "$current-problems", "active again recurrent"),
        ("MedicationStatement", "$current-medications", "taken"),
        ("MedicationRequest", "$current-medications", "ordered"),
    ],
)
def test_functional_lists(filled, type_, name, ids):
    assert sorted(filled.ids(type_, ("_list", name), ("patient", "p"))) == ids.split()
    assert filled.ids(type_, ("_list", name), ("patient", "q")) == []


@pytest.mark.parametrize(
    ("type_", "value", "message"),
    [
        ("Observation", "$current-problems", "holds resources of type Condition, not Observation"),
        ("Condition", "$current-diagnoses", "not defined here; there are \\$current-problems"),
        ("Condition", "a b", "takes the id of a List"),
        ("Condition", ",", "holds no value"),
    ],
)
def test_refused(filled, type_, value, message):
    with pytest.raises(FhirError, match=message) as caught:
        filled.parse(type_, [("_list", value)])
    assert caught.value.status == 400


@pytest.mark.parametrize("written", ["42", "List/42", "http://localhost/fhir/List/42"])
def test_a_list_is_asked_for(filled, written):
    found = filled.parse("Condition", [("_list", written)]).expression

    assert isinstance(found, Open)
    assert found.question == ListedResources("42", "Condition")
