"""The statistics of ``observation-statistics``, one function each, over exact values.

Percentiles are interpolated between the ranks (as NumPy and spreadsheets do), variance and deviation are those of
a sample, skew and kurtosis the ratios of moments (a normal distribution has 0 and 3), the regression is per day from
the first measure on. https://hl7.org/fhir/R4/valueset-observation-statistics.html
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Context, Decimal
from fractions import Fraction
from math import lcm
from typing import Any

from fhir_server.datatypes import ucum

SYSTEM = "http://terminology.hl7.org/CodeSystem/observation-statistics"
_ABSENT = "http://terminology.hl7.org/CodeSystem/data-absent-reason"
_DAY = 86_400_000
_DIGITS = Context(prec=12)


@dataclass(frozen=True, slots=True)
class Point:
    """A value at a moment (milliseconds UTC)."""

    at: int
    value: Fraction


Values = Sequence[Fraction]
Figure = Callable[[Values], Fraction | None]


def _sum(values: Values) -> Fraction:
    """Return the sum over one denominator: adding fractions one by one costs many times as much."""
    common = lcm(*(value.denominator for value in values))
    return Fraction(sum(value.numerator * (common // value.denominator) for value in values), common)


def _mean(values: Values) -> Fraction | None:
    return _sum(values) / len(values) if values else None


def _moment(values: Values, order: int) -> Fraction:
    mean = _mean(values) or Fraction(0)
    return _sum([(value - mean) ** order for value in values]) / len(values)


def _variance(values: Values) -> Fraction | None:
    return _moment(values, 2) * len(values) / (len(values) - 1) if len(values) > 1 else None


def _root(value: Fraction) -> Fraction:
    return Fraction((Decimal(value.numerator) / Decimal(value.denominator)).sqrt())


def _deviation(values: Values) -> Fraction | None:
    variance = _variance(values)
    return None if variance is None else _root(variance)


def _percentile(percent: int) -> Figure:
    def figure(values: Values) -> Fraction | None:
        if not values:
            return None
        ordered = sorted(values)
        rank = Fraction(percent * (len(ordered) - 1), 100)
        below = int(rank)
        above = min(below + 1, len(ordered) - 1)
        return ordered[below] + (ordered[above] - ordered[below]) * (rank - below)

    return figure


def _quartile_deviation(values: Values) -> Fraction | None:
    lower, upper = _percentile(25)(values), _percentile(75)(values)
    return None if lower is None or upper is None else (upper - lower) / 2


def _skew(values: Values) -> Fraction | None:
    spread = _moment(values, 2) if values else 0
    return _moment(values, 3) / (spread * _root(Fraction(spread))) if spread else None


def _kurtosis(values: Values) -> Fraction | None:
    spread = _moment(values, 2) if values else 0
    return _moment(values, 4) / spread**2 if spread else None


def _power(code: str, times: int) -> str:
    return code + str(times) if code.isalpha() else f"({code}){times}"


#: Figures in the unit of the values.
_IN_UNIT: Mapping[str, Figure] = {
    "average": _mean,
    "maximum": lambda values: max(values, default=None),
    "minimum": lambda values: min(values, default=None),
    "median": _percentile(50),
    "std-dev": _deviation,
    "sum": lambda values: _sum(values) if values else None,
    "20-percent": _percentile(20),
    "80-percent": _percentile(80),
    "4-lower": _percentile(25),
    "4-upper": _percentile(75),
    "4-dev": _quartile_deviation,
    "5-1": _percentile(20),
    "5-2": _percentile(40),
    "5-3": _percentile(60),
    "5-4": _percentile(80),
}
_WITHOUT_UNIT: Mapping[str, Figure] = {"skew": _skew, "kurtosis": _kurtosis}

#: All codes, and other names of the OperationDefinition for them.
STATISTICS = (*_IN_UNIT, "count", "total-count", "variance", *_WITHOUT_UNIT, "regression")
ALIASES = {"max": "maximum", "min": "minimum"}


def components(
    names: Sequence[str], points: Sequence[Point], unit: Mapping[str, Any], total: int
) -> list[dict[str, Any]]:
    """Return an Observation.component for each statistic, two for the regression; what is undefined says so."""
    values = [point.value for point in points]
    made = []
    for name in names:
        code = {"coding": [{"system": SYSTEM, "code": name}]}
        if name == "regression":
            made += _regression(points, unit)
        elif name in ("count", "total-count"):
            number = Fraction(len(points) if name == "count" else total)
            made.append(_component(code, number, {}))
        elif name == "variance":
            made.append(_component(code, _variance(values), _changed(unit, _power(unit.get("code", "1"), 2))))
        elif name in _WITHOUT_UNIT:
            made.append(_component(code, _WITHOUT_UNIT[name](values), {}))
        else:
            made.append(_component(code, _IN_UNIT[name](values), unit))
    return made


def _changed(unit: Mapping[str, Any], code: str) -> dict[str, Any]:
    return {"unit": code, "system": ucum.SYSTEM, "code": code} if unit else {}


def _component(code: Mapping[str, Any], value: Fraction | None, unit: Mapping[str, Any]) -> dict[str, Any]:
    if value is None:
        return {"code": code, "dataAbsentReason": {"coding": [{"system": _ABSENT, "code": "not-applicable"}]}}
    return {
        "code": code,
        "valueQuantity": {"value": rounded(value), **(unit or {"system": ucum.SYSTEM, "code": "1"})},
    }


def rounded(value: Fraction) -> Decimal | int:
    """Return a value with at most 12 digits, without an exponent."""
    if value.denominator == 1 and abs(value) < 10**15:
        return int(value)
    number = _DIGITS.divide(Decimal(value.numerator), Decimal(value.denominator))
    return Decimal(format(number.normalize(), "f"))


def _regression(points: Sequence[Point], unit: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the gradient per day and the intercept at the first measure."""
    code = {"coding": [{"system": SYSTEM, "code": "regression"}]}
    gradient = intercept = None
    first = min((point.at for point in points), default=0)
    days = [Fraction(point.at - first, _DAY) for point in points]
    spread = _moment(days, 2) if days else 0
    if spread:
        values = [point.value for point in points]
        middle, mean = _mean(days) or Fraction(0), _mean(values) or Fraction(0)
        together = sum(((x - middle) * (y - mean) for x, y in zip(days, values, strict=True)), Fraction(0))
        gradient = together / len(days) / spread
        intercept = mean - gradient * middle
    slope = _changed(unit, f"{unit.get('code', '1')}/d")
    return [
        _component({**code, "text": "gradient"}, gradient, slope),
        _component({**code, "text": "intercept"}, intercept, unit),
    ]
