"""Dates, dateTimes and times that may be partial, and their comparison with uncertainty.

https://hl7.org/fhirpath/N1/#datetime-precision, https://hl7.org/fhir/R4/datatypes.html#dateTime

A value keeps the fields that were given and no more; two values that agree in all shared fields but differ in
precision can't be ordered. Seconds and their fraction are one field.
"""

from __future__ import annotations

import re
from calendar import monthrange
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import ROUND_DOWN, ROUND_FLOOR, Decimal
from functools import lru_cache
from typing import Literal

Kind = Literal["date", "dateTime", "time"]

_DATE = r"(\d{4})(?:-(\d\d)(?:-(\d\d))?)?"
_TIME = r"(\d\d)(?::(\d\d)(?::(\d\d(?:\.\d+)?))?)?"
_ZONE = r"(Z|[+-]\d\d:\d\d)?"
_DATE_ONLY = re.compile(_DATE, re.ASCII)
_DATE_TIME = re.compile(rf"{_DATE}(?:T(?:{_TIME}{_ZONE})?)?", re.ASCII)
_TIME_ONLY = re.compile(_TIME, re.ASCII)

#: Offsets in minutes that local times on earth can have; a value without offset may have any of them.
WESTMOST, EASTMOST = -12 * 60, 14 * 60

#: Index of a field in ``Temporal.fields`` of dates and dateTimes.
YEAR, MONTH, DAY, HOUR, MINUTE, SECOND = range(6)


@dataclass(frozen=True, slots=True)
class Temporal:
    """A date, dateTime or time with the precision it was written in.

    ``fields`` are year, month, day, hour, minute (int) and second (Decimal, with the digits as written), cut
    after the
    last one that is known; a time begins with the hour. ``offset`` is minutes east of UTC, None when not
    given.
    """

    kind: Kind
    fields: tuple[int | Decimal, ...]
    offset: int | None = None

    @property
    def precision(self) -> int:
        """Return the index of the last known field: YEAR .. SECOND (a time begins at HOUR)."""
        return len(self.fields) - 1 + (HOUR if self.kind == "time" else 0)

    def __str__(self) -> str:
        if self.kind == "time":
            return _clock(self.fields)
        year, *rest = self.fields[:3]
        text = "-".join([f"{year:04}", *(f"{int(v):02}" for v in rest)])
        if self.kind == "date":
            return text
        if len(self.fields) <= HOUR:
            return text
        return f"{text}T{_clock(self.fields[3:])}{offset_text(self.offset)}"


def _clock(fields: tuple[int | Decimal, ...]) -> str:
    parts = [f"{int(v):02}" for v in fields[:2]]
    if len(fields) > 2:
        whole, dot, fraction = format(Decimal(fields[2]), "f").partition(".")
        parts.append(whole.zfill(2) + dot + fraction)
    return ":".join(parts)


def offset_text(offset: int | None) -> str:
    """Return ``Z``, ``+hh:mm``, ``-hh:mm`` or an empty string for an offset in minutes."""
    if offset is None:
        return ""
    if offset == 0:
        return "Z"
    hours, minutes = divmod(abs(offset), 60)
    return f"{'-' if offset < 0 else '+'}{hours:02}:{minutes:02}"


def parse_date(text: str) -> Temporal | None:
    """Return the date ``YYYY``, ``YYYY-MM`` or ``YYYY-MM-DD``, or None when the text isn't one."""
    match = _DATE_ONLY.fullmatch(text)
    return _checked("date", match.groups(), None) if match else None


@lru_cache(maxsize=4096)
def parse_date_time(text: str) -> Temporal | None:
    """Return the dateTime written as in FHIR or as a FHIRPath literal without ``@``, or None."""
    match = _DATE_TIME.fullmatch(text)
    if match is None:
        return None
    *fields, zone = match.groups()
    if fields[HOUR] is not None and fields[DAY] is None:
        return None
    offset = None
    if zone == "Z":
        offset = 0
    elif zone:
        offset = (int(zone[1:3]) * 60 + int(zone[4:])) * (-1 if zone[0] == "-" else 1)
    return _checked("dateTime", tuple(fields), offset)


def parse_time(text: str) -> Temporal | None:
    """Return the time ``hh``, ``hh:mm`` or ``hh:mm:ss.fff``, or None when the text isn't one."""
    match = _TIME_ONLY.fullmatch(text)
    return _checked("time", match.groups(), None) if match else None


def _checked(kind: Kind, groups: tuple[str | None, ...], offset: int | None) -> Temporal | None:
    seconds = 2 if kind == "time" else SECOND
    fields = tuple(Decimal(g) if i == seconds else int(g) for i, g in enumerate(groups) if g is not None)
    clock = fields if kind == "time" else fields[3:]
    if any(value > limit for value, limit in zip(clock, (23, 59, 60), strict=False)):
        return None
    if kind != "time" and not _on_calendar(fields):
        return None
    return Temporal(kind, fields, offset)


def _on_calendar(fields: tuple[int | Decimal, ...]) -> bool:
    year, *rest = (int(v) for v in fields[:3])
    if year == 0 or (rest and not 1 <= rest[0] <= 12):
        return False
    return len(rest) < 2 or 1 <= rest[1] <= monthrange(year, rest[0])[1]


def compare(left: Temporal, right: Temporal) -> int | None:
    """Return -1, 0 or 1, or None when precisions or offsets leave it open or the kinds can't be compared."""
    if (left.kind == "time") != (right.kind == "time"):
        return None
    first, second = left.fields, right.fields
    if len(first) > HOUR and len(second) > HOUR and left.offset != right.offset:
        if left.offset is None or right.offset is None:
            return _compare_unzoned(left, right)
        first, second = _utc_fields(left, left.offset), _utc_fields(right, right.offset)
    for a, b in zip(first, second, strict=False):
        if a != b:
            return -1 if a < b else 1
    return 0 if len(first) == len(second) else None


def _compare_unzoned(left: Temporal, right: Temporal) -> int | None:
    """Compare when one side has no offset: certain only if every offset on earth gives the same answer."""
    if left.offset is None:
        turned = _compare_unzoned(right, left)
        return None if turned is None else -turned
    answers = {compare(left, Temporal("dateTime", right.fields, o)) for o in (WESTMOST, EASTMOST)}
    answer = answers.pop()
    return answer if not answers and answer else None


def _utc_fields(value: Temporal, offset: int) -> tuple[int | Decimal, ...]:
    fields = value.fields
    hour, minute = int(fields[HOUR]), int(fields[MINUTE]) if len(fields) > MINUTE else 0
    try:
        moment = datetime(int(fields[0]), int(fields[1]), int(fields[2]), hour, minute, tzinfo=UTC)
        moment -= timedelta(minutes=offset)
    except OverflowError:  # within a day of year 1 or 9999: no shift can be told from none
        return fields
    shifted = (moment.year, moment.month, moment.day, moment.hour, moment.minute)
    return (*shifted, *fields[SECOND:]) if len(fields) > MINUTE else shifted[:4]


_MILLISECONDS = {
    "week": 604_800_000,
    "day": 86_400_000,
    "hour": 3_600_000,
    "minute": 60_000,
    "second": 1000,
    "millisecond": 1,
}
_FIELD_OF = {"year": YEAR, "month": MONTH, "week": DAY, "day": DAY, "hour": HOUR, "minute": MINUTE,
             "second": SECOND, "millisecond": SECOND}  # fmt: skip


def add(value: Temporal, amount: Decimal, unit: str) -> Temporal | None:
    """Return ``value`` moved by a calendar duration (unit year .. millisecond), None outside years 1-9999.

    The amount loses its fraction except for seconds; a unit finer than the precision of ``value`` counts as
    whole
    units of that precision (https://hl7.org/fhirpath/N1/#datetime-arithmetic).
    """
    if unit == "second":
        amount, unit = amount * 1000, "millisecond"
    count = int(amount.to_integral_value(ROUND_DOWN))
    finest = value.precision
    if _FIELD_OF[unit] > finest and not (unit == "millisecond" and finest == SECOND):
        count, unit = _coarsen(count, unit, finest)
    if value.kind == "time":
        return _add_to_time(value, count, unit)
    if unit in {"year", "month"}:
        return _add_months(value, count * 12 if unit == "year" else count)
    return _add_milliseconds(value, count * _MILLISECONDS[unit])


def _coarsen(count: int, unit: str, finest: int) -> tuple[int, str]:
    milliseconds = count * _MILLISECONDS[unit] if unit in _MILLISECONDS else 0
    target = ("year", "month", "day", "hour", "minute", "second")[finest]
    if unit == "month":
        return _toward_zero(count, 12), "year"
    if target in _MILLISECONDS:
        return _toward_zero(milliseconds, _MILLISECONDS[target]), target
    days = _toward_zero(milliseconds, _MILLISECONDS["day"])
    return _toward_zero(days, 365 if target == "year" else 30), target


def _toward_zero(count: int, size: int) -> int:
    return -(-count // size) if count < 0 else count // size


def _add_to_time(value: Temporal, count: int, unit: str) -> Temporal | None:
    if unit not in _MILLISECONDS:
        return None
    hour, minute, second = (*value.fields, 0, 0)[:3]
    total = (int(hour) * 60 + int(minute)) * 60_000 + Decimal(second) * 1000 + count * _MILLISECONDS[unit]
    whole, left = _floor(total, 60_000)
    hours, minutes = divmod(whole, 60)
    return Temporal("time", (hours % 24, minutes, _seconds(left, second))[: len(value.fields)])


def _floor(value: Decimal, size: int) -> tuple[int, Decimal]:
    """Return quotient and rest of a division rounded down (Decimal's own rounds toward zero)."""
    quotient = int((value / size).to_integral_value(ROUND_FLOOR))
    return quotient, value - quotient * size


def _seconds(milliseconds: Decimal, before: int | Decimal) -> Decimal:
    """Return seconds written with at least the digits that were there before."""
    seconds = milliseconds / 1000
    digits = max(-int(Decimal(before).as_tuple().exponent), 3 if seconds % 1 else 0)
    return seconds.quantize(Decimal(1).scaleb(-digits)) if digits <= 9 else seconds


def _add_months(value: Temporal, count: int) -> Temporal | None:
    fields = value.fields
    months = int(fields[0]) * 12 + (int(fields[1]) - 1 if len(fields) > 1 else 0) + count
    year, month = divmod(months, 12)
    if not 1 <= year <= 9999:
        return None
    day = min(int(fields[2]), monthrange(year, month + 1)[1]) if len(fields) > DAY else 1
    return Temporal(value.kind, (year, month + 1, day, *fields[3:])[: len(fields)], value.offset)


def _add_milliseconds(value: Temporal, milliseconds: int) -> Temporal | None:
    known = len(value.fields)
    year, month, day, hour, minute, second = value.fields + (1, 1, 1, 0, 0, 0)[known:]
    total = Decimal(second) * 1000 + milliseconds
    minutes, left = _floor(total, 60_000)
    try:
        moment = datetime(int(year), int(month), int(day), int(hour), int(minute), tzinfo=UTC)
        moment += timedelta(minutes=minutes)
    except (OverflowError, ValueError):
        return None
    whole = (moment.year, moment.month, moment.day, moment.hour, moment.minute, _seconds(left, second))
    return Temporal(value.kind, whole[: len(value.fields)], value.offset)
