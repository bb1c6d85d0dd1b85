"""Each rule in both directions: exchanges that break it, and exchanges that keep it."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from fhir_server.certification.rules import RESOLVES, RULES, read_rules
from fhir_server.certification.rules.contents import SORTED
from fhir_server.definitions.content import content_folder

CASES = yaml.safe_load(Path(__file__).with_name("cases.yaml").read_text())


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["exchanges"][-1]["request"])
def test_what_is_said_of_the_last_exchange(judge, traffic, case):
    judging = judge()
    *before, last = (traffic(row, n) for n, row in enumerate(case["exchanges"], 1))
    for one in before:
        judging.judge(one)
    judging.ledger.accounts.clear()
    judging.judge(last)
    accounts = judging.ledger.accounts
    broken = {name for name, account in accounts.items() if account.breaches}
    assert broken == set(case.get("breaks", []))
    assert set(case.get("keeps", [])) <= {name for name, account in accounts.items() if account.kept}


def test_every_rule_is_explained_and_proved():
    rules = read_rules(content_folder("conformance") / "clients")
    assert list(rules) == sorted(rules, key=list(rules).index)
    assert set(rules) == {*RULES, *SORTED, RESOLVES}
    assert {rule.level for rule in rules.values()} == {"SHALL", "SHOULD"}
    proved = {name for case in CASES for name in case.get("breaks", [])}
    # What asks a server is in test_certify.py; the extensible binding needs a code that the core package has.
    assert set(rules) - proved == {RESOLVES, "terminology-extensible"}
