"""The closed table of units: what an app may send, and how it becomes the unit of a measure's profile.

Decimal arithmetic, half-even. A unit that is not in the table is refused, never guessed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import ROUND_HALF_EVEN, Context, Decimal
from typing import Any

from fhir_server.messages import say
from fhir_server.outcome import Issue
from fhir_server.space.names import UCUM

#: Key of the rule in issues.
RULE = "hs-b-unit"
_CONTEXT = Context(prec=40, rounding=ROUND_HALF_EVEN)
_ONE = Decimal(1)


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of quantity: target = (value + shift) * factor, by UCUM code; ``texts`` are units without a code.

    A factor is (multiply by, divide by), so that no table holds a rounded fraction. Results are rounded to
    ``step``. With ``fractions_of_one`` a value above 1 in the unit ``1`` is none of these.
    """

    code: str
    unit: str
    step: Decimal = _ONE
    factors: Mapping[str, tuple[Decimal, Decimal]] = field(default_factory=dict)
    shifts: Mapping[str, Decimal] = field(default_factory=dict)
    texts: Mapping[str, str] = field(default_factory=dict)
    fractions_of_one: bool = False

    @property
    def accepted(self) -> str:
        """The units that may be sent, as a list for people."""
        return ", ".join((self.code, *self.factors, *(f'"{text}" without code' for text in self.texts)))


def _kind(
    code: str,
    unit: str,
    step: str,
    factors: Mapping[str, str],
    *,
    shifts: Mapping[str, str] | None = None,
    texts: Mapping[str, str] | None = None,
    fractions_of_one: bool = False,
) -> Kind:
    """Return a kind; factors are written as ``a`` or ``a/b``."""
    read = {}
    for name, factor in factors.items():
        top, _, bottom = factor.partition("/")
        read[name] = (Decimal(top), Decimal(bottom or 1))
    return Kind(
        code,
        unit,
        Decimal(step),
        read,
        {name: Decimal(shift) for name, shift in (shifts or {}).items()},
        texts or {},
        fractions_of_one,
    )


MASS = _kind("kg", "kg", "0.001", {"g": "0.001", "[lb_av]": "0.45359237", "[stone_av]": "6.35029318"})
LENGTH = _kind("cm", "cm", "0.1", {"m": "100", "mm": "0.1", "[in_i]": "2.54", "[ft_i]": "30.48"})
DISTANCE = _kind("km", "km", "0.001", {"m": "0.001", "[mi_i]": "1.609344", "[yd_i]": "0.0009144"})
TEMPERATURE = _kind(
    "Cel",
    "°C",
    "0.1",
    {"[degF]": "5/9", "K": "1"},
    shifts={"[degF]": "-32", "K": "-273.15"},
    texts={"degC": "Cel", "deg C": "Cel", "°C": "Cel"},
)
PRESSURE = _kind("mm[Hg]", "mmHg", "1", {"kPa": "7.500615758"}, texts={"mmHg": "mm[Hg]"})
RATE = _kind(
    "/min",
    "/min",
    "1",
    {"{beats}/min": "1", "{breaths}/min": "1", "1/min": "1", "/s": "60", "Hz": "60"},
    texts={"bpm": "/min", "count/min": "/min"},
)
SATURATION = _kind("%", "%", "1", {"1": "100"}, fractions_of_one=True)
GLUCOSE = _kind("mg/dL", "mg/dL", "1", {"mmol/L": "18.0156", "g/L": "100"})
STEPS = _kind(
    "1/(24.h)",
    "steps/day",
    "1",
    {"{steps}/d": "1", "/d": "1", "1/d": "1", "{steps}": "1", "{#}/(24.h)": "1"},
)
ENERGY = _kind(
    "kcal/(24.h)",
    "kcal/day",
    "1",
    {"kcal": "1", "kcal/d": "1", "kJ": "1/4.184", "cal": "0.001"},
)
DURATION = _kind("min", "min", "0.1", {"s": "1/60", "h": "60", "ms": "1/60000"})
#: Inside a workout energy is no daily total, and steps are a count.
WORKOUT_ENERGY = _kind("kcal", "kcal", "1", {"kJ": "1/4.184", "cal": "0.001"})
WORKOUT_STEPS = _kind("{steps}", "steps", "1", {})
#: Measures whose unit is never converted.
MILLISECONDS = _kind("ms", "ms", "1", {})
BODY_MASS_INDEX = _kind("kg/m2", "kg/m2", "0.1", {})
SCORE = _kind("1", "Level", "1", {})


def normalised(quantity: Mapping[str, Any], kind: Kind, expression: str) -> dict[str, Any] | Issue:
    """Return a Quantity in the unit of its kind, the same object if it is in that already, or the issue with it.

    A factor of 1 changes the unit's name only: the number stays as it was written.
    """
    value = quantity.get("value")
    if not isinstance(value, int | Decimal) or isinstance(value, bool):
        return Issue(
            "error", "required", "A measure needs a number as its value.", f"{expression}.value", "hs-mea-2"
        )
    code = _code(quantity, kind)
    if code is None:
        return _unknown(quantity, kind, expression)
    if code == kind.code:
        if quantity.get("code") == code:
            return dict(quantity)
        return _in(kind, quantity, value)
    times, over = kind.factors[code]
    shift = kind.shifts.get(code)
    if times == over and shift is None:
        return _in(kind, quantity, value)
    number = Decimal(value)
    if kind.fractions_of_one and not 0 <= number <= 1:
        text = 'A saturation in the unit "1" is a fraction, at most 1; send percent (%) otherwise.'
        return Issue("error", "value", text, f"{expression}.value", RULE)
    if shift is not None:
        number = _CONTEXT.add(number, shift)
    number = _CONTEXT.divide(_CONTEXT.multiply(number, times), over)
    try:
        rounded = number.quantize(kind.step, context=_CONTEXT)
    except ArithmeticError:
        return Issue(
            "error", "value", "The number is too large to be converted.", f"{expression}.value", RULE
        )
    return _in(kind, quantity, abs(rounded) if rounded.is_zero() else rounded)


def _code(quantity: Mapping[str, Any], kind: Kind) -> str | None:
    """Return the UCUM code that a quantity means, None when it is not one of the table."""
    code, system = quantity.get("code"), quantity.get("system")
    if code is None:
        return kind.texts.get(quantity.get("unit", ""))
    if system != UCUM or not isinstance(code, str):
        return None
    return code if code == kind.code or code in kind.factors else None


def _in(kind: Kind, quantity: Mapping[str, Any], value: int | Decimal) -> dict[str, Any]:
    made = {**quantity, "value": value, "unit": kind.unit, "system": UCUM, "code": kind.code}
    made.pop("_value", None)
    return made


def _unknown(quantity: Mapping[str, Any], kind: Kind, expression: str) -> Issue:
    if "code" not in quantity and "unit" not in quantity:
        text = say(
            "A number without unit is not taken, however obvious; the units are {units} (UCUM).",
            units=kind.accepted,
        )
        return Issue("error", "required", text, f"{expression}.code", RULE)
    text = say("This unit is not one of this measure; the units are {units} (UCUM).", units=kind.accepted)
    return Issue("error", "value", text, f"{expression}.code", RULE)
