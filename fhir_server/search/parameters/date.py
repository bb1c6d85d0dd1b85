"""Date parameters: every value is an interval of milliseconds, ``{l, h}``, both ends inclusive.

https://hl7.org/fhir/R4/search.html#date, https://hl7.org/fhir/R4/search.html#prefix
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, tzinfo
from functools import partial
from typing import Any

from fhir_server.datatypes.dates import MAXIMUM, MINIMUM, interval, search_interval
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
from fhir_server.search.parameters.prefix import split_prefix
from fhir_server.search.registry import Registry
from fhir_server.search.search_parameter import Parameter

#: Low bits of an order key that don't belong to its milliseconds (see store: order keys).
TIE_BITS = 15


def convert(type_: str, element: str, parameter: Parameter, registry: Registry) -> Converter | None:  # noqa: ARG001
    """Return the converter of a FHIR type to intervals; the registry has the zone of dates without offset."""
    if type_ in {"date", "dateTime", "instant"}:
        found: Converter | None = _moment
    else:
        found = {"Period": _period, "Timing": _timing}.get(type_)
    return found if found is None or registry.zone is UTC else partial(found, zone=registry.zone)


def _moment(value: str, base: str, out: list[Any], zone: tzinfo = UTC) -> None:  # noqa: ARG001
    low, high = interval(value, zone)
    out.append({"l": low, "h": high})


def _period(value: dict[str, Any], base: str, out: list[Any], zone: tzinfo = UTC) -> None:  # noqa: ARG001
    start, end = value.get("start"), value.get("end")
    if start or end:
        low = interval(start, zone)[0] if start else MINIMUM
        out.append({"l": low, "h": interval(end, zone)[1] if end else MAXIMUM})


def _timing(value: dict[str, Any], base: str, out: list[Any], zone: tzinfo = UTC) -> None:
    """Append the outer limits of the events and bounds."""
    found: list[dict[str, int]] = []
    for event in value.get("event", ()):
        if event:
            _moment(event, base, found, zone)
    _period(value.get("repeat", {}).get("boundsPeriod", {}), base, found, zone)
    if found:
        out.append({"l": min(f["l"] for f in found), "h": max(f["h"] for f in found)})


def alternatives(prefix: str, low: int, high: int, now: int) -> tuple[tuple[Test, ...], ...]:
    """Return the tests of a prefix on target intervals [l, h] for the search interval [low, high].

    R4 says "greater or equal" = greater, or equal as eq means it; servers that read it as "ends at or after"
    differ only for periods that begin before the searched interval and end inside it. Since l <= h, "h > high
    or (l >= low and h <= high)" is the same as "h > high or l >= low".
    """
    match prefix:
        case "ne":
            return ((("l", "$lt", low),), (("h", "$gt", high),))
        case "gt":
            return ((("h", "$gte", high + 1),),)
        case "lt":
            return ((("l", "$lte", low - 1),),)
        case "ge":
            return ((("h", "$gte", high + 1),), (("l", "$gte", low),))
        case "le":
            return ((("l", "$lte", low - 1),), (("h", "$lte", high),))
        case "sa":
            return ((("l", "$gte", high + 1),),)
        case "eb":
            # Between two milliseconds: a target that ends in the first of them may end after the searched
            # moment.
            return ((("h", "$lte", min(low, high) - 1),),)
        case "ap":
            distance = abs(now - (low + high) // 2) // 10
            return ((("l", "$lte", high + distance), ("h", "$gte", low - distance)),)
        case _:
            return ((("l", "$gte", low), ("h", "$lte", high)),)


def parse(parameter: Parameter, modifier: str, values: Sequence[str], context: Context) -> Expression:
    """Return the expression of a date clause."""
    if modifier == "missing":
        return missing(parameter, values)

    def one(text: str) -> Expression:
        prefix, low, high = read(parameter, text, context.registry.zone)
        return Within(parameter.field, parameter.repeats, alternatives(prefix, low, high, context.now))

    return each(values, one)


def read(parameter: Parameter, text: str, zone: tzinfo) -> tuple[str, int, int]:
    """Return prefix and interval of a value, or raise FhirError 400."""
    prefix, rest = split_prefix(text)
    try:
        # A plus sign that was not percent-encoded arrives as a space.
        low, high = search_interval(rest.replace(" ", "+"), zone)
    except ValueError:
        raise invalid(
            parameter,
            text,
            "a date: write yyyy, yyyy-mm, yyyy-mm-dd or yyyy-mm-ddThh:mm[:ss][zone], after a prefix if any",
        ) from None
    return prefix, low, high


def parse_last_updated(parameter: Parameter, values: Sequence[str], context: Context) -> Expression:
    """Return the expression of ``_lastUpdated``: bounds on the order key of the document itself."""

    def one(text: str) -> Expression:
        found = alternatives(*read(parameter, text, context.registry.zone), context.now)
        keys = (tuple(("", op, _order_key(op, bound)) for _, op, bound in tests) for tests in found)
        return Within("lu", False, tuple(keys))

    return each(values, one)


def _order_key(operator: str, bound: float | str) -> int:
    """Return the bound on order keys: a least key has no tie bits, a greatest one all of them."""
    assert isinstance(bound, int)
    key = bound << TIE_BITS
    return key if operator in {"$gte", "$lt"} else key | ((1 << TIE_BITS) - 1)


def sort(parameter: Parameter, descending: bool) -> tuple[Any, ...]:
    """Order by the interval's start (ascending) or end (descending)."""
    return (order_by(f"{parameter.field}.{'h' if descending else 'l'}", descending),)


TYPE = ParameterType("date", frozenset({"missing"}), (Output("i", is_static=True),), convert, parse, sort)
