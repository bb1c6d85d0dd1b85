"""What a chain or a ``_has`` asks, and what becomes of the answer."""

from __future__ import annotations

import pytest

from fhir_server.search import decode_pairs, parse
from fhir_server.search.combining import Never
from fhir_server.search.expression import Equal
from fhir_server.search.linked import Answer, Linked, narrowed
from fhir_server.search.lookups import closed, questions


def _expression(registry, type_, text):
    return parse(decode_pairs(text), type_, registry, base="http://localhost/fhir", now=0).expression


ASKED = [
    ("Observation", "subject:Patient.name=peter", [("Patient", "_id")]),
    ("Observation", "subject.name=peter", [("Location", "_id"), ("Patient", "_id")]),
    ("Observation", "patient.name=a&patient.gender=male", [("Patient", "_id"), ("Patient", "_id")]),
    ("DiagnosticReport", "result.subject:Patient.organization.address-city=x", [("Observation", "_id")]),
    ("Patient", "_has:Observation:patient:code=x", [("Observation", "p")]),
    ("Group", "_has:Observation:subject:code=x", [("Observation", "i.subject")]),
    ("Encounter", "_has:Observation:encounter:code=x", [("Observation", "i.encounter")]),
    ("PlanDefinition", "_has:CarePlan:instantiates-canonical:status=active", [("CarePlan", "i.instantiates-canonical")]),
    ("QuestionnaireResponse", "questionnaire.name=x", [("Questionnaire", "url,version")]),
]  # fmt: skip


@pytest.mark.parametrize(("type_", "text", "asked"), ASKED, ids=[row[1] for row in ASKED])
def test_what_is_asked(registry, type_, text, asked):
    found = questions(_expression(registry, type_, text))

    assert sorted((question.type, question.field) for question in found) == asked


def test_a_home_patient_is_found_in_p_and_others_in_the_field(registry):
    expression = _expression(registry, "Observation", "subject.name=x")
    patient, location = sorted(questions(expression), key=lambda question: question.type, reverse=True)

    found = closed(expression, {patient: Answer(("1", "2")), location: Answer(("3",))})

    assert set(found.operands) == {Equal("p", ("1", "2")), Equal("i.subject", ("Location/3",))}
    assert closed(expression, {patient: Answer(), location: Answer()}) == Never()
    inside = closed(expression, {patient: Answer((), ("o1",)), location: Answer()})
    assert inside == Equal("_id", ("o1",))


def test_only_references_to_the_outer_type_count(registry):
    expression = _expression(registry, "Group", "_has:Observation:subject:code=x")
    [question] = questions(expression)

    assert closed(expression, {question: Answer(("Group/1", "Device/1", "http://x/Group/2"))}) == Equal(
        "_id", ("1",)
    )


def test_versions_of_canonicals_are_kept_apart(registry):
    expression = _expression(registry, "QuestionnaireResponse", "questionnaire.name=x")
    [question] = questions(expression)
    found = closed(expression, {question: Answer((("http://q", "1"),))})

    def holds(*entries):
        return found.matches({"_id": "x", "i": {"questionnaire": list(entries)}})

    assert holds("http://q")
    assert holds("http://q", "http://q|1")
    assert not holds("http://q", "http://q|2")
    assert not holds("http://other")


def test_a_has_is_asked_only_about_the_ids_that_count(registry):
    whole = _expression(registry, "Patient", "_id=a,b&_has:Observation:patient:code=x")
    [question] = questions(narrowed(whole))

    assert isinstance(question, Linked)
    assert Equal("p", ("a", "b")) in question.expression.operands


def test_what_never_matches_inside_never_matches(registry):
    text = "patient.organization:Organization=Patient/1"
    assert _expression(registry, "Observation", text) == Never()
