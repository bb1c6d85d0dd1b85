from __future__ import annotations

import pytest

from fhir_server.outcome import FhirError
from fhir_server.search import Pager, in_compartment

OBSERVED = {"resourceType": "Observation", "status": "final", "code": {"text": "x"}}


@pytest.fixture
def filled(engine):
    engine.put(
        {
            **OBSERVED,
            "id": "own",
            "subject": {"reference": "Patient/1"},
            "performer": [{"reference": "Practitioner/d"}],
        },
        {
            **OBSERVED,
            "id": "done",
            "subject": {"reference": "Patient/2"},
            "performer": [{"reference": "Patient/1"}],
        },
        {
            **OBSERVED,
            "id": "other",
            "subject": {"reference": "Patient/2"},
            "encounter": {"reference": "Encounter/e"},
        },
        {**OBSERVED, "id": "focus", "focus": [{"reference": "Patient/1"}]},
        {"resourceType": "Patient", "id": "1"},
        {
            "resourceType": "Patient",
            "id": "2",
            "link": [{"other": {"reference": "Patient/1"}, "type": "seealso"}],
        },
        {"resourceType": "Encounter", "id": "e", "status": "planned", "class": {"code": "AMB"}},
        {"resourceType": "Encounter", "id": "f", "status": "planned", "class": {"code": "AMB"}},
        {"resourceType": "Device", "id": "pump"},
        {"resourceType": "Device", "id": "clock"},
        {**OBSERVED, "id": "measured", "device": {"reference": "Device/pump"}},
        {**OBSERVED, "id": "told", "performer": [{"reference": "RelatedPerson/mum"}]},
        {"resourceType": "RelatedPerson", "id": "mum", "patient": {"reference": "Patient/2"}},
        {"resourceType": "RelatedPerson", "id": "dad", "patient": {"reference": "Patient/2"}},
        {"resourceType": "Condition", "id": "c", "subject": {"reference": "Patient/1"}},
    )
    return engine


def _ids(engine, compartment, id_, type_, *pairs):
    query = in_compartment(engine.parse(type_, list(pairs)), compartment, id_, engine.registry)
    return {row.id for page in engine.pages(query) for row in page.rows}


@pytest.mark.parametrize(
    ("compartment", "type_", "pairs", "found"),
    [
        ("Patient/1", "Observation", [], {"own", "done"}),
        ("Patient/2", "Observation", [], {"done", "other"}),
        ("Patient/1", "Observation", [("patient", "2")], {"done"}),
        ("Patient/1", "Patient", [], {"1", "2"}),
        ("Patient/1", "Condition", [], {"c"}),
        ("Patient/3", "Condition", [], set()),
        ("Encounter/e", "Observation", [], {"other"}),
        ("Practitioner/d", "Observation", [("status", "final")], {"own"}),
        ("Practitioner/d", "Observation", [("status", "amended")], set()),
        ("Encounter/e", "Encounter", [], {"e"}),
        ("Device/pump", "Observation", [], {"measured"}),
        ("RelatedPerson/mum", "Observation", [], {"told"}),
        ("RelatedPerson/mum", "RelatedPerson", [], {"mum"}),
    ],
)
def test_members(filled, compartment, type_, pairs, found):
    assert _ids(filled, *compartment.split("/"), type_, *pairs) == found


@pytest.mark.parametrize(("compartment", "type_"), [("Patient", "Organization"), ("Organization", "Patient")])
def test_types_outside_the_definition_are_not_found(engine, compartment, type_):
    with pytest.raises(FhirError, match="not part of the") as caught:
        in_compartment(engine.parse(type_, []), compartment, "1", engine.registry)
    assert caught.value.status == 404


def test_a_compartment_with_one_parameter_needs_no_disjunction(engine):
    query = in_compartment(engine.parse("Encounter", []), "Patient", "1", engine.registry)
    plan = Pager(query, engine.registry).plan()

    assert plan is not None
    assert plan.filter == {"p": "1"}
    assert plan.hint == "p_s"
