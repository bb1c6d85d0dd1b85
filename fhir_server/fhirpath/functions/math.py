"""Math: https://hl7.org/fhirpath/N1/#math-1."""

from __future__ import annotations

from collections.abc import Callable
from decimal import (
    ROUND_CEILING,
    ROUND_DOWN,
    ROUND_FLOOR,
    ROUND_HALF_UP,
    Decimal,
    DecimalException,
    localcontext,
)
from typing import Any

from fhir_server.datatypes.quantity import Quantity
from fhir_server.fhirpath.evaluation.items import Items, class_of, system
from fhir_server.fhirpath.evaluation.run import Run, fail, single
from fhir_server.fhirpath.functions.subsetting import integer
from fhir_server.fhirpath.functions.tables import Table
from fhir_server.fhirpath.operators.equality import is_number
from fhir_server.fhirpath.operators.math import PRECISION, number


def _value(items: Items, name: str) -> Any:
    """Return the number or Quantity, None for empty; raises FhirPathError for anything else."""
    item = single(items, f"{name}()")
    if item is None:
        return None
    value = system(item)
    if is_number(value) or isinstance(value, Quantity):
        return value
    raise fail(f"{name}() takes a number and got {class_of(item).name}")


def _abs(_run: Run, source: Items) -> Items:
    value = _value(source, "abs")
    if isinstance(value, Quantity):
        return [Quantity(abs(value.value), value.unit, value.calendar)]
    return [] if value is None else [abs(value)]


def _rounding(name: str, mode: str) -> Callable[..., Items]:
    def apply(_run: Run, source: Items) -> Items:
        value = _value(source, name)
        if isinstance(value, Quantity):
            return [Quantity(value.value.to_integral_value(mode), value.unit, value.calendar)]
        return [] if value is None else [int(Decimal(value).to_integral_value(mode))]

    return apply


def _round(_run: Run, source: Items, precision: Items | None = None) -> Items:
    value = _value(source, "round")
    digits = integer(precision, "round()") if precision else 0
    if value is None or digits is None:
        return []
    if digits < 0:
        raise fail("round() takes a precision of 0 or more")
    given = value.value if isinstance(value, Quantity) else Decimal(value)
    if -int(given.as_tuple().exponent) > digits:
        given = given.quantize(Decimal(1).scaleb(-digits), ROUND_HALF_UP)
    return [Quantity(given, value.unit, value.calendar) if isinstance(value, Quantity) else given]


def _function(name: str, apply: Callable[..., Decimal]) -> Callable[..., Items]:
    """Return the collection form of a function on decimals: empty where it has no real result."""

    def call(_run: Run, source: Items, *arguments: Items) -> Items:
        values = [_value(items, name) for items in (source, *arguments)]
        if any(v is None or isinstance(v, Quantity) for v in values):
            return []
        try:
            with localcontext() as context:
                context.prec = PRECISION + 12
                result = apply(*(Decimal(v) for v in values))
            with localcontext() as context:
                context.prec = PRECISION
                return number(+result)
        except (DecimalException, ZeroDivisionError):
            return []

    return call


def _log(value: Decimal, base: Decimal) -> Decimal:
    return value.ln() / base.ln()


def _power(_run: Run, source: Items, exponent: Items) -> Items:
    base, power = _value(source, "power"), _value(exponent, "power")
    found = _function("power", lambda a, b: a**b)(_run, source, exponent)
    if found and isinstance(base, int) and isinstance(power, int) and power >= 0:
        return number(int(found[0]))
    return found


VALUES: Table = {
    "abs": (_abs, 0),
    "ceiling": (_rounding("ceiling", ROUND_CEILING), 0),
    "floor": (_rounding("floor", ROUND_FLOOR), 0),
    "truncate": (_rounding("truncate", ROUND_DOWN), 0),
    "round": (_round, (0, 1)),
    "exp": (_function("exp", Decimal.exp), 0),
    "ln": (_function("ln", Decimal.ln), 0),
    "log": (_function("log", _log), 1),
    "sqrt": (_function("sqrt", Decimal.sqrt), 0),
    "power": (_power, 1),
}
