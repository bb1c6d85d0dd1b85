"""The closed table of units: vectors of the specification, and what is not in it."""

from decimal import Decimal

import pytest

from fhir_server.outcome import Issue
from fhir_server.space import units
from fhir_server.space.units import normalised

UCUM = "http://unitsofmeasure.org"
VECTORS = [
    (units.MASS, "165", "[lb_av]", "74.843"),
    (units.MASS, "10", "[stone_av]", "63.503"),
    (units.MASS, "72500", "g", "72.500"),
    (units.LENGTH, "70", "[in_i]", "177.8"),
    (units.LENGTH, "1.78", "m", "178.0"),
    (units.TEMPERATURE, "98.6", "[degF]", "37.0"),
    (units.TEMPERATURE, "310.15", "K", "37.0"),
    (units.PRESSURE, "17.1", "kPa", "128"),
    (units.PRESSURE, "10.5", "kPa", "79"),
    (units.GLUCOSE, "5.6", "mmol/L", "101"),
    (units.ENERGY, "2176", "kJ", "520"),
    (units.DISTANCE, "3.1", "[mi_i]", "4.989"),
    (units.RATE, "1.2", "Hz", "72"),
    (units.SATURATION, "0.97", "1", "97"),
    (units.DURATION, "90", "s", "1.5"),
    (units.DURATION, "3", "s", "0.0"),  # half-even
    (units.DURATION, "9", "s", "0.2"),
    (units.TEMPERATURE, "32", "[degF]", "0.0"),
]


@pytest.mark.parametrize(("kind", "value", "code", "wanted"), VECTORS)
def test_vectors(kind, value, code, wanted):
    made = normalised({"value": Decimal(value), "system": UCUM, "code": code}, kind, "x")
    assert (str(made["value"]), made["code"], made["system"]) == (wanted, kind.code, UCUM)


@pytest.mark.parametrize(
    ("kind", "text"),
    [(units.TEMPERATURE, "deg C"), (units.TEMPERATURE, "°C"), (units.PRESSURE, "mmHg"), (units.RATE, "bpm")],
)
def test_texts_without_code_keep_the_number(kind, text):
    made = normalised({"value": Decimal("37.25"), "unit": text}, kind, "x")
    assert (str(made["value"]), made["code"]) == ("37.25", kind.code)


@pytest.mark.parametrize(
    ("quantity", "code"),
    [
        ({"value": 1}, "required"),
        ({"value": 1, "unit": "kg"}, "value"),
        ({"value": 1, "code": "kg"}, "value"),
        ({"value": 1, "system": "http://other", "code": "kg"}, "value"),
        ({"value": 1, "system": UCUM, "code": "t"}, "value"),
        ({"value": "1", "system": UCUM, "code": "kg"}, "required"),
        ({"system": UCUM, "code": "kg"}, "required"),
        ({"value": Decimal("1E+60"), "system": UCUM, "code": "g"}, "value"),
    ],
)
def test_never_a_guess(quantity, code):
    made = normalised(quantity, units.MASS, "x")
    assert isinstance(made, Issue)
    assert made.code == code


def test_a_saturation_above_one_in_ones_is_none():
    made = normalised({"value": 97, "system": UCUM, "code": "1"}, units.SATURATION, "x")
    assert isinstance(made, Issue)


def test_what_has_the_unit_of_the_profile_stays_as_it_is():
    sent = {"value": Decimal("72.50123"), "unit": "kilo", "system": UCUM, "code": "kg"}
    assert normalised(sent, units.MASS, "x") == sent
