from __future__ import annotations

from fractions import Fraction

import pytest

from fhir_server.datatypes import ucum
from fhir_server.datatypes.ucum_units import AFFINE, ARBITRARY, BASE, UNITS


@pytest.mark.parametrize("code", [*BASE, *UNITS, *ARBITRARY, *AFFINE])
def test_every_atom_of_the_table_is_a_unit(code):
    assert ucum.unit(code) is not None


@pytest.mark.parametrize(
    "code",
    [
        "mm[Hg]", "kg/m2", "10*3/uL", "{beats}/min", "/min", "mL/min/{1.73_m2}", "umol/L", "m[IU]/L", "mg/dL", "10*-3",
        "meq/L", "%", "1", "/100{WBC}", "g.m-2", "kcal", "(g/d)/kg", "mL/(8.h)", "[lb_av]", "dB",
    ],
)  # fmt: skip
def test_valid_codes(code):
    assert (ucum.unit(code) is not None) is (code != "dB")


@pytest.mark.parametrize(
    "code",
    [
        "",
        "KG",
        "mmHg",
        "kg/",
        "(kg",
        "kg)",
        "kg m",
        "m//s",
        "m..s",
        "m^2",
        "wks",
        "10**",
        "m" * 300,
        "(" * 50 + "m" + ")" * 50,
        "m999",
    ],
)
def test_invalid_codes(code):
    assert ucum.unit(code) is None


@pytest.mark.parametrize(
    ("value", "source", "target", "result"),
    [
        ("1", "kg", "g", "1000"), ("1", "[lb_av]", "kg", "0.45359237"), ("1", "[in_i]", "cm", "2.54"),
        ("37", "Cel", "[degF]", "98.6"), ("0", "Cel", "K", "273.15"), ("120", "mm[Hg]", "kPa", "15.99864"),
        ("1", "L", "mL", "1000"), ("1", "wk", "d", "7"), ("1", "U/L", "nkat/L", "50/3"), ("1", "m/s", "km/h", "3.6"),
        ("1", "kg", "m", None), ("1", "[iU]", "g", None), ("1", "[iU]", "k[iU]", "0.001"), ("1", "nothing", "g", None),
    ],
)  # fmt: skip
def test_conversion(value, source, target, result):
    assert ucum.convert(Fraction(value), source, target) == (None if result is None else Fraction(result))
