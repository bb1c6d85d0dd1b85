"""Observation/$stats: figures of a subject's measures over a period, for each code.

Values are computed exactly, in the unit of the newest measure; those that have no number, a comparator, another kind
of unit or a modifier extension count only in total-count. https://hl7.org/fhir/R4/observation-operation-stats.html
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from fractions import Fraction
from typing import Any

import msgspec

from fhir_server.datatypes import ucum
from fhir_server.datatypes.json_format import encode
from fhir_server.interactions.exchange import FhirRequest, FhirResponse, Server, Target
from fhir_server.interactions.steps.asking import too_slow
from fhir_server.interactions.steps.lookups import answered
from fhir_server.interactions.steps.prepare import instant
from fhir_server.interactions.steps.searchset import large_of
from fhir_server.operations.following import fetched
from fhir_server.operations.inputs import Inputs, inputs, missing
from fhir_server.operations.observation_statistics import ALIASES, STATISTICS, Point, components
from fhir_server.outcome import error
from fhir_server.search import SearchQuery, parse
from fhir_server.search.parameters.reference import local
from fhir_server.search.plan import keys_plan
from fhir_server.store.documents import Stored, TimeLimit, milliseconds

#: Most Observations that one answer is computed of.
MOST = 50_000
_HOUR = Decimal(3_600_000)
_INPUTS = {
    "subject": "text", "code": "text*", "system": "text", "coding": "object*", "duration": "decimal",
    "period": "object", "statistic": "text*", "include": "boolean", "limit": "integer",
}  # fmt: skip

Coding = tuple[str, str]


class Concept(msgspec.Struct):
    """A CodeableConcept, as far as it matters."""

    coding: list[dict[str, Any]] = []


class Measure(msgspec.Struct):
    """An Observation or a component, as far as it matters; the rest of its JSON isn't read."""

    code: Concept = msgspec.field(default_factory=Concept)
    status: str = ""
    valueQuantity: dict[str, Any] | None = None  # noqa: N815 (FHIR's names)
    component: list[Measure] = []
    hasMember: list[dict[str, Any]] = []  # noqa: N815
    modifierExtension: list[dict[str, Any]] = []  # noqa: N815
    effectiveDateTime: str = ""  # noqa: N815
    effectiveInstant: str = ""  # noqa: N815
    effectivePeriod: dict[str, Any] = {}  # noqa: N815

    def when(self, name: str) -> str:
        """Return the start or the end of when it was measured, as it is written."""
        return self.effectiveDateTime or self.effectiveInstant or str(self.effectivePeriod.get(name, ""))


_read = msgspec.json.Decoder(Measure, float_hook=Decimal).decode


@dataclass(slots=True)
class Series:
    """The measures of one code in a unit: points of time and value, newest first, and how many there were."""

    coding: dict[str, Any]
    total: int = 0
    unit: dict[str, Any] = field(default_factory=dict)
    points: list[Point] = field(default_factory=list)
    start: tuple[int, str] = (1 << 62, "")
    end: tuple[int, str] = (-(1 << 62), "")

    def add(self, measure: Measure, moment: int, whole: Measure) -> None:
        """Count a measure (of a panel it is a component of: ``whole``), and keep its value if it is one."""
        self.total += 1
        value = measure.valueQuantity or {}
        number, code = value.get("value"), value.get("code")
        is_valid = isinstance(number, int | Decimal) and value.get("system") == ucum.SYSTEM and code
        if not is_valid or "comparator" in value or measure.modifierExtension or ucum.unit(str(code)) is None:
            return
        assert number is not None
        self.unit = self.unit or {name: value[name] for name in ("unit", "system", "code") if name in value}
        converted = Fraction(number)
        if code != self.unit["code"]:
            other = ucum.convert(converted, str(code), self.unit["code"])
            if other is None:
                return
            converted = other
        self.points.append(Point(moment, converted))
        self.start = min(self.start, (moment, whole.when("start")))
        self.end = max(self.end, (moment, whole.when("end")))


async def stats(server: Server, request: FhirRequest, target: Target) -> FhirResponse:  # noqa: ARG001
    """Return 200 with Parameters: ``statistics``, an Observation for each code, and the ``source`` if asked for."""
    given = inputs(request, _INPUTS)
    codings, names, bounds = _codings(given), _statistics(given), _bounds(given, server.clock())
    limit = given.number("limit")
    if limit == 0:
        raise error("value", "The parameter limit must be at least 1.")
    subject = given.text("subject")
    if not subject:
        raise missing("$stats is about one subject: give subject, as in Patient/123.")
    rows = await _observations(server, request, subject, codings, bounds)
    made = await _series(server, request, rows, codings)
    parameters: list[dict[str, Any]] = [
        {"name": "statistics", "resource": _observation(one, subject, bounds, names)} for one in made
    ]
    shown = rows[: limit or len(rows)] if given.flag("include") else []
    parameters += [{"name": "source", "resource": msgspec.Raw(row.body)} for row in shown]
    body = encode({"resourceType": "Parameters", "parameter": parameters})
    return FhirResponse(200, (), (body,), large=large_of(shown), shown=rows)


def _codings(given: Inputs) -> list[dict[str, Any]]:
    """Return the codings that are asked for; FhirError 400 without any."""
    system = given.text("system")
    found: list[dict[str, Any]] = list(given.all("coding"))
    for text in given.texts("code"):
        for code in text.split(","):
            before, bar, behind = code.strip().rpartition("|")
            used = before if bar else system
            if not used:
                raise missing("Give the system of the code, or a coding.")
            found.append({"system": used, "code": behind})
    if not found:
        raise missing("$stats needs a code with its system, or a coding.")
    for coding in found:
        if not all(isinstance(coding.get(name), str) and coding[name] for name in ("system", "code")):
            raise error("value", "A coding of $stats has a system and a code.")
    return list({_key(coding): coding for coding in found}.values())


def _key(coding: Mapping[str, Any]) -> Coding:
    return str(coding.get("system", "")), str(coding.get("code", ""))


def _statistics(given: Inputs) -> list[str]:
    names = [name.strip() for text in given.texts("statistic") for name in text.split(",") if name.strip()]
    if not names:
        raise missing(f"$stats needs a statistic, one of {', '.join(STATISTICS)}.")
    names = [ALIASES.get(name, name) for name in names]
    for name in names:
        if name not in STATISTICS:
            raise error("value", f"'{name}' is no statistic: they are {', '.join(STATISTICS)}.")
    return list(dict.fromkeys(names))


def _bounds(given: Inputs, now: int) -> dict[str, str]:
    """Return start and end, "" where the time is open; FhirError 400 if both kinds of time are given."""
    hours, period = given.values.get("duration", [None])[0], given.one("period")
    if hours is not None and period is not None:
        raise error("value", "Give duration or period, not both.")
    if hours is not None:
        if not 0 < hours < 10**7:
            raise error("value", "The parameter duration is a positive number of hours.")
        return {"start": instant(now - int(Decimal(hours) * _HOUR)), "end": instant(now)}
    found = {name: text for name in ("start", "end") if isinstance(text := (period or {}).get(name), str)}
    if period is not None and not found:
        raise error("value", "The period has neither start nor end.")
    return found


async def _observations(
    server: Server,
    request: FhirRequest,
    subject: str,
    codings: Sequence[Mapping[str, Any]],
    bounds: Mapping[str, str],
) -> list[Stored]:
    """Return the subject's observations of these codes in the period, newest first."""
    wanted = ",".join("|".join(map(_escaped, _key(coding))) for coding in codings)
    pairs = [("subject", _escaped(subject)), ("combo-code", wanted), ("status:not", "entered-in-error")]
    pairs += [
        ("date", prefix + bounds[name]) for name, prefix in (("start", "ge"), ("end", "le")) if name in bounds
    ]
    query: SearchQuery = parse(pairs, "Observation", server.registry, base=request.base, now=server.clock())
    query = await answered(server, request, query)
    plan = keys_plan(query.type, query.expression, server.registry, MOST + 1)
    try:
        page = await server.store.search(replace(plan, projection=("s", "p")), request.access)
    except TimeLimit as slow:
        raise too_slow(server, [query]) from slow
    if len(page.rows) > MOST or page.is_cut:
        text = f"More than {MOST} observations, or 16 MB of them, match; ask for a shorter time."
        raise error("too-costly", text)
    return sorted(page.rows, key=_moment, reverse=True)


def _escaped(text: str) -> str:
    for character in "\\,|$":
        text = text.replace(character, "\\" + character)
    return text


def _moment(row: Stored) -> int:
    return milliseconds(row.fields["s"]) if "s" in row.fields else 0


async def _series(
    server: Server, request: FhirRequest, rows: Sequence[Stored], codings: Sequence[dict[str, Any]]
) -> list[Series]:
    """Return the series of each code; those of a panel are its members' and components'."""
    series = {_key(coding): Series(coding) for coding in codings}
    asked, panels = set(series), set()
    members: dict[str, None] = {}
    for row in rows:
        measure = _read(row.body)
        own = [key for coding in measure.code.coding if (key := _key(coding)) in asked]
        is_panel = bool(measure.component or measure.hasMember)
        if is_panel:
            panels.update(own)
        for key in own if measure.valueQuantity is not None or not is_panel else ():
            series[key].add(measure, _moment(row), measure)
        _add_components(series, measure, _moment(row), only=set() if own else asked)
        if own:
            members.update(dict.fromkeys(_names(measure.hasMember, request.base)))
    for name in [row.id for row in rows]:
        members.pop(name, None)
    for row in await fetched(server, request, {"Observation": list(members)}, ("p", "s")):
        measure = _read(row.body)
        if measure.status != "entered-in-error":
            _add(series, measure, _moment(row), measure)
            _add_components(series, measure, _moment(row))
    return [one for key, one in series.items() if key not in panels or one.points]


def _names(references: Iterable[Mapping[str, Any]], base: str) -> list[str]:
    """Return the ids of the Observations of this server that are referred to."""
    entries = (local(str(one.get("reference", "#")), base) or "" for one in references)
    return [entry[12:] for entry in entries if entry.startswith("Observation/")]


def _add_components(
    series: dict[Coding, Series], panel: Measure, moment: int, only: Collection[Coding] = ()
) -> None:
    """Add the components of an observation; ``only`` those of some codes unless it is empty."""
    for component in panel.component:
        component.modifierExtension += panel.modifierExtension
        _add(series, component, moment, panel, only)


def _add(
    series: dict[Coding, Series], measure: Measure, moment: int, whole: Measure, only: Collection[Coding] = ()
) -> None:
    """Add a measure under the codes that have a series, else under the first of its own."""
    keys = [_key(coding) for coding in measure.code.coding]
    known = [key for key in keys if key in series] or keys[:1]
    for key in known:
        if not only or key in only:
            found = series.setdefault(key, Series(measure.code.coding[keys.index(key)]))
            found.add(measure, moment, whole)


def _observation(
    series: Series, subject: str, bounds: Mapping[str, str], names: Sequence[str]
) -> dict[str, Any]:
    measured = {"start": series.start[1], "end": series.end[1]}
    period = {name: text for name, text in ({**bounds} or measured).items() if text}
    return {
        "resourceType": "Observation",
        "status": "final",
        "code": {"coding": [series.coding]},
        "subject": {"reference": subject},
        **({"effectivePeriod": period} if period else {}),
        "component": components(names, series.points, series.unit, series.total),
    }
