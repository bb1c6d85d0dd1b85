"""Values that were found right are not looked at again; what depends on the resource around them always is."""

import copy

import pytest

from fhir_server.definitions import Definitions
from fhir_server.terminology import CodeSets
from fhir_server.validation import Validator
from fhir_server.validation.repetition import Repetitions

OBSERVATION = {
    "resourceType": "Observation",
    "status": "final",
    "category": [{"coding": [{"system": "http://example.org/s", "code": "a"}]}],
    "code": {"coding": [{"system": "http://example.org/s", "code": "b"}]},
    "subject": {"reference": "Patient/1"},
    "valueQuantity": {"value": 62, "unit": "bpm"},
}


@pytest.fixture(scope="module")
def validator():
    definitions = Definitions()
    return Validator(definitions, CodeSets(definitions))


def codes(validator, **changed):
    resource = copy.deepcopy(OBSERVATION) | changed
    return [issue.code for issue in validator.validate(resource) if issue.severity == "error"]


def test_a_wrong_value_is_found_each_time(validator):
    wrong = {"coding": [{"system": "http://example.org/s", "kode": "b"}]}
    assert [codes(validator, code=wrong) for _ in range(3)] == [["structure"]] * 3
    assert codes(validator) == []


def test_a_reference_into_the_resource_is_judged_by_what_it_contains(validator):
    inside = {"reference": "#p"}
    patient = [{"resourceType": "Patient", "id": "p"}]
    assert [codes(validator, subject=inside, contained=patient) for _ in range(2)] == [[], []]
    assert codes(validator, subject=inside) == ["invariant"]


def test_ids_of_elements_are_unique_in_each_resource(validator):
    named = {"id": "x", "text": "one"}
    assert [codes(validator, code=named) for _ in range(2)] == [[], []]
    assert codes(validator, code=named, method={"id": "x", "text": "two"}) == ["value"]


def test_the_number_is_part_of_the_value(validator):
    assert codes(validator, valueQuantity={"value": 1}) == []
    assert codes(validator, valueQuantity={"value": True}) == ["structure"]


class Answers:
    """Terminology whose answers may change."""

    revision = 0


def calls_of(values, answers=None):
    """Return how often the real handler, or its witness, was asked."""
    asked = []

    def handler(value, parent, run):
        asked.append(value)

    repetitions = Repetitions(answers or Answers())
    remembering = repetitions._remembering(handler)
    run = type("Run", (), {"bundle": None})()
    for value in values:
        repetitions.check()
        remembering(value, {}, run)
    return len(asked)


def test_what_comes_again_is_asked_once():
    assert calls_of([{"code": "a"}, {"code": "b"}] * 50) == 2


def test_what_never_comes_again_is_no_longer_remembered():
    assert calls_of([{"code": str(number)} for number in range(9000)]) == 9000


def test_other_answers_of_terminology_make_all_of_it_new():
    answers = Answers()

    def values():
        for _ in range(3):
            yield {"code": "a"}
            answers.revision += 1

    assert calls_of(values(), answers) == 3
