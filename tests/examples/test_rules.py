"""One example for each rule of the health space's profiles: it passes, warns or fails as it should."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from fhir_server.datatypes.json_format import decode
from fhir_server.outcome import Issue
from fhir_server.validation import Validator

RULES = Path(__file__).parents[2] / "examples" / "rules"
PASS = sorted((RULES / "pass").glob("*.json"))
EXPECTED: dict[str, dict[str, str]] = json.loads((RULES / "expected.json").read_text(encoding="utf-8"))
OURS = "https://health-space.example/fhir/StructureDefinition/"
#: Codes of our own beside HL7's in an extensible binding: allowed, and said by every validator.
ALLOWED = "binding-extensible@"


def issues(validator: Validator, path: Path) -> list[Issue]:
    return [i for i in validator.validate(decode(path.read_bytes())) if not i.rule.startswith(ALLOWED)]


def test_there_are_as_many_as_the_rules_need():
    count = {kind: len(list((RULES / kind).glob("*.json"))) for kind in ("pass", "warn", "fail")}
    assert count == {"pass": 34, "warn": 8, "fail": 78}


@pytest.mark.parametrize("path", PASS, ids=lambda path: path.stem)
def test_a_good_one_has_no_issue(space_validator, path):
    assert issues(space_validator, path) == []


@pytest.mark.parametrize(("file", "expected"), EXPECTED.items())
def test_a_bad_one_reports_the_rule_at_its_place(space_validator, file, expected):
    found = issues(space_validator, RULES / file)
    assert (expected["code"], expected["expression"], expected["rule"]) in [
        (issue.code, issue.expression, issue.rule.replace(OURS, "")) for issue in found
    ]


@pytest.mark.parametrize("file", EXPECTED)
def test_one_that_warns_has_no_error_and_one_that_fails_has(space_validator, file):
    errors = [issue for issue in issues(space_validator, RULES / file) if issue.severity == "error"]
    assert bool(errors) == file.startswith("fail/")
