"""Arithmetic and concatenation: https://hl7.org/fhirpath/N1/#math."""

from __future__ import annotations

from decimal import Decimal, DecimalException, localcontext
from typing import Any

from fhir_server.datatypes import quantity, temporal
from fhir_server.datatypes.quantity import CALENDAR_OF_UCUM, CALENDAR_UNITS, Quantity
from fhir_server.datatypes.temporal import Temporal
from fhir_server.fhirpath.evaluation.items import Items, Node, class_of, system
from fhir_server.fhirpath.evaluation.run import MAX_STRING, Run, fail, single
from fhir_server.fhirpath.operators.equality import is_number

#: Digits that decimal results are computed with.
PRECISION = 28
_MAX_INTEGER = 10**28


def operands(left: Items, right: Items, symbol: str) -> tuple[Any, Any] | None:
    """Return the two System values, or None when one is empty; raises FhirPathError for anything else."""
    first, second = single(left, f"'{symbol}'"), single(right, f"'{symbol}'")
    if first is None or second is None:
        return None
    values = system(first), system(second)
    if None in values:
        raise fail(f"'{symbol}' can't be applied to {class_of(first).name} and {class_of(second).name}")
    return values


def number(value: int | Decimal) -> Items:
    """Return a number as collection: empty when it is out of range."""
    if isinstance(value, int):
        return [value] if abs(value) < _MAX_INTEGER else []
    return [value] if quantity.in_range(value) else []


def _plus(_run: Run, left: Items, right: Items) -> Items:
    values = operands(left, right, "+")
    if values is None:
        return []
    a, b = values
    if isinstance(a, str) and isinstance(b, str):
        return [bounded(a + b)]
    if is_number(a) and is_number(b):
        return number(a + b)
    if isinstance(a, Temporal) and isinstance(b, Quantity):
        return moved(a, b, 1)
    if isinstance(a, Quantity) and isinstance(b, Quantity):
        return _optional(quantity.add(a, b))
    raise _mismatch("+", left, right)


def _minus(_run: Run, left: Items, right: Items) -> Items:
    values = operands(left, right, "-")
    if values is None:
        return []
    a, b = values
    if is_number(a) and is_number(b):
        return number(a - b)
    if isinstance(a, Temporal) and isinstance(b, Quantity):
        return moved(a, b, -1)
    if isinstance(a, Quantity) and isinstance(b, Quantity):
        return _optional(quantity.add(a, b, negate=True))
    raise _mismatch("-", left, right)


def moved(value: Temporal, duration: Quantity, sign: int) -> Items:
    """Return a date or time moved by a duration; years and months must be calendar durations, not UCUM units.

    https://hl7.org/fhirpath/N1/#datetime-arithmetic
    """
    unit = duration.unit if duration.calendar else CALENDAR_UNITS.get(duration.unit)
    if unit is None:
        unit = CALENDAR_OF_UCUM.get(duration.unit)
        if unit in {None, "year", "month"}:
            raise fail(f"'{duration.unit}' is no calendar duration")
    return _optional(temporal.add(value, duration.value * sign, str(unit)))


def _times(_run: Run, left: Items, right: Items) -> Items:
    values = operands(left, right, "*")
    if values is None:
        return []
    a, b = values
    if is_number(a) and is_number(b):
        return number(a * b)
    if isinstance(a, Quantity) or isinstance(b, Quantity):
        return _optional(quantity.multiply(_quantity(a, left, right), _quantity(b, left, right)))
    raise _mismatch("*", left, right)


def _divide(_run: Run, left: Items, right: Items) -> Items:
    values = operands(left, right, "/")
    if values is None:
        return []
    a, b = values
    if is_number(a) and is_number(b):
        return [] if b == 0 else number(Decimal(a) / Decimal(b))
    if isinstance(a, Quantity) or isinstance(b, Quantity):
        return _optional(quantity.multiply(_quantity(a, left, right), _quantity(b, left, right), divide=True))
    raise _mismatch("/", left, right)


def _quantity(value: Any, left: Items, right: Items) -> Quantity:
    if isinstance(value, Quantity):
        return value
    if is_number(value):
        return Quantity(Decimal(value))
    raise _mismatch("*", left, right)


def _div(_run: Run, left: Items, right: Items) -> Items:
    values = _numbers(left, right, "div")
    if values is None or values[1] == 0:
        return []
    with localcontext() as context:
        context.prec = 2 * PRECISION
        return number(int(values[0] / values[1]))


def _mod(_run: Run, left: Items, right: Items) -> Items:
    values = _numbers(left, right, "mod")
    if values is None or values[1] == 0:
        return []
    try:
        rest = values[0] % values[1]
    except DecimalException:
        return []
    return number(int(rest) if all(isinstance(system(v), int) for v in (*left, *right)) else rest)


def _numbers(left: Items, right: Items, symbol: str) -> tuple[Decimal, Decimal] | None:
    values = operands(left, right, symbol)
    if values is None:
        return None
    if not (is_number(values[0]) and is_number(values[1])):
        raise _mismatch(symbol, left, right)
    return Decimal(values[0]), Decimal(values[1])


def _concatenate(_run: Run, left: Items, right: Items) -> Items:
    text = ""
    for side in (left, right):
        item = single(side, "'&'")
        value = "" if item is None else system(item)
        if (
            value is None and isinstance(item, Node) and item.value is None
        ):  # a primitive with only extensions
            value = ""
        if not isinstance(value, str):
            raise fail(f"'&' joins strings, not {class_of(item).name}")
        text += value
    return [bounded(text)]


def bounded(text: str) -> str:
    """Return the text; raises FhirPathError (execution) when it is too long."""
    if len(text) > MAX_STRING:
        raise fail("it builds a string of more than a megabyte")
    return text


def _optional(value: Any) -> Items:
    return [] if value is None else [value]


def _mismatch(symbol: str, left: Items, right: Items) -> Exception:
    return fail(f"'{symbol}' can't be applied to {class_of(left[0]).name} and {class_of(right[0]).name}")


def negate(items: Items) -> Items:
    """Return unary minus."""
    item = single(items, "'-'")
    if item is None:
        return []
    value = system(item)
    if is_number(value):
        return [-value]
    if isinstance(value, Quantity):
        return [Quantity(-value.value, value.unit, value.calendar)]
    raise fail(f"'-' can't be applied to {class_of(item).name}")


OPERATORS = {
    "+": _plus, "-": _minus, "*": _times, "/": _divide, "div": _div, "mod": _mod, "&": _concatenate,
}  # fmt: skip
