"""Dates as intervals, in UTC and in other zones."""

from __future__ import annotations

from zoneinfo import ZoneInfo

import pytest

from fhir_server.datatypes.dates import MAXIMUM, MINIMUM, interval, search_interval

PARIS = ZoneInfo("Europe/Paris")
HOUR = 3_600_000
DAY = 24 * HOUR
JANUARY = 1_577_836_800_000  # 2020-01-01


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2020-01-01", (JANUARY - HOUR, JANUARY + DAY - HOUR - 1)),
        ("2020-03-29", (1_585_436_400_000, 1_585_436_400_000 + 23 * HOUR - 1)),  # summer time begins
        ("2020", (JANUARY - HOUR, JANUARY + 366 * DAY - HOUR - 1)),
        ("2020-01-01T00:00:00", (JANUARY - HOUR, JANUARY - HOUR + 999)),
        ("2020-01-01T00:00:00Z", (JANUARY, JANUARY + 999)),
    ],
)
def test_values_without_offset_are_read_in_the_zone(text, expected):
    assert interval(text, PARIS) == expected


def test_the_calendar_has_two_ends():
    assert interval("0001-01-01")[0] == MINIMUM
    assert interval("9999-12-31")[1] == MAXIMUM
    assert interval("9999", PARIS)[1] == MAXIMUM


@pytest.mark.parametrize(
    "text", ["", "20", "20200", "2020-1", "2020/01", "2020-00", "2020-02-30", "0000", "2020-W01-1", "²⁰²⁰"]
)
def test_what_is_not_a_date(text):
    with pytest.raises(ValueError):  # noqa: PT011 (the text differs)
        search_interval(text)
    if text != "2020-W01-1":
        with pytest.raises(ValueError):  # noqa: PT011
            interval(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2020-01-01T00:00Z", (JANUARY, JANUARY + 59_999)),
        ("2020-01-01T00:00:00.1Z", (JANUARY + 100, JANUARY + 100)),
        ("2020-01-01T00:00:00.1000Z", (JANUARY + 100, JANUARY + 100)),
        ("2020-01-01T00:00:00.1001Z", (JANUARY + 101, JANUARY + 100)),
    ],
)
def test_searched_moments(text, expected):
    assert search_interval(text) == expected
