"""Boundaries and precision: https://hl7.org/fhirpath/#lowboundaryprecision-integer-decimal--date--datetime--time."""

from __future__ import annotations

from calendar import monthrange
from collections.abc import Callable
from decimal import ROUND_DOWN, ROUND_HALF_UP, Decimal
from typing import Any

from fhir_server.datatypes import ucum
from fhir_server.datatypes.quantity import Quantity
from fhir_server.datatypes.temporal import EASTMOST, HOUR, SECOND, WESTMOST, Temporal
from fhir_server.fhirpath.evaluation.items import Items, class_of, system
from fhir_server.fhirpath.evaluation.run import Run, fail, single
from fhir_server.fhirpath.functions.subsetting import integer
from fhir_server.fhirpath.functions.tables import Table, optional
from fhir_server.fhirpath.operators.equality import is_number

_MAX_DIGITS = 28
_DEFAULT_DIGITS = 8
#: Digits of a date or dateTime written without separators, and how many fields that makes.
_DATE_FIELDS = {4: 1, 6: 2, 8: 3, 10: 4, 12: 5, 14: 6, 17: 6}
_TIME_FIELDS = {2: 1, 4: 2, 6: 3, 9: 3}


def _boundary(name: str, *, high: bool) -> Callable[..., Items]:
    def apply(_run: Run, source: Items, precision: Items | None = None) -> Items:
        item = single(source, f"{name}()")
        if item is None:
            return []
        digits = integer(precision, f"{name}()") if precision is not None else None
        if precision is not None and digits is None:
            return []
        value = system(item)
        if is_number(value):
            return optional(_of_number(Decimal(value), digits, high=high))
        if isinstance(value, Quantity):
            number = _of_number(value.value, digits, high=high)
            return [] if number is None else [Quantity(number, value.unit, value.calendar)]
        if isinstance(value, Temporal):
            return optional(_of_temporal(value, digits, high=high))
        raise fail(f"{name}() takes a number, a Quantity, a date or a time and got {class_of(item).name}")

    return apply


def _of_number(value: Decimal, digits: int | None, *, high: bool) -> Decimal | None:
    """Half a unit of the last digit up or down, then cut (toward zero) or rounded (away) to the digits."""
    digits = _DEFAULT_DIGITS if digits is None else digits
    if not 0 <= digits <= _MAX_DIGITS:
        return None
    half = Decimal(5).scaleb(min(int(value.as_tuple().exponent), 0) - 1)
    away = high != value.is_signed()
    size = abs(value) + (half if away or not value else -half)
    rounded = size.quantize(Decimal(1).scaleb(-digits), ROUND_HALF_UP if away or not value else ROUND_DOWN)
    negative = value.is_signed() or (not value and not high)
    return rounded.copy_negate() if negative else rounded


def _of_temporal(value: Temporal, digits: int | None, *, high: bool) -> Temporal | None:
    time = value.kind == "time"
    default = {"date": 8, "dateTime": 17, "time": 9}[value.kind]
    count = (_TIME_FIELDS if time else _DATE_FIELDS).get(default if digits is None else digits)
    if count is None or (value.kind == "date" and count > HOUR):
        return None
    fields = list(value.fields)
    start = HOUR if time else 0
    while len(fields) < count:
        fields.append(_extreme(fields, len(fields) + start, high=high))
    if len(value.fields) == count and count + start > SECOND:
        fields[-1] = _milliseconds(Decimal(fields[-1]), high=high)
    fields = fields[:count]
    offset = value.offset
    if value.kind == "dateTime" and offset is None and count > HOUR:
        offset = WESTMOST if high else EASTMOST
    return Temporal(value.kind, tuple(fields), offset if count > HOUR else None)


def _extreme(fields: list[int | Decimal], index: int, *, high: bool) -> int | Decimal:
    if not high:
        return (1, 1, 1, 0, 0, Decimal("0.000"))[index]
    if index == 2:
        return monthrange(int(fields[0]), int(fields[1]))[1]
    return (1, 12, 31, 23, 59, Decimal("59.999"))[index]


def _milliseconds(second: Decimal, *, high: bool) -> Decimal:
    digits = -int(second.as_tuple().exponent)
    if digits >= 3:
        return second
    return second + (Decimal("0.999").scaleb(-digits) if high and digits == 0 else Decimal("0.000"))


def _precision(_run: Run, source: Items) -> Items:
    item = single(source, "precision()")
    if item is None:
        return []
    value = system(item)
    if is_number(value):
        return [max(-int(Decimal(value).as_tuple().exponent), 0)]
    if not isinstance(value, Temporal):
        raise fail(f"precision() takes a number, a date or a time and got {class_of(item).name}")
    counts = _TIME_FIELDS if value.kind == "time" else _DATE_FIELDS
    digits = [d for d, count in counts.items() if count == len(value.fields)]
    fraction = value.precision == SECOND and Decimal(value.fields[-1]).as_tuple().exponent != 0
    return [digits[-1] if fraction else digits[0]]


def _comparable(_run: Run, source: Items, other: Items) -> Items:
    quantities: list[Any] = [
        system(single(items, "comparable()")) if items else None for items in (source, other)
    ]
    if not all(isinstance(q, Quantity) for q in quantities):
        return []
    first, second = (ucum.unit(q.code) for q in quantities)
    return [first is not None and second is not None and first.dimensions == second.dimensions]


VALUES: Table = {
    "lowBoundary": (_boundary("lowBoundary", high=False), (0, 1)),
    "highBoundary": (_boundary("highBoundary", high=True), (0, 1)),
    "precision": (_precision, 0),
    "comparable": (_comparable, 1),
}
