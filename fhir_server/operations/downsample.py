"""$downsample: the measures of a citizen over a time as few values, for charts.

``GET Observation/$downsample?patient=&code=&start=&end=&points=&method=``; docs/measures.md. The measures are read in
spans of time that fit into memory; only times and values are kept.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from fhir_server.datatypes.dates import interval
from fhir_server.datatypes.json_format import decode_own
from fhir_server.interactions.exchange import FhirRequest, FhirResponse, Server, Target
from fhir_server.interactions.steps.criteria import matches, read_criteria
from fhir_server.interactions.steps.prepare import instant
from fhir_server.operations.inputs import Inputs, answered, inputs, missing
from fhir_server.outcome import FhirError, Issue, error
from fhir_server.space.downsampling import Point, buckets, lttb, points_of

#: Observations that are read at once; more are read in two halves of their time.
_AT_ONCE = 2000
#: Observations that one answer may be made of.
MOST = 200_000
_MOST_POINTS = 2000
_TABLE = {
    "patient": "text",
    "code": "text",
    "component": "text",
    "start": "text",
    "end": "text",
    "points": "integer",
    "method": "text",
}


async def downsample(server: Server, request: FhirRequest, target: Target) -> FhirResponse:  # noqa: ARG001
    """Return 200 with Parameters: ``unit``, ``count``, and ``bucket`` or ``point`` rows in the order of time."""
    given = inputs(request, _TABLE)
    for name in ("patient", "code", "start", "end"):
        if not given.has(name):
            raise missing(f"$downsample needs the parameter {name}.")
    method = given.text("method") or "buckets"
    number = given.number("points") or 200
    if method not in ("buckets", "lttb") or not 3 <= number <= _MOST_POINTS:
        raise error("value", f"method is buckets or lttb, points between 3 and {_MOST_POINTS:,}.")
    start, end = _moment(given, "start", 0), _moment(given, "end", 1)
    found: dict[str, list[tuple[int, Decimal, str]]] = {}
    await _read(server, request, given, (start, end), found)
    rows = sorted(row for one in found.values() for row in one if start <= row[0] < end)
    units = {unit for _, _, unit in rows}
    if len(units) > 1:
        text = f"The measures are in several units ({', '.join(sorted(units))}); a chart needs one."
        raise FhirError(Issue("error", "business-rule", text))
    points = [(at, value) for at, value, _ in rows]
    made = _of_lttb(points, number) if method == "lttb" else _of_buckets(points, start, end, number)
    return answered(
        [
            {"name": "count", "valueInteger": len(points)},
            *({"name": "unit", "valueCode": unit} for unit in units if unit),
            *made,
        ]
    )


async def _read(
    server: Server,
    request: FhirRequest,
    given: Inputs,
    span: tuple[int, int],
    found: dict[str, list[tuple[int, Decimal, str]]],
) -> None:
    """Collect the values of all measures of a time by the id of their Observation."""
    start, end = span
    patient = given.text("patient").removeprefix("Patient/")
    query = (
        f"subject=Patient/{patient}&code={given.text('code')}&date=ge{instant(start)}&date=lt{instant(end)}"
    )
    rows = await matches(
        server,
        request,
        read_criteria(server, "Observation", query, request.base, "$downsample"),
        _AT_ONCE + 1,
    )
    if len(rows) > _AT_ONCE and end - start > 1000:
        middle = (start + end) // 2
        await _read(server, request, given, (start, middle), found)
        await _read(server, request, given, (middle, end), found)
        return
    for row in rows:
        found[row.id] = list(points_of(decode_own(row.body), given.text("component")))
    if len(found) > MOST:
        raise error("too-costly", f"A chart is made of {MOST:,} Observations at most; choose a shorter time.")


def _moment(given: Inputs, name: str, end: int) -> int:
    try:
        return interval(given.text(name))[end] + end
    except ValueError:
        raise error("value", f"{name} is a date or dateTime.") from None


def _of_buckets(points: list[Point], start: int, end: int, number: int) -> list[dict[str, Any]]:
    return [
        {
            "name": "bucket",
            "part": [
                {"name": "start", "valueInstant": instant(bucket.start)},
                {"name": "end", "valueInstant": instant(bucket.end)},
                {"name": "count", "valueInteger": bucket.count},
                {"name": "min", "valueDecimal": bucket.minimum},
                {"name": "max", "valueDecimal": bucket.maximum},
                {"name": "mean", "valueDecimal": bucket.mean},
            ],
        }
        for bucket in buckets(points, start, end, number)
    ]


def _of_lttb(points: list[Point], number: int) -> list[dict[str, Any]]:
    return [
        {
            "name": "point",
            "part": [
                {"name": "time", "valueInstant": instant(at)},
                {"name": "value", "valueDecimal": value},
            ],
        }
        for at, value in lttb(points, number)
    ]
