"""Number parameters: a double, or ``{l, h}`` for parameters that can also be a Range.

https://hl7.org/fhir/R4/search.html#number
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fhir_server.search.expression import Expression, Test, Within
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
from fhir_server.search.registry import Registry
from fhir_server.search.search_parameter import Parameter

#: Ends of a Range without low or high.
_INFINITE = float("inf")


def convert(type_: str, element: str, parameter: Parameter, registry: Registry) -> Converter | None:  # noqa: ARG001
    """Return the converter of a FHIR type to doubles or, if the parameter can be a Range, to intervals."""
    if type_ == "Range":
        return _range
    if type_ in {"decimal", "integer", "positiveInt", "unsignedInt"}:
        return _point if "Range" in parameter.types else _value
    return None


def double(number: Any) -> float:
    """Return the nearest double of a Decimal, Fraction or integer; beyond all doubles, infinity."""
    try:
        return float(number)
    except OverflowError:
        return _INFINITE if number > 0 else -_INFINITE


def _value(value: Any, base: str, out: list[Any]) -> None:  # noqa: ARG001
    out.append(double(value))


def _point(value: Any, base: str, out: list[Any]) -> None:  # noqa: ARG001
    out.append({"l": double(value), "h": double(value)})


def _range(value: dict[str, Any], base: str, out: list[Any]) -> None:  # noqa: ARG001
    low, high = value.get("low", {}).get("value"), value.get("high", {}).get("value")
    if low is not None or high is not None:
        out.append(
            {
                "l": -_INFINITE if low is None else double(low),
                "h": _INFINITE if high is None else double(high),
            }
        )


def alternatives(prefix: str, number: Bounds, low: str, high: str) -> tuple[tuple[Test, ...], ...]:
    """Return the tests of a prefix on the members that hold a value's least and greatest bound.

    For plain values both are the same member. Precision counts for eq and ne only (R4).
    """
    value, least, greatest = (double(part) for part in number)
    match prefix:
        case "ne":
            return (((low, "$lt", least),), ((high, "$gte", greatest),))
        case "gt":
            return (((high, "$gt", value),),)
        case "lt":
            return (((low, "$lt", value),),)
        case "ge":
            return (((high, "$gte", value),),)
        case "le":
            return (((low, "$lte", value),),)
        case "sa":
            return (((low, "$gt", value),),)
        case "eb":
            return (((high, "$lt", value),),)
        case "ap":
            distance = double(abs(number[0]) / 10)
            return (((low, "$lte", value + distance), (high, "$gte", value - distance)),)
        case _:
            return (((low, "$gte", least), (high, "$lt", greatest)),)


def parse(parameter: Parameter, modifier: str, values: Sequence[str], context: Context) -> Expression:  # noqa: ARG001
    """Return the expression of a number clause."""
    if modifier == "missing":
        return missing(parameter, values)
    low, high = ("l", "h") if "Range" in parameter.types else ("", "")

    def one(text: str) -> Expression:
        prefix, rest = split_prefix(text)
        number = read_number(rest)
        if number is None:
            raise invalid(parameter, text, "a number, after a prefix if any")
        return Within(parameter.field, parameter.repeats, alternatives(prefix, number, low, high))

    return each(values, one)


def sort(parameter: Parameter, descending: bool) -> tuple[Any, ...]:
    """Order by the number, a Range by its start (ascending) or end (descending)."""
    member = "" if "Range" not in parameter.types else ".h" if descending else ".l"
    return (order_by(parameter.field + member, descending),)


TYPE = ParameterType("number", frozenset({"missing"}), (Output("i", is_static=True),), convert, parse, sort)
