"""The official R4 examples are valid, but for those whose defect is written down."""

from __future__ import annotations

import json
import os
import tarfile
from pathlib import Path

import pytest

from fhir_server.datatypes.json_format import decode, encode
from fhir_server.definitions import Definitions
from fhir_server.terminology import CodeSets
from fhir_server.validation import Validator

SUITE = (
    Path(os.environ.get("FHIR_SUITES", Path(__file__).parents[3] / "shared" / "suites"))
    / "r4-examples"
    / "json.tar.gz"
)
pytestmark = pytest.mark.skipif(not SUITE.exists(), reason="the public suites aren't there: set FHIR_SUITES")


def test_examples() -> None:
    known = json.loads(Path(__file__).with_name("official_defects.json").read_text())
    definitions = Definitions()
    validator = Validator(definitions, CodeSets(definitions), as_warnings=frozenset({"txt-2"}))
    rejected: dict[str, set[str]] = {}
    count = 0
    with tarfile.open(SUITE) as archive:
        for member in archive:
            file = archive.extractfile(member)
            if file is None:
                continue
            count += 1
            body = file.read()
            resource = decode(body)
            as_text = json.loads(body, parse_float=str, parse_int=str)
            assert json.loads(encode(resource), parse_float=str, parse_int=str) == as_text, member.name
            errors = {i.rule for i in validator.validate(resource, lenient=True) if i.severity == "error"}
            if errors:
                rejected[Path(member.name).name] = errors
    assert rejected == {name: set(rules) for name, rules in known.items()}
    assert count > 800
    assert len(rejected) < 0.01 * count
