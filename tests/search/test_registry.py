from __future__ import annotations

import pytest

from fhir_server.search.paths import Step, branches


@pytest.mark.parametrize(
    ("type_", "name", "facts"),
    [
        ("Observation", "date", ("date", False, {"dateTime", "Period", "Timing", "instant"})),
        ("Observation", "component-value-quantity", ("quantity", True, {"Quantity", "SampledData"})),
        ("Observation", "identifier", ("token", True, {"Identifier"})),
        ("Encounter", "location-period", ("date", True, {"Period"})),
        ("Patient", "birthdate", ("date", False, {"date"})),
        ("Patient", "deceased", ("token", True, set())),
        ("RiskAssessment", "probability", ("number", True, {"decimal", "Range"})),
        ("Patient", "_tag", ("token", True, {"Coding"})),
    ],
)
def test_static_facts(registry, type_, name, facts):
    parameter = registry.parameters(type_).by_name[name]

    assert (parameter.type, parameter.repeats, set(parameter.types)) == facts


@pytest.mark.parametrize(
    ("type_", "names"),
    [
        ("Observation", {"subject", "patient"}),
        ("Coverage", {"patient", "beneficiary"}),
        ("ResearchSubject", {"patient", "individual"}),
        ("AppointmentResponse", {"patient", "actor"}),
        ("Appointment", set()),
        ("Provenance", set()),
        ("Patient", set()),
    ],
)
def test_parameters_that_name_the_home_patient(registry, type_, names):
    assert {p.name for p in registry.parameters(type_).by_name.values() if p.at_home} == names


def test_targets_come_from_the_element_and_its_cast(registry):
    known = registry.parameters("Observation").by_name

    assert known["patient"].targets == ("Patient",)
    assert known["subject"].targets == ("Device", "Group", "Location", "Patient")
    assert "Observation" in known["focus"].targets
    assert len(known["focus"].targets) > 100


def test_a_types_own_parameters_win_over_examples(registry):
    assert registry.parameters("Condition").by_name["subject"].targets == ("Group", "Patient")
    assert registry.parameters("Patient").by_name["_id"].url.endswith("/Resource-id")


def test_base_parameters_apply_to_all(registry):
    for type_ in ("Patient", "Bundle", "Binary", "Parameters"):
        assert {"_id", "_lastUpdated", "_tag", "_profile"} <= set(registry.parameters(type_).names)
    assert "_text" in registry.parameters("Patient").by_name
    assert "_text" not in registry.parameters("Bundle").by_name


def test_every_type_has_parameters_and_knows_what_it_can_not_search_yet(registry):
    kinds = set()
    for type_ in registry.types.resource_types:
        known = registry.parameters(type_)
        assert "_id" in known.names
        kinds |= {p.type for p in known.by_name.values() if not p.searchable}
    assert kinds == {"string", "token"}


def test_systems_of_bound_codes(registry):
    assert registry.bound_systems("Observation.status") == {"": "http://hl7.org/fhir/observation-status"}
    assert registry.bound_systems("Patient.name") == {}
    assert registry.is_case_sensitive("http://hl7.org/fhir/observation-status")
    assert registry.is_case_sensitive("http://unitsofmeasure.org")
    assert not registry.is_case_sensitive("http://loinc.org")
    assert not registry.is_case_sensitive("")


PATHS = [
    ("Observation", "Observation.status", [(("status",), "code")]),
    ("Observation", "(Observation.value as Quantity)", [(("valueQuantity",), "Quantity")]),
    ("Observation", "Observation.value.as(string)", [(("valueString",), "string")]),
    ("Observation", "Observation.value.ofType(string)", [(("valueString",), "string")]),
    (
        "Observation",
        "(Observation.value as CodeableConcept).text",
        [(("valueCodeableConcept", "text"), "string")],
    ),
    ("Observation", "Patient.name | Observation.status", [(("status",), "code")]),
    ("Observation", "Resource.meta.tag", [(("meta", "tag"), "Coding")]),
    ("InsurancePlan", "name | alias", [(("name",), "string"), (("alias",), "string")]),
    ("Patient", "Observation.status", []),
]


@pytest.mark.parametrize(("type_", "expression", "found"), PATHS)
def test_paths(definitions, type_, expression, found):
    read = branches(expression, type_, definitions.types)

    assert read is not None
    assert [(branch.keys, branch.type) for branch in read] == found


@pytest.mark.parametrize(
    "expression",
    [
        "Patient.deceased.exists() and Patient.deceased != false",
        "Bundle.entry[0].resource",
        "Patient.name.first()",
    ],
)
def test_more_than_a_path_is_left_to_fhirpath(definitions, expression):
    assert branches(expression, expression.partition(".")[0], definitions.types) is None


def test_where_keeps_only_what_it_names(definitions):
    [email] = branches("Patient.telecom.where(system='email')", "Patient", definitions.types)
    [subject] = branches("Observation.subject.where(resolve() is Patient)", "Observation", definitions.types)

    assert email.steps == (Step("telecom", True, ("system", "email")),)
    assert (subject.resolves, subject.targets) == ("Patient", ("Patient",))
