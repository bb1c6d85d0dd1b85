"""Utility functions: https://hl7.org/fhirpath/N1/#utility-functions."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

from fhir_server.datatypes.temporal import Temporal
from fhir_server.fhirpath.evaluation.items import Items, class_of, system
from fhir_server.fhirpath.evaluation.run import Closure, Run, Scope, fail, single
from fhir_server.fhirpath.functions.tables import Table


def _trace(run: Run, source: Items, scope: Scope, name: Closure, projection: Closure | None = None) -> Items:
    if run.env.trace is not None:
        shown = source
        if projection is not None:
            shown = [
                v for i, item in enumerate(source) for v in projection(run, Scope([item], [i], scope.total))
            ]
        label = system(single(name(run, scope), "trace()"))
        run.env.trace(str(label), [getattr(item, "value", item) for item in shown])
    return source


def _iif(run: Run, source: Items, scope: Scope, criterion: Closure, *results: Closure) -> Items:
    then, otherwise = (*results, None)[:2]
    single(source, "iif()")
    inner = Scope(source, scope.index, scope.total)
    items = criterion(run, inner)
    value = single(items, "the criterion of iif()")
    condition = system(value) if items else None
    if items and not isinstance(condition, bool):
        raise fail("the criterion of iif() is not a Boolean")
    chosen = then if condition else otherwise
    return chosen(run, inner) if chosen is not None else []


def _clock(run: Run) -> datetime:
    if run.env.clock is None:
        raise fail("there is no clock for now(), today() and timeOfDay()")
    return run.env.clock()


def _date_fields(moment: datetime) -> tuple[int | Decimal, ...]:
    return (moment.year, moment.month, moment.day)


def _time_fields(moment: datetime) -> tuple[int | Decimal, ...]:
    milliseconds = Decimal(moment.microsecond // 1000) / 1000
    return (moment.hour, moment.minute, (moment.second + milliseconds).quantize(Decimal("0.001")))


def _now(run: Run, _source: Items) -> Items:
    moment = _clock(run)
    shift = moment.utcoffset()
    offset = None if shift is None else int(shift.total_seconds() // 60)
    return [Temporal("dateTime", (*_date_fields(moment), *_time_fields(moment)), offset)]


def _today(run: Run, _source: Items) -> Items:
    return [Temporal("date", _date_fields(_clock(run)))]


def _time_of_day(run: Run, _source: Items) -> Items:
    return [Temporal("time", _time_fields(_clock(run)))]


def _type(_run: Run, source: Items) -> Items:
    return [class_of(item) for item in source]


VALUES: Table = {"now": (_now, 0), "today": (_today, 0), "timeOfDay": (_time_of_day, 0), "type": (_type, 0)}
EXPRESSIONS: Table = {"trace": (_trace, (1, 2)), "iif": (_iif, (2, 3))}
