"""Tests that are made of search parameters: paths, values, and resources that are valid."""

from __future__ import annotations

import json

import pytest
import yaml

from fhir_server.definitions.content import content_folder
from fhir_server.testscript.type_searches import Branch, branches
from fhir_server.testscript.type_searches import tests_of as made_of

TABLE = yaml.safe_load((content_folder("conformance") / "suites/every-type/parameters.yaml").read_text())


@pytest.mark.parametrize(
    ("expression", "found"),
    [
        ("Patient.name | Person.name", [Branch([("name", {})])]),
        ("Patient.telecom.where(system='email')", [Branch([("telecom", {"system": "email"})])]),
        (
            "Patient.link.other.where(resolve() is Patient)",
            [Branch([("link", {}), ("other", {})], target="Patient")],
        ),
        ("(Patient.deceased as dateTime)", [Branch([("deceased", {})], kind="dateTime")]),
        ("Patient.deceased.as(Age)", [Branch([("deceased", {})], kind="Age")]),
        ("Patient.deceased.exists() and Patient.deceased != false", []),
        ("Patient.extension('urn:x').value", []),
    ],
)
def test_paths_of_expressions(expression, found):
    assert branches(expression, "Patient") == found


def test_most_parameters_have_a_test_and_each_resource_is_valid(judge):
    tests = made_of(TABLE)
    assert len(tests) > 1500
    assert len({test["name"] for test in tests}) == len(tests)
    for test in tests[::9]:
        for entry in json.loads(test["fixtures"]["data"]["text"])["entry"]:
            issues = [i for i in judge[1].validate(entry["resource"]) if i.severity in {"error", "fatal"}]
            assert issues == [], test["name"]


def test_the_resources_differ_in_the_element_of_the_parameter():
    [test] = [t for t in made_of({"types": ["Patient"]}) if t["name"] == "Patient-birthdate"]
    rows = [entry["resource"] for entry in json.loads(test["fixtures"]["data"]["text"])["entry"]]
    assert [row.get("birthDate") for row in rows] == ["2020-03-15", "2021-06-01", None]
    assert {
        "search": "Patient?birthdate=gt2020-12-31&_tag=urn:fhir-space-server:conformance:run|${UUID}"
    } in test["steps"]
