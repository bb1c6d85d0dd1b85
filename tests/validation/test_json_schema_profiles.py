"""The JSON Schemas of profiles: FR Core's examples are valid, and what a schema can say is found when it is broken."""

from __future__ import annotations

import copy
import json
import os
import tarfile
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from fhir_server.definitions import Definitions
from fhir_server.definitions.packages import add, read_package
from fhir_server.terminology import CodeSets
from fhir_server.validation import Validator
from fhir_server.validation.json_schema import json_schema

SUITE = Path(os.environ.get("FHIR_SUITES", Path(__file__).parents[3] / "shared" / "suites")) / "fr-core"
needs_suite = pytest.mark.skipif(not SUITE.exists(), reason="the public suites aren't there: set FHIR_SUITES")
BASE = "https://example.org/StructureDefinition/"


def profile(type_, *elements):
    return {
        "resourceType": "StructureDefinition", "url": f"{BASE}p", "version": "1", "name": "P", "status": "active",
        "kind": "resource", "abstract": False, "type": type_, "derivation": "constraint",
        "baseDefinition": f"http://hl7.org/fhir/StructureDefinition/{type_}",
        "differential": {"element": [{"path": e["id"].split(":")[0], **e} for e in elements]},
    }  # fmt: skip


LOINC = {"coding": [{"system": "http://loinc.org", "code": "8867-4"}]}
SLICED = profile(
    "Observation",
    {"id": "Observation.code", "patternCodeableConcept": LOINC},
    {"id": "Observation.status", "fixedCode": "final"},
    {"id": "Observation.subject", "min": 1},
    {"id": "Observation.device", "max": "0"},
    {"id": "Observation.value[x]", "type": [{"code": "Quantity"}]},
    {"id": "Observation.category", "slicing": {"discriminator": [{"type": "value", "path": "coding.code"}], "rules": "closed"}},
    {"id": "Observation.category:vs", "path": "Observation.category", "sliceName": "vs", "min": 1, "max": "1"},
    {"id": "Observation.category:vs.coding", "path": "Observation.category.coding", "min": 1},
    {"id": "Observation.category:vs.coding.code", "path": "Observation.category.coding.code", "min": 1, "fixedCode": "vital-signs"},
    {"id": "Observation.category:vs.text", "path": "Observation.category.text", "max": "0"},
)  # fmt: skip
GOOD = {
    "resourceType": "Observation",
    "status": "final",
    "code": {"coding": [{"system": "urn:x", "code": "x"}, {**LOINC["coding"][0], "display": "Heart rate"}]},
    "subject": {"reference": "Patient/1"},
    "category": [{"coding": [{"code": "vital-signs"}]}],
    "valueQuantity": {"value": 60},
}


@pytest.fixture(scope="module")
def definitions():
    found = Definitions()
    found.add(SLICED)
    return found


@pytest.mark.parametrize(
    ("change", "is_valid"),
    [
        ({}, True),
        ({"valueQuantity": None}, True),
        ({"code": {"coding": [{"system": "http://loinc.org", "code": "1"}]}}, False),
        ({"status": "amended"}, False),
        ({"subject": None}, False),
        ({"device": {"display": "x"}}, False),
        ({"valueQuantity": None, "valueString": "x"}, False),
        ({"category": None}, False),
        ({"category": [{"coding": [{"code": "other"}]}]}, False),
        ({"category": [{"coding": [{"code": "vital-signs"}]}, {"coding": [{"code": "other"}]}]}, False),
        ({"category": [{"coding": [{"code": "vital-signs"}]}] * 2}, False),
        ({"category": [{"coding": [{"code": "vital-signs"}], "text": "x"}]}, False),
        ({"category": [{"coding": [{"system": "urn:x", "code": "y"}, {"code": "vital-signs"}]}]}, False),
    ],
)
def test_fixed_pattern_cardinality_and_slices(definitions, change, is_valid):
    schema = json_schema(definitions, CodeSets(definitions), f"{BASE}p|1")
    Draft202012Validator.check_schema(schema)
    resource = {key: value for key, value in {**GOOD, **change}.items() if value is not None}
    assert Draft202012Validator(schema).is_valid(resource) is is_valid
    # lenient: the schema knows nothing of the vital signs profile that the code implies.
    issues = Validator(definitions, CodeSets(definitions)).validate(resource, [f"{BASE}p"], lenient=True)
    assert any(issue.severity == "error" for issue in issues) is not is_valid


@pytest.fixture(scope="module")
def fr_core():
    definitions = Definitions()
    add(read_package(SUITE / "hl7.fhir.fr.core-2.2.0.tgz"), definitions)
    return definitions


@pytest.fixture(scope="module")
def claimed(fr_core):
    """Return the examples by name, each with the schemas of the profiles that it claims."""
    code_sets, made, found = CodeSets(fr_core), {}, {}
    with tarfile.open(SUITE / "examples.tar.gz") as archive:
        for member in archive:
            file = archive.extractfile(member)
            if file is None or not member.name.endswith(".json"):
                continue
            resource = json.loads(file.read())
            for url in resource.get("meta", {}).get("profile", ()):
                if url not in made:
                    schema = json.loads(json.dumps(json_schema(fr_core, code_sets, url)))
                    Draft202012Validator.check_schema(schema)
                    made[url] = Draft202012Validator(schema)
                found.setdefault(Path(member.name).name, (resource, []))[1].append((url, made[url]))
    return found


@needs_suite
def test_the_examples_of_fr_core_are_valid(claimed):
    wrong = {
        (name, url): [f"{list(e.absolute_path)}: {e.message[:200]}" for e in checker.iter_errors(resource)]
        for name, (resource, checkers) in claimed.items()
        for url, checker in checkers
    }
    assert {key: errors for key, errors in wrong.items() if errors} == {}
    assert len(claimed) > 25


@needs_suite
def test_every_profile_of_fr_core_has_a_schema(fr_core):
    code_sets = CodeSets(fr_core)
    profiles = [d for d in fr_core.added() if d["resourceType"] == "StructureDefinition"]
    for definition in profiles:
        Draft202012Validator.check_schema(
            json.loads(json.dumps(json_schema(fr_core, code_sets, definition["url"])))
        )
    assert len(profiles) > 50


@needs_suite
def test_what_the_schema_can_say_is_found(fr_core, claimed):
    """What the validator finds by cardinality and type when an element is taken away, the schema finds too."""
    validator = Validator(fr_core, CodeSets(fr_core))
    missed, seen = [], 0
    for name, (resource, checkers) in claimed.items():
        for key in [k for k in resource if k not in ("resourceType", "meta", "id", "text")]:
            broken = copy.deepcopy(resource)
            del broken[key]
            facets = {i.rule.partition("@")[0] for i in validator.validate(broken) if i.severity == "error"}
            if facets and facets <= {"cardinality"}:
                seen += 1
                if all(checker.is_valid(broken) for _, checker in checkers):
                    missed.append((name, key))
    assert missed == []
    assert seen > 20
