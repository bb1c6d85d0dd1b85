"""Many values as few: what a chart of a year of heart rates needs.

Buckets of equal length with count, minimum, maximum and mean; or the points that keep the shape of the line (largest
triangle three buckets, LTTB: https://skemman.is/handle/1946/15343).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Context, Decimal
from typing import Any

from fhir_server.datatypes.dates import interval

#: Milliseconds UTC and a value.
Point = tuple[int, Decimal]

_CONTEXT = Context(prec=12, rounding=ROUND_HALF_EVEN)


@dataclass(frozen=True, slots=True)
class Bucket:
    """The values from ``start`` up to, not including, ``end`` (milliseconds UTC); there is one at least."""

    start: int
    end: int
    count: int
    minimum: Decimal
    maximum: Decimal
    mean: Decimal


def buckets(points: Sequence[Point], start: int, end: int, number: int) -> list[Bucket]:
    """Return the buckets that have values; ``number`` equal ones make up the time from ``start`` to ``end``."""
    groups: dict[int, list[Decimal]] = {}
    length = max(end - start, 1)
    for at, value in points:
        if start <= at < end:
            groups.setdefault((at - start) * number // length, []).append(value)
    return [
        Bucket(
            start - -position * length // number,
            start - -(position + 1) * length // number,
            len(values),
            min(values),
            max(values),
            _CONTEXT.divide(sum(values, Decimal(0)), Decimal(len(values))),
        )
        for position, values in sorted(groups.items())
    ]


def lttb(points: Sequence[Point], number: int) -> list[Point]:
    """Return at most ``number`` (3 or more) of the points, which are in the order of time, ends included."""
    if len(points) <= number:
        return list(points)
    kept = [points[0]]
    every = (len(points) - 2) / (number - 2)
    for bucket in range(number - 2):
        first, last = int(bucket * every) + 1, int((bucket + 1) * every) + 1
        following = points[last : min(int((bucket + 2) * every) + 1, len(points))]
        time = sum(at for at, _ in following) / len(following)
        value = float(sum(value for _, value in following)) / len(following)
        kept.append(max(points[first:last], key=lambda point: _area(kept[-1], point, time, value)))
    return [*kept, points[-1]]


def _area(left: Point, middle: Point, time: float, value: float) -> float:
    return abs(
        (left[0] - time) * (float(middle[1]) - float(left[1]))
        - (left[0] - middle[0]) * (value - float(left[1]))
    )


def points_of(observation: Mapping[str, Any], component: str = "") -> Iterator[tuple[int, Decimal, str]]:
    """Yield time, value and unit code of an Observation: its Quantity, or each value of its SampledData.

    ``component`` names the component by its code, "" the Observation's own value. Errors of entry have none.
    """
    if observation.get("status") in ("entered-in-error", "cancelled"):
        return
    holder: Mapping[str, Any] | None = observation
    if component:
        holder = next((c for c in observation.get("component", ()) if _is(c, component)), None)
    effective = observation.get("effectiveDateTime") or observation.get("effectiveInstant")
    effective = effective or observation.get("effectivePeriod", {}).get("start")
    if holder is None or not isinstance(effective, str):
        return
    at = interval(effective)[0]
    quantity = holder.get("valueQuantity")
    if quantity is not None and "value" in quantity:
        yield at, Decimal(quantity["value"]), str(quantity.get("code") or quantity.get("unit", ""))
    sampled = holder.get("valueSampledData")
    if sampled is not None:
        yield from _sampled(at, sampled)


def _sampled(at: int, sampled: Mapping[str, Any]) -> Iterator[tuple[int, Decimal, str]]:
    if sampled.get("dimensions") != 1:
        return
    origin, period = sampled.get("origin", {}), Decimal(sampled.get("period", 0))
    offset, factor = Decimal(origin.get("value", 0)), Decimal(sampled.get("factor", 1))
    unit = str(origin.get("code") or origin.get("unit", ""))
    for number, text in enumerate(str(sampled.get("data", "")).split()):
        if text not in ("E", "U", "L"):
            yield at + int(number * period), offset + factor * Decimal(text), unit


def _is(component: Mapping[str, Any], code: str) -> bool:
    return any(coding.get("code") == code for coding in component.get("code", {}).get("coding", ()))
