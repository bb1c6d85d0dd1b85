"""Quantities with UCUM units or calendar durations: equality, order, arithmetic.

https://hl7.org/fhirpath/N1/#quantity, https://hl7.org/fhir/R4/datatypes.html#Quantity
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal, localcontext
from fractions import Fraction
from typing import Any

from fhir_server.datatypes import ucum

#: Words for calendar durations and the unit each means.
CALENDAR_UNITS = {
    word + plural: word
    for word in ("year", "month", "week", "day", "hour", "minute", "second", "millisecond")
    for plural in ("", "s")
}
#: Calendar durations up to the week equal their UCUM unit; years and months are only equivalent to theirs.
UCUM_OF_CALENDAR = {
    "year": "a",
    "month": "mo",
    "week": "wk",
    "day": "d",
    "hour": "h",
    "minute": "min",
    "second": "s",
    "millisecond": "ms",
}
CALENDAR_OF_UCUM = {code: word for word, code in UCUM_OF_CALENDAR.items()}


#: Largest power of ten, up or down, of numbers that are computed with; 1e999999999 is legal JSON.
MAX_POWER = 400


def in_range(value: Decimal) -> bool:
    """Tell whether a decimal can be computed with: finite, and its digits within MAX_POWER of the point."""
    return (
        value.is_finite() and int(value.as_tuple().exponent) >= -MAX_POWER and value.adjusted() <= MAX_POWER
    )


@dataclass(frozen=True, slots=True)
class Quantity:
    """A number with a unit: a UCUM code, or a calendar duration (``calendar``; unit in the singular)."""

    value: Decimal
    unit: str = "1"
    calendar: bool = False

    def __str__(self) -> str:
        if self.calendar:
            return f"{self.value:f} {self.unit}{'' if self.value == 1 else 's'}"
        return f"{self.value:f} '{self.unit}'"

    @property
    def code(self) -> str:
        """Return the UCUM code, also of a calendar duration."""
        return UCUM_OF_CALENDAR[self.unit] if self.calendar else self.unit


def is_inexact_calendar(quantity: Quantity) -> bool:
    """Tell whether the quantity is a calendar duration without definite length (years, months)."""
    return quantity.calendar and quantity.unit in {"year", "month"}


def compare(left: Quantity, right: Quantity) -> int | None:
    """Return -1, 0 or 1, or None when the units can't be converted into each other."""
    if left.unit == right.unit and left.calendar == right.calendar:
        return (left.value > right.value) - (left.value < right.value)
    if is_inexact_calendar(left) != is_inexact_calendar(right):
        return None
    converted = ucum.convert(Fraction(left.value), left.code, right.code)
    if converted is None:
        return None
    other = Fraction(right.value)
    return (converted > other) - (converted < other)


def equivalent(left: Quantity, right: Quantity) -> bool:
    """Tell whether both are the same when rounded to the less precise one, after conversion."""
    first, second = Fraction(left.value), Fraction(right.value)
    if left.code != right.code:
        one, other = ucum.unit(left.code), ucum.unit(right.code)
        if one is None or other is None or one.dimensions != other.dimensions:
            return False
        first, second = (first + one.shift) * one.factor, (second + other.shift) * other.factor
    digits = min(significant_digits(left.value), significant_digits(right.value))
    return abs(first - second) * 2 <= _last_place(max(abs(first), abs(second)), digits)


def significant_digits(value: Decimal) -> int:
    """Return how many digits of a decimal carry meaning: trailing zeros after the point do."""
    digits = value.as_tuple().digits
    if int(value.as_tuple().exponent) >= 0:
        return len(str(abs(int(value))).rstrip("0")) or 1
    return len(digits)


def _last_place(value: Fraction, digits: int) -> Fraction:
    power = 0
    while value >= Fraction(10) ** (power + 1):
        power += 1
    while value and value < Fraction(10) ** power:
        power -= 1
    return Fraction(10) ** (power - digits + 1)


def multiply(left: Quantity, right: Quantity, *, divide: bool = False) -> Quantity | None:
    """Return the product or quotient with its unit, or None for unknown units and division by zero."""
    first, second = ucum.unit(left.code), ucum.unit(right.code)
    if first is None or second is None or (divide and right.value == 0):
        return None
    if left.code == "1" and not divide:
        code = right.code
    elif right.code == "1":
        code = left.code
    else:
        code = f"({left.code}){'/' if divide else '.'}({right.code})"
        combined = ucum.unit(code)
        if combined is not None and not combined.dimensions:
            factor = decimal(combined.factor)
            return Quantity((left.value / right.value if divide else left.value * right.value) * factor)
    return Quantity(left.value / right.value if divide else left.value * right.value, code)


def add(left: Quantity, right: Quantity, *, negate: bool = False) -> Quantity | None:
    """Return the sum or difference in the left unit, or None when the units can't be converted."""
    second = Fraction(right.value)
    if left.code != right.code:
        if is_inexact_calendar(left) or is_inexact_calendar(right):
            return None
        converted = ucum.convert(second, right.code, left.code)
        if converted is None:
            return None
        second = converted
    number = decimal(second)
    return Quantity(left.value - number if negate else left.value + number, left.unit, left.calendar)


def decimal(value: Fraction) -> Decimal:
    """Return a fraction as decimal, exact up to 28 digits."""
    with localcontext() as context:
        context.prec = 28
        return (Decimal(value.numerator) / Decimal(value.denominator)).normalize() + 0


def from_json(element: Mapping[str, Any]) -> Quantity | None:
    """Return the FHIR Quantity as a quantity, or None: no (usable) value, a comparator, no UCUM unit.

    A Quantity without any unit counts as dimensionless (https://hl7.org/fhir/R4/fhirpath.html#quantities).
    """
    value = element.get("value")
    if value is None or "comparator" in element or not in_range(Decimal(str(value))):
        return None
    code = element.get("code")
    if code is None:
        return Quantity(Decimal(str(value))) if "unit" not in element else None
    if element.get("system") == ucum.SYSTEM:
        return Quantity(Decimal(str(value)), code)
    if (
        element.get("system") == "http://hl7.org/fhirpath/CodeSystem/calendar-units"
        and code in CALENDAR_UNITS
    ):
        return Quantity(Decimal(str(value)), CALENDAR_UNITS[code], calendar=True)
    return None
