from __future__ import annotations

from decimal import Decimal

import pytest

from fhir_server.outcome import FhirError
from fhir_server.search.parameters.prefix import read_number

RANGES = [
    ("100", "99.5", "100.5"),
    ("100.00", "99.995", "100.005"),
    ("5.40e-3", "0.005395", "0.005405"),
    ("1e2", "95", "105"),
    ("1.0e2", "95", "105"),
    ("10e1", "95", "105"),
    ("2", "1.5", "2.5"),
    ("-2", "-2.5", "-1.5"),
    ("0.1", "0.05", "0.15"),
]


@pytest.mark.parametrize(("text", "low", "high"), RANGES)
def test_precision_comes_from_the_digits_written(text, low, high):
    assert read_number(text) == (Decimal(text), Decimal(low), Decimal(high))


@pytest.mark.parametrize("text", ["", "1.", ".5", "1,0", "0x1", "NaN", "Infinity", "1e9999", "\uff11", "1 "])
def test_what_is_not_a_number_is_refused(asked, text):
    assert read_number(text) is None
    if text.strip() and "," not in text:
        with pytest.raises(FhirError, match="is not a number"):
            asked.expression("RiskAssessment", "probability", "gt" + text)


def _risk(*predictions):
    return {"resourceType": "RiskAssessment", "prediction": list(predictions)}


CASES = [
    ({"probabilityDecimal": Decimal("99.5")}, {"100", "ge99.5", "le99.5", "gt99", "ne99", "ap100", "lt100"}),
    ({"probabilityDecimal": Decimal("100.5")}, {"ge99.5", "gt99", "ne99", "ap100", "ne100", "sa100"}),
    (
        {"probabilityRange": {"low": {"value": 90}, "high": {"value": 110}}},
        {"ge99.5", "gt99", "le99.5", "lt100", "ne99", "ne100", "ap100"},
    ),
    ({"probabilityRange": {"low": {"value": 101}}}, {"ge99.5", "gt99", "ne99", "ne100", "sa100", "ap100"}),
]
VALUES = ["100", "ge99.5", "le99.5", "gt99", "lt100", "ne99", "ne100", "sa100", "eb90", "ap100"]


@pytest.mark.parametrize(("prediction", "expected"), CASES, ids=str)
def test_prefix(asked, prediction, expected):
    assert {value for value in VALUES if asked.matches(_risk(prediction), "probability", value)} == expected


def test_entries_are_intervals_where_a_range_is_possible_and_doubles_elsewhere(asked):
    risk = asked.entries(_risk({"probabilityDecimal": Decimal("0.5")}))
    charge = asked.entries({"resourceType": "ChargeItem", "factorOverride": Decimal("0.8")})
    sequence = asked.entries({"resourceType": "MolecularSequence", "variant": [{"start": 5}, {"start": 7}]})

    assert risk.values["probability"] == [{"l": 0.5, "h": 0.5}]
    assert charge.values["factor-override"] == 0.8
    assert sequence.values["variant-start"] == [5.0, 7.0]


def test_several_values_are_not_mixed_up(asked):
    sequence = {"resourceType": "MolecularSequence", "variant": [{"start": 5}, {"start": 9}]}

    assert asked.matches(sequence, "variant-start", "9")
    assert not asked.matches(sequence, "variant-start", "7")
