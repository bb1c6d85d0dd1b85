"""Every kind of assertion in both directions, on answers of the running application."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from fhir_server.testscript.assertions import KINDS
from fhir_server.testscript.operators import OPERATORS

TABLE = yaml.safe_load(Path(__file__).with_name("assertions.yaml").read_text())
CASES = TABLE.pop("cases")


@pytest.mark.parametrize("case", CASES, ids=[case["name"] for case in CASES])
def test_assertion_holds_and_fails(case, run, written):
    scripts = [written([case["after"], case[way]], **TABLE) for way in ("holds", "fails")]
    holds, fails = run(scripts).scripts
    assert (holds.error, fails.error) == ("", "")
    assert holds.result == "pass", [step.message for _, step in holds.steps() if step.message]
    [test] = fails.tests()
    assert [step.result for step in test.steps] == ["pass", "fail"]
    assert test.steps[1].message.endswith(".")


def test_all_kinds_and_operators_are_among_the_cases():
    used = [name for case in CASES for way in ("holds", "fails") for name in case[way]]
    assert set(KINDS) <= {*used, "responseCode"}
    operators = {case[way].get("operator", "equals") for case in CASES for way in ("holds", "fails")}
    assert operators == {*OPERATORS, "eval"}
