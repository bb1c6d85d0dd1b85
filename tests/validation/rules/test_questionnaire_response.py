"""Answers against their Questionnaire: https://hl7.org/fhir/R4/questionnaireresponse.html."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from fhir_server.datatypes.json_format import decode
from fhir_server.definitions import Definitions
from fhir_server.terminology import CodeSets
from fhir_server.validation import Validator

CASES = json.loads(Path(__file__).with_name("questionnaire_response.json").read_text())
DEFINITIONS = Definitions()
VALIDATOR = Validator(DEFINITIONS, CodeSets(DEFINITIONS))


@pytest.mark.parametrize("case", CASES, ids=[case["name"] for case in CASES])
def test_answers(case: dict[str, Any]) -> None:
    questionnaire = {
        "resourceType": "Questionnaire", "id": "q", "status": "active", "item": case["questions"],
        **case.get("questionnaire", {}),
    }  # fmt: skip
    response = {
        "resourceType": "QuestionnaireResponse", "questionnaire": "#q", "status": case.get("status", "completed"),
        "contained": [questionnaire, *case.get("contained", [])], "item": case["items"],
    }  # fmt: skip
    issues = VALIDATOR.validate(decode(json.dumps(response).encode()))
    assert [i.expression for i in issues if i.severity == "error"] == case["errors"]
