"""Which rules apply to an element."""

from __future__ import annotations

import pytest

from fhir_server.definitions import Definitions
from fhir_server.outcome import FhirError
from fhir_server.terminology import CodeSets
from fhir_server.validation import Validator
from fhir_server.validation.explanation import explain


@pytest.fixture(scope="module")
def definitions():
    return Definitions()


CASES = [
    ("Observation.component.value", "Observation.component.value[x]", {"cardinality@Observation.component.value[x]", "type@Observation.component.value[x]", "ele-1"}),
    ("Observation.component[2].value.ofType(Quantity)", "Observation.component.value[x]", {"qty-3"}),
    ("Observation.valueQuantity.unit", "Quantity.unit", {"type@Quantity.unit", "primitive@Quantity.unit"}),
    ("Observation.value.unit", "Quantity.unit", {"type@Quantity.unit"}),
    ("Patient.gender", "Patient.gender", {"binding@Patient.gender", "primitive@Patient.gender"}),
    ("Patient.contact", "Patient.contact", {"pat-1", "ele-1"}),
    ("Patient", "Patient", {"dom-2", "dom-6"}),
    ("Patient.name[0].given[1]", "HumanName.given", {"cardinality@HumanName.given"}),
    ("Observation.component.referenceRange.low", "Observation.referenceRange.low", {"type@Observation.referenceRange.low"}),
    ("Observation.subject.reference", "Reference.reference", {"primitive@Reference.reference"}),
    ("Questionnaire.item.item.item.text", "Questionnaire.item.text", {"type@Questionnaire.item.text"}),
    ("Quantity", "Quantity", {"qty-3"}),
    ("Patient.birthDate.extension", "Element.extension", {"ext-1"}),
]  # fmt: skip


@pytest.mark.parametrize(("path", "definition", "rules"), CASES)
def test_rules(definitions, path, definition, rules):
    found = explain(definitions, path)
    assert found.path == definition
    assert rules <= {rule.id for rule in found.rules}
    assert all(rule.source.startswith("http://hl7.org/fhir/StructureDefinition/") for rule in found.rules)


def test_rules_that_issues_name_are_explained(definitions):
    """What the validator reports about an element is among the rules that are told for it."""
    resource = {
        "resourceType": "Patient", "gender": "m", "birthDate": "x", "contact": [{"gender": "male"}],
        "name": [{"use": "u", "given": [1]}], "link": [{"type": "refer"}],
    }  # fmt: skip
    issues = Validator(definitions, CodeSets(definitions)).validate(resource)
    assert len(issues) == 6
    for issue in issues:
        rules = {rule.id for rule in explain(definitions, issue.expression).rules}
        below = {r.id for child in explain(definitions, issue.expression).children
                 for r in explain(definitions, f"{issue.expression}.{child}").rules}  # fmt: skip
        assert issue.rule in rules | below, issue


def test_text_and_json(definitions):
    found = explain(definitions, "Patient.gender")
    assert "required binding to http://hl7.org/fhir/ValueSet/administrative-gender|4.0.1" in found.as_text()
    assert found.as_json()["path"] == "Patient.gender"
    assert "elements: id, extension, relationship" not in found.as_text()
    assert (
        explain(definitions, "Patient.contact")
        .as_text()
        .splitlines()[-1]
        .startswith("elements: id, extension")
    )
    assert "best practice, not checked" in explain(definitions, "Patient").as_text()


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("Patint", "did you mean Patient?"),
        ("Patient.gendr", "did you mean gender?"),
        ("Patient.gender.x", "no element x"),
        ("Patient..x", "no step"),
        ("", "no type"),
        ("Patient.name.where(use='x')", "no step"),
    ],
)
def test_paths_that_do_not_exist(definitions, path, words):
    with pytest.raises(FhirError) as refused:
        explain(definitions, path)
    assert words in refused.value.issues[0].diagnostics
