from __future__ import annotations

from decimal import Decimal

import pytest

from fhir_server.datatypes import quantity
from fhir_server.datatypes.quantity import Quantity

UCUM = "http://unitsofmeasure.org"


def of(text):
    number, _, unit = text.partition(" ")
    calendar = unit in quantity.CALENDAR_UNITS
    return Quantity(Decimal(number), quantity.CALENDAR_UNITS.get(unit, unit or "1"), calendar)


@pytest.mark.parametrize(
    ("left", "right", "result"),
    [
        ("1 kg", "1000 g", 0), ("1 kg", "999 g", 1), ("1 kg", "1 m", None), ("1 week", "7 d", 0), ("1 year", "1 a", None),
        ("1 year", "13 months", -1), ("2", "1", 1),
    ],
)  # fmt: skip
def test_comparison(left, right, result):
    assert quantity.compare(of(left), of(right)) == result


@pytest.mark.parametrize(
    ("left", "right", "result"),
    [("4 g", "4040 mg", True), ("4.00 g", "4040 mg", False), ("4 g", "4 m", False), ("1 year", "1 a", True)],
)
def test_equivalence(left, right, result):
    assert quantity.equivalent(of(left), of(right)) is result


def test_arithmetic():
    assert quantity.add(of("1 kg"), of("500 g")) == of("1.5 kg")
    assert quantity.add(of("1 kg"), of("500 g"), negate=True) == of("0.5 kg")
    assert quantity.add(of("1 kg"), of("1 m")) is None
    product = quantity.multiply(of("2 cm"), of("2 m"))
    assert product is not None
    assert quantity.compare(product, of("0.04 m2")) == 0
    assert quantity.multiply(of("1 m"), of("1 cm"), divide=True) == of("100 1")
    assert quantity.multiply(of("1 m"), of("0 s"), divide=True) is None


@pytest.mark.parametrize(
    ("element", "result"),
    [
        ({"value": 1, "system": UCUM, "code": "kg"}, "1 kg"),
        ({"value": Decimal("2.50")}, "2.50 1"),
        ({"value": 1, "unit": "tablet"}, None),
        ({"value": 1, "system": "http://other", "code": "x"}, None),
        ({"value": 1, "comparator": "<", "system": UCUM, "code": "kg"}, None),
        ({"unit": "kg"}, None),
    ],
)
def test_from_json(element, result):
    assert quantity.from_json(element) == (None if result is None else of(result))
