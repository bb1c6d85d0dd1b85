from __future__ import annotations

from decimal import Decimal

import pytest

from fhir_server.datatypes import temporal
from fhir_server.datatypes.temporal import parse_date, parse_date_time, parse_time

READERS = {"date": parse_date, "dateTime": parse_date_time, "time": parse_time}


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("date", "2020"), ("date", "2020-02"), ("date", "2020-02-29"),
        ("dateTime", "2020"), ("dateTime", "2020-02-29T10:30:00Z"), ("dateTime", "2020-02-29T10:30:00.120+05:30"),
        ("dateTime", "0001-01-01T00:00:00-12:00"), ("time", "10:30:00.5"), ("time", "23:59"),
    ],
)  # fmt: skip
def test_text_comes_back_as_it_was(kind, text):
    assert str(READERS[kind](text)) == text


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("date", "2021-02-29"), ("date", "2020-13"), ("date", "0000"), ("date", "20"), ("date", "2020-1-1"),
        ("dateTime", "2020-01-01T24:00:00Z"), ("dateTime", "2020-01-01T10:61:00Z"), ("dateTime", "2020-01T10:00:00Z"),
        ("time", "24:00:00"), ("time", "10:3"), ("time", "10:00:00Z"),
    ],
)  # fmt: skip
def test_what_is_no_date_or_time_is_not_read(kind, text):
    assert READERS[kind](text) is None


@pytest.mark.parametrize(
    ("left", "right", "result"),
    [
        ("2020", "2021", -1), ("2020", "2020-01", None), ("2020-01-02", "2020-01-02", 0), ("2020-02", "2020-01-31", 1),
        ("2020-01-01T10:00:00Z", "2020-01-01T11:00:00+01:00", 0),
        ("2020-01-01T23:00:00-02:00", "2020-01-02T00:30:00Z", 1),
        ("2020-01-01T10:00:00", "2020-01-01T10:00:00Z", None),
        ("2020-01-01T10:00:00", "2020-01-03T10:00:00Z", -1),
        ("2020-01-03T10:00:00Z", "2020-01-01T10:00:00", 1),
        ("2020-01-01T10:00:00Z", "2020-01-01T10:00:00.000Z", 0),
        ("2020-01-01T10:00:00.5Z", "2020-01-01T10:00:00.49Z", 1),
        ("0001-01-01T00:00:00+14:00", "0001-01-01T00:00:00+14:00", 0),
    ],
)  # fmt: skip
def test_comparison(left, right, result):
    first, second = parse_date_time(left), parse_date_time(right)
    assert temporal.compare(first, second) == result
    assert temporal.compare(second, first) == (None if result is None else -result)


def test_times_and_dates_have_no_order():
    assert temporal.compare(parse_time("10:00:00"), parse_date("2020")) is None


@pytest.mark.parametrize(
    ("start", "amount", "unit", "result"),
    [
        ("2020-01-31", "1", "month", "2020-02-29"), ("2020-02-29", "1", "year", "2021-02-28"),
        ("2020-03-31", "-1", "month", "2020-02-29"), ("2020-12-31", "1", "day", "2021-01-01"),
        ("2020-01-01", "1", "week", "2020-01-08"), ("2020-01-01", "25", "hour", "2020-01-02"),
        ("2020", "23", "month", "2021"), ("2020-01", "-40", "day", "2019-12"), ("2020-01-01", "1.9", "day", "2020-01-02"),
        ("2020-01-01T00:00:00Z", "-1", "second", "2019-12-31T23:59:59Z"),
        ("2020-01-01T00:00:00Z", "0.25", "second", "2020-01-01T00:00:00.250Z"),
        ("2020-01-01T00:00:00.0Z", "90", "minute", "2020-01-01T01:30:00.0Z"),
        ("9999-12-31", "1", "day", None), ("0001-01", "-1", "month", None),
    ],
)  # fmt: skip
def test_arithmetic(start, amount, unit, result):
    value = parse_date_time(start) if "T" in start else parse_date(start)
    moved = temporal.add(value, Decimal(amount), unit)
    assert (None if moved is None else str(moved)) == result


@pytest.mark.parametrize(
    ("start", "amount", "unit", "result"),
    [
        ("23:30:00", "1", "hour", "00:30:00"),
        ("00:00", "-1", "minute", "23:59"),
        ("10:00:00", "1", "year", None),
    ],
)
def test_times_go_round_the_clock(start, amount, unit, result):
    moved = temporal.add(parse_time(start), Decimal(amount), unit)
    assert (None if moved is None else str(moved)) == result
