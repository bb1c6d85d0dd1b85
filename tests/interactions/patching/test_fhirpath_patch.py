"""FHIRPath Patch: https://hl7.org/fhir/R4/fhirpatch.html."""

import json
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest

from fhir_server.interactions.patching.budget import Budget
from fhir_server.interactions.patching.fhirpath_patch import apply, read_operations
from fhir_server.outcome import FhirError

CASES = json.loads(Path(__file__).with_name("fhirpath_patch_cases.json").read_text(), parse_float=Decimal)


def parameters(operations):
    """Return Parameters from short forms: {"type": "add", "path": "Patient", ...} with parts as value[x] or lists."""
    rows = []
    for operation in operations:
        parts = []
        for name, value in operation.items():
            if name == "type":
                parts.append({"name": name, "valueCode": value})
            elif name in ("path", "name"):
                parts.append({"name": name, "valueString": value})
            elif name in ("index", "source", "destination"):
                parts.append({"name": name, "valueInteger": value})
            else:
                parts.append({"name": name, **value})
        rows.append({"name": "operation", "part": parts})
    return {"resourceType": "Parameters", "parameter": rows}


def patch(types, resource, operations):
    return apply(
        json.loads(json.dumps(resource, default=float), parse_float=Decimal),
        read_operations(parameters(operations)),
        Budget(10_000, 10_000),
        types,
        lambda: datetime(2026, 1, 1, tzinfo=UTC),
    )


@pytest.mark.parametrize("case", CASES["applied"], ids=lambda case: case["what"])
def test_what_is_done(types, case):
    made = patch(types, case["resource"], case["operations"])
    assert made == case["expected"]
    assert list(made) == list(case["expected"])


@pytest.mark.parametrize("case", CASES["refused"], ids=lambda case: case["what"])
def test_what_is_refused(types, case):
    with pytest.raises(FhirError) as refused:
        patch(types, case["resource"], case["operations"])
    assert refused.value.status == case["status"]
    assert case["says"] in refused.value.issues[0].diagnostics


@pytest.mark.parametrize(
    ("parameter", "says"),
    [
        ({"name": "op"}, "named"),
        ({"name": "operation"}, "type"),
        ({"name": "operation", "part": [{"name": "type", "valueCode": "merge"}]}, "type"),
        ({"name": "operation", "part": [{"name": "type", "valueInteger": 1}]}, "type"),
        ({"name": "operation", "part": [{"name": "type", "valueCode": "delete"}]}, "path"),
        (
            {"name": "operation", "part": [{"name": "type", "valueCode": "delete"}, {"name": "path", "valueCode": "a"}] * 2},
            "same name",
        ),
    ],
)  # fmt: skip
def test_what_is_malformed(parameter, says):
    with pytest.raises(FhirError) as refused:
        read_operations({"resourceType": "Parameters", "parameter": [parameter]})
    assert refused.value.status == 400
    assert says in refused.value.issues[0].diagnostics


def test_paths_that_take_long_are_stopped(types):
    operations = [{"type": "delete", "path": "Bundle.entry.where(%resource.entry.fullUrl.count() = 5000)"}]
    bundle = {"resourceType": "Bundle", "entry": [{"fullUrl": f"urn:{n}"} for n in range(2000)]}
    with pytest.raises(FhirError) as refused:
        patch(types, bundle, operations)
    assert refused.value.issues[0].code == "too-costly"


def test_the_steps_are_those_of_all_operations_together(types):
    bundle = {"resourceType": "Bundle", "entry": [{"fullUrl": f"urn:{n}"} for n in range(2000)]}
    with pytest.raises(FhirError) as refused:
        patch(types, bundle, [{"type": "delete", "path": "Bundle.entry.fullUrl.where($this = 'x')"}] * 200)
    assert refused.value.issues[0].code == "too-costly"


def test_the_same_patch_can_be_applied_again(types):
    operations = [
        {"type": "add", "path": "Patient", "name": "name", "value": {"valueHumanName": {"family": "A"}}},
        {"type": "add", "path": "Patient.name[0]", "name": "given", "value": {"valueString": "B"}},
    ]
    for _ in range(2):
        made = patch(types, {"resourceType": "Patient"}, operations)
        assert made["name"] == [{"family": "A", "given": ["B"]}]
