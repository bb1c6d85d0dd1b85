"""The official definitions, as the engines read them."""

from __future__ import annotations

import pytest

from fhir_server.definitions import Definitions


@pytest.fixture(scope="module")
def definitions():
    return Definitions()


def test_all_of_r4_is_there(definitions):
    assert definitions.package == "hl7.fhir.r4.core#4.0.1"
    assert len(definitions.types.resource_types) == 146
    assert len(definitions.search_parameters()) == 1400
    assert {c["code"] for c in definitions.compartments()} == {
        "Patient",
        "Encounter",
        "Practitioner",
        "Device",
        "RelatedPerson",
    }
    assert "Patient-everything" in {o["id"] for o in definitions.operations()}


def test_urls_may_carry_a_version_and_types_may_go_by_name(definitions):
    by_url = definitions.structure("http://hl7.org/fhir/StructureDefinition/Patient|4.0.1")
    assert by_url == definitions.structure("Patient")
    assert by_url["type"] == "Patient"
    assert definitions.value_set("http://hl7.org/fhir/ValueSet/administrative-gender|4.0.1")["compose"]
    assert (
        definitions.code_system("http://hl7.org/fhir/administrative-gender")["concept"][0]["code"] == "male"
    )
    assert definitions.structure("Nothing") is None


ELEMENTS = [
    ("Patient", "name", (("HumanName",), 0, True, ())),
    ("Patient", "contact", (("Patient.contact",), 0, True, ())),
    ("Observation", "status", (("code",), 1, False, ())),
    ("Observation", "device", (("Reference",), 0, False, ("Device", "DeviceMetric"))),
    ("Questionnaire.item", "item", (("Questionnaire.item",), 0, True, ())),
    ("Extension", "url", (("uri",), 1, False, ())),
    ("string", "value", (("string",), 0, False, ())),
]


@pytest.mark.parametrize(("type_", "name", "expected"), ELEMENTS)
def test_elements(definitions, type_, name, expected):
    element = definitions.types.type(type_).elements[name]
    assert (element.types, element.minimum, element.is_list, element.targets) == expected


def test_choices_and_their_json_names(definitions):
    observation = definitions.types.type("Observation")
    assert observation.elements["value"].is_choice
    element, type_ = observation.json_elements["valueQuantity"]
    assert (element.name, type_) == ("value", "Quantity")
    assert "value" not in observation.json_elements


def test_kinship(definitions):
    types = definitions.types
    assert types.is_subtype("Age", "Quantity")
    assert types.is_subtype("Patient", "Resource")
    assert not types.is_subtype("Quantity", "Age")
    assert types.type("Nothing") is None
