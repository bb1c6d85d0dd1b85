from __future__ import annotations

from decimal import Decimal

import pytest

from fhir_server.outcome import FhirError

UCUM = "http://unitsofmeasure.org"


def _quantity(value, code="", system=UCUM, **more):
    quantity = {"value": Decimal(value), **more}
    if code:
        quantity |= {"code": code, "system": system}
    return {"resourceType": "Observation", "valueQuantity": quantity}


CASES = [
    (_quantity("5", "mg"), {"5", f"5|{UCUM}|mg", f"0.005|{UCUM}|g", f"5000|{UCUM}|ug", "5||mg", f"gt4|{UCUM}|mg", f"5|{UCUM}", "5.0", "ap5.4"},
     {"6", f"5|{UCUM}|g", "5||g", f"5|{UCUM}|mL", "5|http://x|mg", f"gt5|{UCUM}|mg", "5|http://x"}),
    (_quantity("5.4", "mg"), {"5.4", "5.40", "5", f"5|{UCUM}|mg", f"0.0054|{UCUM}|g"}, {"5.41", f"0.0055|{UCUM}|g"}),
    (_quantity("6", "mmol/L"), {f"gt5|{UCUM}|mmol/L", f"6|{UCUM}|mol/m3", f"6000|{UCUM}|umol/L", f"lt0.007|{UCUM}|mol/L"}, {f"gt6|{UCUM}|mol/m3"}),
    (_quantity("37.5", "Cel"), {f"99.5|{UCUM}|[degF]", f"37.5|{UCUM}|Cel", f"gt99|{UCUM}|[degF]", f"ap37|{UCUM}|Cel"}, {f"97.8|{UCUM}|[degF]", f"ap30|{UCUM}|Cel"}),
    (_quantity("2", unit="tablets"), {"2", "2||tablets", "le2||tablets"}, {f"2|{UCUM}|tablets", "2||tablet"}),
    (_quantity("2", "TAB", "http://x"), {"2|http://x|TAB", "2||TAB", "2|http://x"}, {f"2|{UCUM}|TAB", "2|http://y|TAB"}),
    (_quantity("5", "nonsense"), {f"5|{UCUM}|nonsense", "5||nonsense"}, {f"5|{UCUM}|mg"}),
    (_quantity("5", "mg", comparator="<"), {"lt5", "lt1", "le5", f"lt1|{UCUM}|g", "eb6", "ne5", f"lt5|{UCUM}|mg"}, {"5", "gt5", "ge6", f"gt1|{UCUM}|g"}),
    (_quantity("5", "mg", comparator=">="), {"gt5", "gt100", "ge5", "sa4"}, {"5", "lt5", "eb6"}),
    ({"resourceType": "Observation", "valueSampledData": {"origin": {"value": 10, "system": UCUM, "code": "mV"}, "factor": Decimal("0.5"), "dimensions": 1,
      "period": 1, "data": "2 E 4 -2"}}, {"ge12", "le9", f"gt0.0115|{UCUM}|V"}, {"gt12", "lt9", "12"}),
    ({"resourceType": "Observation"}, set(), {"5", "ne5"}),
]  # fmt: skip


@pytest.mark.parametrize(("resource", "found", "other"), CASES, ids=lambda v: str(v)[:90])
def test_matches(asked, resource, found, other):
    assert {value for value in found | other if asked.matches(resource, "value-quantity", value)} == found


def test_money(asked):
    invoice = {"resourceType": "Invoice", "totalGross": {"value": Decimal(48), "currency": "EUR"}}

    assert asked.matches(invoice, "totalgross", "48|urn:iso:std:iso:4217|EUR")
    assert asked.matches(invoice, "totalgross", "gt40||EUR")
    assert not asked.matches(invoice, "totalgross", "48|urn:iso:std:iso:4217|USD")


def test_range(asked):
    condition = {"resourceType": "Condition", "onsetRange": {"low": {"value": 30, "system": UCUM, "code": "a"}, "high": {"value": 40, "system": UCUM, "code": "a"}}}  # fmt: skip

    for value, expected in {
        "gt35": True,
        "lt35": True,
        "35": False,
        "gt40": False,
        f"ge480|{UCUM}|mo": True,
    }.items():
        assert asked.matches(condition, "onset-age", value) == expected, value


def test_entry(asked):
    entries = asked.entries(_quantity("120", "mm[Hg]", unit="mmHg"))

    assert entries.values["value-quantity"] == {
        "u": "g.m-1.s-2", "v": 15998640.0, "r": 120.0, "c": "mm[Hg]", "s": "zvrEKUAT", "n": "mmHg",
    }  # fmt: skip


def test_bounds_of_different_components_are_not_mixed_up(asked):
    resource = {
        "resourceType": "Observation",
        "component": [_quantity("107", "mm[Hg]"), _quantity("60", "mm[Hg]")],
    }

    assert asked.matches(resource, "component-value-quantity", f"60|{UCUM}|mm[Hg]")
    assert not asked.matches(resource, "component-value-quantity", f"80|{UCUM}|mm[Hg]")
    assert asked.matches(resource, "combo-value-quantity", "107")


@pytest.mark.parametrize("value", ["x", "5|a|b|c", "gt", "|a|b", "1..2|a|b"])
def test_refused(asked, value):
    with pytest.raises(FhirError, match="is not a quantity"):
        asked.expression("Observation", "value-quantity", value)


def test_missing_counts_ranges_as_values(asked):
    assert asked.matches(_quantity("5", "mg", comparator="<"), "value-quantity:missing", "false")
    assert asked.matches({"resourceType": "Observation"}, "value-quantity:missing", "true")


@pytest.mark.parametrize(
    "number", ["1e999", "-1e999", "1e-999", "1e999999999", "-1e999999999", "1e-999999999", "9" * 400]
)
def test_numbers_beyond_doubles(asked, number):
    resource = _quantity(number if "e" in number else "1e399", "mg")
    entry = asked.entries(resource).values["value-quantity"]

    assert entry["v"] in {float("inf"), float("-inf"), 0.0}
    if len(number) < 10:
        for unit in ("", f"|{UCUM}|mg", f"|{UCUM}|kg"):
            assert isinstance(asked.matches(resource, "value-quantity", f"ge{number}{unit}"), bool)


@pytest.mark.parametrize("data", ["NaN 1", "x", "1e999999 1e999999", ""])
def test_series_that_are_no_numbers_leave_no_entry_or_only_numbers(asked, data):
    sampled = {"origin": {"value": 1}, "factor": 10, "data": data}
    entries = asked.entries({"resourceType": "Observation", "valueSampledData": sampled}).values

    assert entries.get("value-quantity-range", {"l": 11.0})["l"] == 11.0
