"""What the rows of a page refer to, and what refers to them."""

from __future__ import annotations

import pytest

from fhir_server.search.expression import Equal
from fhir_server.search.include import Include, applies_to, pointed_to, pointing_from, read_include

BASE = "http://localhost/fhir"


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("_include", "*", Include("*", "*", "", False, False)),
        ("_include", "Observation:*", Include("Observation", "*", "", False, False)),
        (
            "_include:iterate",
            "Observation:subject:Patient",
            Include("Observation", "subject", "Patient", False, True),
        ),
        ("_revinclude", "Observation:subject", Include("Observation", "subject", "", True, False)),
    ],
)
def test_read(registry, name, value, expected):
    found = read_include(name, value, registry)

    assert found == expected
    assert str(found) == f"{name}={value}"


@pytest.mark.parametrize(
    ("include", "expected"),
    [
        ("_include=Observation:subject", True),
        ("_include=Patient:organization", False),
        ("_include=*", True),
        ("_revinclude=Provenance:target:Patient", False),
        ("_revinclude=Provenance:target", True),
    ],
)
def test_which_includes_can_find_something(registry, include, expected):
    assert applies_to(read_include(*include.split("="), registry), ("Observation",)) == expected


def _pointed(registry, indexer, resource, *includes):
    entries = indexer.entries(resource, BASE)
    fields = {"i": entries.values, "p": entries.patient}
    read = [read_include("_include", value, registry) for value in includes]
    return pointed_to(read, resource["resourceType"], fields, resource, base=BASE, registry=registry)


def test_references_of_a_row(registry, indexer):
    resource = {
        "resourceType": "Observation", "id": "x", "subject": {"reference": "Patient/1"},
        "encounter": {"reference": f"{BASE}/Encounter/2/_history/3"},
        "performer": [{"reference": "http://elsewhere/Practitioner/1"}, {"reference": "#c"}, {"reference": "Organization/o"}],
    }  # fmt: skip

    found = _pointed(registry, indexer, resource, "*")

    assert set(found.resources) == {("Patient", "1"), ("Organization", "o")}
    assert set(found.versions) == {("Encounter", "2", 3)}
    assert not _pointed(registry, indexer, resource, "Observation:performer:Practitioner").resources
    assert not _pointed(registry, indexer, resource, "Encounter:subject").resources


def test_canonicals_of_a_row(registry, indexer):
    resource = {"resourceType": "CarePlan", "id": "x", "instantiatesCanonical": ["http://p|1", "http://q"]}

    found = _pointed(registry, indexer, resource, "CarePlan:instantiates-canonical:PlanDefinition")

    assert {type_: set(urls) for type_, urls in found.canonicals.items()} == {
        "PlanDefinition": {("http://p", "1"), ("http://q", "")}
    }


def test_what_points_to_rows(registry):
    wildcard = read_include("_revinclude", "Observation:*", registry)
    found = pointing_from(wildcard, "Observation", {"Patient": ["1"]}, {}, registry)

    assert Equal("p", ("1",)) in found
    assert Equal("i.performer", ("Patient/1",)) in found
    assert len(found) == len(set(found))
    narrow = read_include("_revinclude", "Observation:subject:Group", registry)
    assert pointing_from(narrow, "Observation", {"Patient": ["1"]}, {}, registry) == ()
