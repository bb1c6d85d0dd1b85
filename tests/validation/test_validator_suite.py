"""The verdicts of HL7's validator on its own cases, as far as they need no profile, package or terminology server."""

from __future__ import annotations

import json
import os
import re
import tarfile
from pathlib import Path

import pytest

from fhir_server.datatypes.json_format import decode
from fhir_server.definitions import Definitions
from fhir_server.outcome import FhirError, Issue
from fhir_server.terminology import CodeSets
from fhir_server.validation import Validator

SUITE = Path(os.environ.get("FHIR_SUITES", Path(__file__).parents[3] / "shared" / "suites")) / "validator"
pytestmark = pytest.mark.skipif(not SUITE.exists(), reason="the public suites aren't there: set FHIR_SUITES")


def plain(expression: str) -> str:
    return re.sub(r"\.ofType\(\w+\)|/\*.*?\*/", "", expression)


def test_verdicts_and_places() -> None:
    missed = json.loads(Path(__file__).with_name("suite_missed.json").read_text())
    definitions = Definitions()
    validator = Validator(definitions, CodeSets(definitions))
    too_strict, too_lenient, misplaced, count = set(), set(), set(), 0
    with tarfile.open(SUITE / "files.tar.gz") as archive:
        for case in json.loads((SUITE / "index.json").read_text()):
            if case["group"] not in {"plain", "supporting"} or not case["file"].endswith(".json"):
                continue
            count += 1
            file = archive.extractfile(case["file"])
            assert file is not None
            issues: tuple[Issue, ...]
            try:
                issues = validator.validate(decode(file.read()))
            except FhirError as refused:
                issues = refused.issues
            ours = {plain(i.expression) for i in issues if i.severity == "error"}
            if case["expect"]["valid"]:
                if ours:
                    too_strict.add(case["name"])
            elif not ours:
                too_lenient.add(case["name"])
            else:
                errors = [i for i in case["expect"]["issues"] if i["severity"] in {"error", "fatal"}]
                theirs = {plain(e or "") for i in errors for e in i["expression"] or [""]}
                if not any(o.startswith(t) or t.startswith(o) for o in ours for t in theirs):
                    misplaced.add(case["name"])
    assert too_strict == set()
    assert misplaced == set()
    assert too_lenient == {name for names in missed.values() for name in names}
    assert count > 100
