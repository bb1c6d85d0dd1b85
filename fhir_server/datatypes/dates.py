"""Partial dates and instants as intervals of milliseconds UTC, both ends inclusive.

https://hl7.org/fhir/R4/datatypes.html#dateTime, https://hl7.org/fhir/R4/search.html#date
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta, tzinfo

#: Milliseconds of the first and last moment that a FHIR date can name: the ends of open periods.
MINIMUM = -62_135_596_800_000
MAXIMUM = 253_402_300_799_999

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_EPOCH_DAY = date(1970, 1, 1).toordinal()
_DAY = 86_400_000
_MILLISECOND = timedelta(milliseconds=1)
_QUERY = re.compile(
    r"\d{4}(-\d\d(-\d\d(T\d\d:\d\d(:\d\d(?P<fraction>\.\d+)?)?(Z|[+-]\d\d:\d\d)?)?)?)?", re.ASCII
)


def interval(text: str, zone: tzinfo = UTC) -> tuple[int, int]:
    """Return the first and last millisecond of a date, dateTime or instant.

    A fraction of a second makes a point, further digits than milliseconds are cut. ``zone`` holds for values
    without offset. Raises ValueError when the text is not a date of the calendar.
    """
    length = len(text)
    if length > 10:
        return _time(text, zone)
    if length == 10:
        day = date.fromisoformat(text)
        if zone is UTC:
            low = (day.toordinal() - _EPOCH_DAY) * _DAY
            return low, low + _DAY - 1
        return _start(day, zone), _before_next(day.toordinal() + 1, zone)
    if length not in {4, 7} or (length == 7 and text[4] != "-") or not text.isascii():
        raise ValueError(f"{text!r} is not a date")
    year, month = int(text[:4]), int(text[5:] or 1)
    first = date(year, month, 1)
    if length == 4:
        return _start(first, zone), _before_next(date(year, 12, 31).toordinal() + 1, zone)
    last = date(year, 12, 31) if month == 12 else date(year, month + 1, 1) - timedelta(days=1)
    return _start(first, zone), _before_next(last.toordinal() + 1, zone)


def search_interval(text: str, zone: tzinfo = UTC) -> tuple[int, int]:
    """Return the interval that the value of a date parameter means.

    A moment between two milliseconds gives an empty interval (low = high + 1): no stored millisecond equals
    it, and all comparisons still hold. Raises ValueError when the text is not a date as R4 search writes it.
    """
    match = _QUERY.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is not a date")
    low, high = interval(text, zone)
    fraction = match["fraction"]
    if fraction and fraction[4:].strip("0"):
        low += 1
    return low, high


def _time(text: str, zone: tzinfo) -> tuple[int, int]:
    if text[17:19] == "60":  # a leap second counts as the second before it
        text = text[:17] + "59" + text[19:]
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=zone)
    low = (moment - _EPOCH) // _MILLISECOND
    if text[16:17] != ":":
        return low, low + 59_999
    return (low, low) if "." in text else (low, low + 999)


def _start(day: date, zone: tzinfo) -> int:
    if zone is UTC:
        return (day.toordinal() - _EPOCH_DAY) * _DAY
    return (datetime(day.year, day.month, day.day, tzinfo=zone) - _EPOCH) // _MILLISECOND


def _before_next(ordinal: int, zone: tzinfo) -> int:
    """Return the last millisecond before a day; the day after the calendar's end is allowed."""
    if zone is UTC:
        return (ordinal - _EPOCH_DAY) * _DAY - 1
    try:
        return _start(date.fromordinal(ordinal), zone) - 1
    except ValueError:
        return MAXIMUM
