"""The JSON Schemas of base types: https://json-schema.org/draft/2020-12."""

from __future__ import annotations

import copy
import json
import os
import tarfile
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from fhir_server.definitions import Definitions
from fhir_server.definitions.content import content_folder
from fhir_server.outcome import FhirError
from fhir_server.terminology import CodeSets
from fhir_server.validation.json_schema import json_schema

SUITES = Path(os.environ.get("FHIR_SUITES", Path(__file__).parents[3] / "shared" / "suites"))
EXAMPLES = SUITES / "r4-examples" / "json.tar.gz"
#: Slow to check by schema: jsonschema takes seconds for them.
LARGEST = 30_000


@pytest.fixture(scope="module")
def checkers():
    definitions = Definitions()
    code_sets = CodeSets(definitions)
    made = {}

    def checker(type_, **options):
        key = (type_, *options)
        if key not in made:
            made[key] = Draft202012Validator(json_schema(definitions, code_sets, type_, **options))
        return made[key]

    return checker


GOOD = {
    "resourceType": "Observation",
    "status": "final",
    "code": {"text": "x"},
    "valueQuantity": {"value": 1.5},
    "effectiveDateTime": "2020-01-01T10:00:00Z",
    "_effectiveDateTime": {"extension": [{"url": "urn:x", "valueBoolean": True}]},
    "contained": [{"resourceType": "Patient", "x": 1}],
    "note": [{"text": "a"}],
}


def test_a_good_resource(checkers):
    checkers("Observation").validate(GOOD)


@pytest.mark.parametrize(
    "change",
    [
        {"resourceType": "Patient"},
        {"foo": 1},
        {"status": None},
        {"status": "finished"},
        {"status": ["final"]},
        {"code": {}},
        {"code": "x"},
        {"valueString": "x"},
        {"_valueString": {"id": "x"}},
        {"effectiveDateTime": "2020-1-1"},
        {"effectiveDateTime": "2020-01-01T10:00:00"},
        {"note": []},
        {"note": {"text": "a"}},
        {"note": [{"time": "2020"}]},
        {"contained": [{"x": 1}]},
        {"contained": [{"resourceType": "Nothing"}]},
        {"valueQuantity": {"value": "1.5"}},
        {"id": "a b"},
        {"language": ""},
    ],
)
def test_a_bad_resource(checkers, change):
    changed = {key: value for key, value in {**GOOD, **change}.items() if value is not None}
    assert not checkers("Observation").is_valid(changed)


@pytest.mark.parametrize(
    ("resource", "is_valid"),
    [
        ({"_status": {"extension": [{"url": "urn:x", "valueCode": "unknown"}]}, "status": None}, True),
        ({"effectiveDateTime": None, "_effectiveDateTime": None}, True),
        ({"valueQuantity": None}, True),
    ],
)
def test_what_may_be_missing(checkers, resource, is_valid):
    changed = {key: value for key, value in {**GOOD, **resource}.items() if value is not None}
    assert checkers("Observation").is_valid(changed) is is_valid


def test_nulls_hold_places_in_lists_of_primitives(checkers):
    patient = {"resourceType": "Patient", "name": [{"given": ["a", None], "_given": [None, {"id": "g"}]}]}
    checkers("Patient").validate(patient)
    assert not checkers("Patient").is_valid({"resourceType": "Patient", "name": [None]})


def test_full_describes_inner_resources(checkers):
    """And so holds every type: it is a schema by the rules of JSON Schema."""
    Draft202012Validator.check_schema(checkers("Bundle", full=True).schema)
    bundle = {
        "resourceType": "Bundle",
        "type": "collection",
        "entry": [{"resource": {"resourceType": "Patient", "x": 1}}],
    }
    assert checkers("Bundle").is_valid(bundle)
    assert not checkers("Bundle", full=True).is_valid(bundle)
    del bundle["entry"][0]["resource"]["x"]
    assert checkers("Bundle", full=True).is_valid(bundle)


def test_datatypes_and_primitives_have_one_too(checkers):
    assert checkers("Quantity").is_valid({"value": 1})
    assert not checkers("Quantity").is_valid({"value": 1, "resourceType": "Quantity"})
    assert checkers("date").is_valid("2020-02")
    assert not checkers("positiveInt").is_valid(0)


@pytest.mark.parametrize("name", ["Patint", "Patient.contact", "", "http://example.org/Patient"])
def test_names_that_are_no_type(checkers, name):
    with pytest.raises(FhirError) as refused:
        checkers(name)
    assert refused.value.status == 404


def test_the_address_of_a_type_is_a_name_of_it(checkers):
    assert checkers("http://hl7.org/fhir/StructureDefinition/Patient").schema == checkers("Patient").schema


def test_every_type_has_a_schema(checkers):
    for name in Definitions().types.names():
        if "." not in name:
            checkers(name)


def test_our_examples(checkers):
    for file in (content_folder("examples") / "pass").rglob("*.json"):
        resource = json.loads(file.read_text())
        checkers(resource["resourceType"]).validate(resource)


@pytest.mark.skipif(not EXAMPLES.exists(), reason=f"no R4 examples in {SUITES}: set FHIR_SUITES")
def test_official_examples(checkers):
    """Each type once, and each unknown property is found in it."""
    seen = set()
    with tarfile.open(EXAMPLES) as archive:
        for member in sorted((m for m in archive if m.isfile()), key=lambda m: m.size):
            resource = json.loads(archive.extractfile(member).read())
            type_ = resource["resourceType"]
            if type_ in seen or member.size > LARGEST or member.name.endswith("Questionnaire-qs1.json"):
                continue
            seen.add(type_)
            checkers(type_).validate(resource)
            wrong = copy.deepcopy(resource)
            wrong["unknown"] = 1
            assert not checkers(type_).is_valid(wrong), member.name
    assert len(seen) > 130
