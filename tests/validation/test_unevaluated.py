"""Constraints that can't be checked: never an error, said once."""

from __future__ import annotations

import logging

import pytest

from fhir_server.definitions import Definitions
from fhir_server.terminology import CodeSets
from fhir_server.validation import Validator

URL = "https://example.org/StructureDefinition/"


def profile(name, type_, kind, *elements):
    return {
        "resourceType": "StructureDefinition", "url": URL + name, "version": "1", "name": name, "kind": kind,
        "abstract": False, "type": type_, "derivation": "constraint",
        "baseDefinition": f"http://hl7.org/fhir/StructureDefinition/{type_}",
        "differential": {"element": [{"path": e["id"], **e} for e in elements]},
    }  # fmt: skip


def constraint(key, **rest):
    return {"key": key, "severity": "error", "human": f"{key}.", **rest}


@pytest.fixture
def validator():
    definitions = Definitions()
    definitions.add(
        profile("name", "HumanName", "complex-type", {"id": "HumanName", "constraint": [constraint("n-1")]})
    )
    definitions.add(
        profile(
            "patient", "Patient", "resource",
            {"id": "Patient", "constraint": [
                constraint("p-1"),
                constraint("p-2", expression="name.exists("),
                constraint("p-3", expression="name.nothing()"),
                constraint("p-4", expression="name.exists()"),
            ]},
            {"id": "Patient.name", "type": [{"code": "HumanName", "profile": [URL + "name"]}]},
            {"id": "Patient.gender", "constraint": [constraint("p-5", expression="no such function()")]},
        )
    )  # fmt: skip
    return Validator(definitions, CodeSets(definitions))


CLAIMING = {
    "resourceType": "Patient",
    "meta": {"profile": [URL + "patient"]},
    "gender": "male",
    "name": [{"text": "x"}],
}


def test_a_verdict_is_given_all_the_same(validator):
    assert validator.validate(CLAIMING) == ()


@pytest.mark.parametrize(
    ("resource", "profiles"),
    [
        (CLAIMING, ()),
        ({"resourceType": "Patient"}, (URL + "patient",)),
        (
            {
                "resourceType": "Bundle",
                "type": "collection",
                "entry": [{"resource": CLAIMING}, {"resource": CLAIMING}],
            },
            (),
        ),
    ],
)
def test_each_is_named_once_with_its_profile(validator, resource, profiles):
    found = validator.unchecked(resource, profiles)
    assert sorted(issue.rule for issue in found) == ["n-1", "p-1", "p-2", "p-3", "p-5"]
    assert {issue.severity for issue in found} == {"warning"}
    said = {issue.rule: issue.diagnostics for issue in found}
    assert said["p-1"] == f"Rule p-1 on Patient isn't checked: it has no expression. (profile {URL}patient)"
    assert "Rule p-2 on Patient isn't checked: its expression can't be read (" in said["p-2"]
    assert f"(profile {URL}name)" in said["n-1"]


def test_a_resource_without_profiles_has_none(validator):
    assert validator.unchecked({"resourceType": "Patient", "name": [{"text": "x"}]}) == ()


def test_the_log_says_it_once(validator, caplog):
    with caplog.at_level(logging.WARNING, "fhir_server"):
        validator.validate(CLAIMING)
        validator.validate(CLAIMING, [URL + "patient"])
        validator.validate({**CLAIMING, "meta": {"profile": [URL + "patient", URL + "other"]}})
    assert sum("Rule p-1" in record.getMessage() for record in caplog.records) == 1
