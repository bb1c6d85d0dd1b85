"""subsumes() and subsumedBy() in expressions: https://hl7.org/fhir/R4/fhirpath.html#functions."""

import pytest

from fhir_server.definitions import Definitions
from fhir_server.fhirpath import compile_expression
from fhir_server.terminology import CodeSets
from fhir_server.validation import Validator

ACT = "http://terminology.hl7.org/CodeSystem/v3-ActCode"
DEFINITIONS = Definitions()
VALIDATOR = Validator(DEFINITIONS, CodeSets(DEFINITIONS))
ENCOUNTER = {
    "resourceType": "Encounter",
    "status": "planned",
    "class": {"system": ACT, "code": "ACUTE"},
    "type": [{"coding": [{"system": ACT, "code": "IMP"}]}],
}


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("Encounter.class.subsumedBy(Encounter.type)", [True]),
        ("Encounter.class.subsumes(Encounter.type)", [False]),
        ("Encounter.type.subsumes(Encounter.class)", [True]),
        ("Encounter.type.subsumes(Encounter.type)", [True]),
    ],
)
def test_code_systems_are_asked(expression, expected):
    compiled = compile_expression(expression, DEFINITIONS.types)
    assert compiled.evaluate(ENCOUNTER, VALIDATOR.environment(ENCOUNTER)) == expected
