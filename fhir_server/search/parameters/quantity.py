"""Quantity parameters: the value as given, and in canonical UCUM units.

An entry is ``{u, v, r, c, s, n}``: canonical unit (or ``code|hash(system)`` if not UCUM) and value in it,
then value, code, hash of the system and unit text as given. Values that are ranges (Range, a Quantity with
comparator, the extent of SampledData) stand in a second field as ``{u, l, h, rl, rh, c, s, n}``.
https://hl7.org/fhir/R4/search.html#quantity
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from fractions import Fraction
from functools import lru_cache
from typing import Any

from fhir_server.datatypes import ucum
from fhir_server.search.combining import any_of
from fhir_server.search.expression import Exists, Expression, Test, Within
from fhir_server.search.lexing import split, unescape
from fhir_server.search.parameters.number import alternatives, double
from fhir_server.search.parameters.parameter_type import (
    Context,
    Converter,
    Output,
    ParameterType,
    each,
    invalid,
    missing,
    order_by,
)
from fhir_server.search.parameters.prefix import Bounds, read_number, split_prefix
from fhir_server.search.parameters.token import hash_of
from fhir_server.search.registry import Registry
from fhir_server.search.search_parameter import Parameter

_CURRENCY = "urn:iso:std:iso:4217"
_INFINITE = float("inf")
#: Beyond this power of ten a double is zero or infinite in any unit, and exact arithmetic takes memory.
_LARGEST_POWER = 400
_QUANTITIES = frozenset({"Quantity", "SimpleQuantity", "Age", "Duration", "Count", "Distance"})


def convert(type_: str, element: str, parameter: Parameter, registry: Registry) -> Converter | None:  # noqa: ARG001
    """Return the converter of a FHIR type to quantity entries."""
    if type_ in _QUANTITIES:
        return _quantity
    return {"Money": _money, "Range": _range, "SampledData": _sampled}.get(type_)


def _quantity(value: dict[str, Any], base: str, out: list[Any], ranges: list[Any]) -> None:  # noqa: ARG001
    number = value.get("value")
    if number is None:
        return
    system, code, unit = value.get("system", ""), value.get("code", ""), value.get("unit")
    comparator = value.get("comparator")
    if comparator:
        low = number if comparator in {">", ">="} else None
        ranges.append(_interval(low, None if low is not None else number, system, code, unit))
        return
    canonical, canonical_unit = canonical_double(number, system, code)
    out.append(_named({"u": canonical_unit, "v": canonical, "r": double(number)}, system, code, unit))


def _money(value: dict[str, Any], base: str, out: list[Any], ranges: list[Any]) -> None:
    currency = {"value": value.get("value"), "code": value.get("currency", ""), "system": _CURRENCY}
    _quantity(currency, base, out, ranges)


def _range(value: dict[str, Any], base: str, out: list[Any], ranges: list[Any]) -> None:  # noqa: ARG001
    low, high = value.get("low", {}), value.get("high", {})
    if "value" not in low and "value" not in high:
        return
    named = low or high
    system, code, unit = named.get("system", ""), named.get("code", ""), named.get("unit")
    if "value" in low and "value" in high and (low.get("code"), low.get("system")) != (
        high.get("code"), high.get("system")
    ):  # fmt: skip
        high = {}  # two units in one range: only its start can be trusted
    ranges.append(_interval(low.get("value"), high.get("value"), system, code, unit))


def _sampled(value: dict[str, Any], base: str, out: list[Any], ranges: list[Any]) -> None:  # noqa: ARG001
    """Append the least and greatest value of the series: origin + factor * data."""
    origin = value.get("origin", {})
    if "value" not in origin:
        return
    try:
        points = _points(value, Decimal(str(origin["value"])))
    except ArithmeticError:  # numbers beyond what decimals can hold
        return
    if points:
        ranges.append(
            _interval(
                min(points), max(points), origin.get("system", ""), origin.get("code", ""), origin.get("unit")
            )
        )


def _points(sampled: dict[str, Any], zero: Decimal) -> list[Decimal]:
    """Return the values of a series, or of its limits when no point has a number."""
    factor = Decimal(str(sampled.get("factor", 1)))
    data = [text for text in sampled.get("data", "").split() if text not in {"E", "U", "L"}]
    points = [zero + factor * Decimal(text) for text in data]
    limits = [Decimal(str(sampled[name])) for name in ("lowerLimit", "upperLimit") if name in sampled]
    return [point for point in points or limits if point.is_finite()]


def _interval(low: Any, high: Any, system: str, code: str, unit: str | None) -> dict[str, Any]:
    bounds: dict[str, Any] = {"u": canonical_double(0, system, code)[1]}
    bounds["l"] = -_INFINITE if low is None else canonical_double(low, system, code)[0]
    bounds["h"] = _INFINITE if high is None else canonical_double(high, system, code)[0]
    bounds["rl"] = -_INFINITE if low is None else double(low)
    bounds["rh"] = _INFINITE if high is None else double(high)
    return _named(bounds, system, code, unit)


def _named(entry: dict[str, Any], system: str, code: str, unit: str | None) -> dict[str, Any]:
    if code:
        entry["c"] = code
    if system:
        entry["s"] = hash_of(system)
    if unit and unit != code:
        entry["n"] = unit
    return entry


@lru_cache(maxsize=4096)
def _scale(code: str) -> tuple[str, Fraction, Fraction] | None:
    """Return canonical unit, shift and factor of a UCUM code; None when it is not a unit known here."""
    unit = ucum.unit(code)
    return None if unit is None else (ucum.base_code(unit.dimensions), unit.shift, unit.factor)


@lru_cache(maxsize=4096)
def canonical_double(number: Any, system: str, code: str) -> tuple[float, str]:
    """Return a value in canonical units, rounded to a double once, and the unit's name.

    Units that are not UCUM, or not known, keep their code: such values compare only among themselves.
    """
    scale = _scale(code) if system == ucum.SYSTEM and code else None
    if scale is None:
        return double(number), f"{code}|{hash_of(system)}"
    name, shift, factor = scale
    if (factor == 1 and not shift) or (
        isinstance(number, Decimal) and abs(number.adjusted()) > _LARGEST_POWER
    ):
        return double(number), name
    exact = Fraction(number) if not isinstance(number, float) else Fraction(repr(number))
    return double((exact + shift) * factor), name


def parse(parameter: Parameter, modifier: str, values: Sequence[str], context: Context) -> Expression:  # noqa: ARG001
    """Return the expression of a quantity clause."""
    if modifier == "missing":
        return missing(parameter, values, Exists(f"{parameter.field}-range"))
    return each(values, lambda text: _one(parameter, text))


def _one(parameter: Parameter, text: str) -> Expression:
    """Return the expression of ``number``, also with ``|system|code``, ``||code`` or ``|system``."""
    parts = [unescape(part, parameter.name) for part in split(text, "|")]
    prefix, rest = split_prefix(parts[0])
    number = read_number(rest)
    if number is None or len(parts) > 3:
        raise invalid(parameter, text, "a quantity: write [prefix]number, number|system|code or number||code")
    system, code = (*parts[1:], "", "")[:2]
    if system and code:
        canonical, unit = _canonical_bounds(prefix, number, system, code)
        same: tuple[Test, ...] = (("u", "$eq", unit),)
        return _both(parameter, prefix, canonical, ("v", "l", "h"), (same,))
    names: tuple[tuple[Test, ...], ...] = ((),)
    if system:
        names = ((("s", "$eq", hash_of(system)),),)
    elif code:
        names = ((("c", "$eq", code),), (("n", "$eq", code),))
    return _both(parameter, prefix, number, ("r", "rl", "rh"), names)


def _canonical_bounds(prefix: str, number: Bounds, system: str, code: str) -> tuple[Bounds, str]:
    """Return the range of the number, its precision included, in canonical units."""
    if prefix == "ap":  # ten per cent of the number as written, not of its distance from another zero
        margin = abs(number[0]) / 10
        number = (number[0], number[0] - margin, number[0] + margin)
    converted = [canonical_double(part, system, code) for part in number]
    value, low, high = (Decimal(repr(part[0])) for part in converted)
    return (value, low, high), converted[0][1]


def _both(
    parameter: Parameter,
    prefix: str,
    number: Bounds,
    members: tuple[str, str, str],
    names: tuple[tuple[Test, ...], ...],
) -> Expression:
    """Return the union of values and ranges that pass the prefix's tests, and one of the unit's names.

    ``members`` are the value of a plain entry, and the ends of a range.
    """
    value, low, high = members

    def within(field: str, least: str, greatest: str) -> Expression:
        tests = _tests(prefix, number, least, greatest, is_canonical=value == "v")
        return Within(field, parameter.repeats, tuple(name + test for name in names for test in tests))

    field = parameter.field
    return any_of([within(field, value, value), within(f"{field}-range", low, high)])


def _tests(
    prefix: str, number: Bounds, low: str, high: str, *, is_canonical: bool
) -> tuple[tuple[Test, ...], ...]:
    if prefix == "ap" and is_canonical:
        return (((low, "$lte", double(number[2])), (high, "$gte", double(number[1]))),)
    return alternatives(prefix, number, low, high)


def sort(parameter: Parameter, descending: bool) -> tuple[Any, ...]:
    """Order by unit, then by the value in it."""
    return (order_by(f"{parameter.field}.u", descending), order_by(f"{parameter.field}.v", descending))


TYPE = ParameterType(
    "quantity",
    frozenset({"missing"}),
    (Output("i", is_static=True), Output("i", "-range", is_static=True)),
    convert,
    parse,
    sort,
)
