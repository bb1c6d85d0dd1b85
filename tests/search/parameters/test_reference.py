from __future__ import annotations

import pytest

from fhir_server.outcome import FhirError
from fhir_server.search.combining import Never


def _observation(reference=None, **more):
    subject = {"reference": reference} if reference else {}
    return {"resourceType": "Observation", "subject": {**subject, **more}}


CASES = [
    (_observation("Patient/1"), "subject", {"Patient/1", "1", "http://localhost/fhir/Patient/1", "Patient/1/_history/3", "x,Patient/1"},
     {"Group/1", "Patient/2", "http://elsewhere/Patient/1", "http://localhost/fhirx/Patient/1"}),
    (_observation("Patient/1"), "patient", {"Patient/1", "1"}, {"2"}),
    (_observation("Patient/1"), "subject:Patient", {"1", "Patient/1"}, {"Group/1", "2"}),
    (_observation("Patient/1"), "subject:Group", set(), {"1", "Patient/1"}),
    (_observation("http://localhost/fhir/Patient/1/_history/2"), "patient", {"1", "Patient/1"}, set()),
    (_observation("Group/1"), "subject", {"Group/1", "1"}, {"Patient/1"}),
    (_observation("Group/1"), "patient", set(), {"Group/1", "1", "Patient/1"}),
    (_observation("Group/1"), "patient:missing", {"true"}, {"false"}),
    (_observation("Group/1"), "subject:missing", {"false"}, {"true"}),
    (_observation("Patient/1"), "subject:missing", {"false"}, {"true"}),
    (_observation("Patient/1"), "patient:missing", {"false"}, {"true"}),
    (_observation("http://elsewhere/fhir/Patient/1"), "subject", {"http://elsewhere/fhir/Patient/1"}, {"1", "Patient/1"}),
    (_observation("http://elsewhere/fhir/Patient/1"), "patient", {"http://elsewhere/fhir/Patient/1"}, {"1"}),
    (_observation("#p"), "subject", set(), {"p", "Patient/p"}),
    (_observation("urn:uuid:0c3151bd-1cbf-4d64-b04d-cd9187a4c6e0"), "subject:missing", {"false"}, {"true"}),
    (_observation("urn:uuid:0c3151bd-1cbf-4d64-b04d-cd9187a4c6e0"), "subject", {"urn:uuid:0c3151bd-1cbf-4d64-b04d-cd9187a4c6e0"}, {"urn:uuid:1"}),
    (_observation(identifier={"system": "http://a", "value": "X"}), "subject:identifier", {"X", "http://a|X", "http://a|"}, {"x", "http://b|X", "|X"}),
    (_observation(identifier={"system": "http://a", "value": "X"}), "subject:missing", {"false"}, {"true"}),
    ({"resourceType": "Patient", "generalPractitioner": [{"reference": "Practitioner/1"}, {"reference": "Organization/2"}]}, "general-practitioner",
     {"Practitioner/1", "Organization/2", "1", "2"}, {"Practitioner/2"}),
    ({"resourceType": "QuestionnaireResponse", "questionnaire": "http://q/a|1.2"}, "questionnaire", {"http://q/a", "http://q/a|1.2"}, {"http://q/a|1", "http://q"}),
    ({"resourceType": "QuestionnaireResponse", "questionnaire": "http://q/a|1.2"}, "questionnaire:below", {"http://q/a|1", "http://q/a|1.2", "http://q"}, {"http://q/a|1.2.3", "http://q/a|2"}),
    ({"resourceType": "Appointment", "participant": [{"actor": {"reference": "Patient/1"}}, {"actor": {"reference": "Patient/2"}}]}, "patient", {"1", "2", "Patient/2"}, {"3"}),
    ({"resourceType": "Bundle", "type": "document", "entry": [{"resource": {"resourceType": "Composition", "id": "c"}}]}, "composition", {"c", "Composition/c"}, {"d"}),
]  # fmt: skip


@pytest.mark.parametrize(("resource", "name", "found", "other"), CASES, ids=lambda v: str(v)[:70])
def test_matches(asked, resource, name, found, other):
    assert {value for value in found | other if asked.matches(resource, name, value)} == found


def test_a_reference_to_the_home_patient_is_stored_once(asked):
    entries = asked.entries(_observation("Patient/1"))

    assert entries.patient == "1"
    assert "subject" not in entries.values
    assert "patient" not in entries.values


def test_a_type_that_the_parameter_can_not_have_matches_nothing(asked):
    assert asked.expression("Observation", "subject", "Practitioner/1") == Never()


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("subject:Practitioner", "1", "can't refer to Practitioner"),
        ("subject:Nonsense", "1", "modifier ':Nonsense' is not supported"),
        ("encounter:below", "a/1", "not a reference"),
        ("subject", "Nonsense/1", "is not a reference"),
        ("subject", "a/b/c", "is not a reference"),
    ],
)
def test_refused(asked, name, value, message):
    with pytest.raises(FhirError, match=message):
        asked.expression("Observation", name, value)
