"""Suggested fixes: the operation, what it assumes, and that it mends the issue."""

from __future__ import annotations

import json
import time
from decimal import Decimal
from pathlib import Path

import pytest

from fhir_server.datatypes.json_format import decode, encode
from fhir_server.definitions import Definitions
from fhir_server.interactions.patching.budget import Budget
from fhir_server.interactions.patching.json_patch import apply, read_operations
from fhir_server.terminology import CodeSets
from fhir_server.validation import Validator

CASES = json.loads((Path(__file__).parent / "corrections.json").read_text(), parse_float=Decimal)


@pytest.fixture(scope="module")
def validator():
    definitions = Definitions()
    return Validator(definitions, CodeSets(definitions))


@pytest.mark.parametrize("case", CASES, ids=lambda case: json.dumps(case["resource"], default=str)[:90])
def test_fix(validator, case):
    resource = decode(encode(case["resource"]))
    issues = validator.corrected(validator.validate(resource), resource, case.get("type", ""))
    fixes = [issue.fix for issue in issues if issue.fix is not None]
    if case["patch"] is None:
        assert fixes == []
        return
    [fix] = fixes
    assert (dict(fix.operation), fix.assumes) == (case["patch"], case.get("assumes", ""))
    mended = apply(resource, read_operations(decode_patch(fix)), Budget(10_000, 0))
    told = next(issue for issue in issues if issue.fix is not None)
    assert (told.rule, told.expression) not in {(i.rule, i.expression) for i in validator.validate(mended)}


def decode_patch(fix):
    return json.loads(fix.patch(), parse_float=Decimal)


def test_hostile_values_cost_little(validator):
    """Long words in many places: no fix, and no time."""
    long = "A_" * 100_000
    resource = {
        "resourceType": "Patient",
        "gender": long,
        "birthDate": "1" * 100_000,
        "deceasedDateTime": "1/" * 50_000,
        "communication": [{"language": {"coding": [{"system": long, "code": long}]}}],
        "generalPractitioner": [{"reference": long}] * 50,
        "contact": [{"gender": long}] * 50,
    }
    started = time.process_time()
    issues = validator.corrected(validator.validate(resource), resource)
    assert time.process_time() - started < 30  # a hang, not a speed
    assert len(issues) > 50
    assert all(issue.fix is None for issue in issues)
