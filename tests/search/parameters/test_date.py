from __future__ import annotations

from zoneinfo import ZoneInfo

import pytest

from fhir_server.datatypes.dates import MAXIMUM, MINIMUM
from fhir_server.outcome import FhirError

DAY = 86_400_000
JANUARY = 1_577_836_800_000  # 2020-01-01

ENTRIES = [
    ({"effectiveDateTime": "2020"}, (JANUARY, JANUARY + 366 * DAY - 1)),
    ({"effectiveDateTime": "2020-02"}, (JANUARY + 31 * DAY, JANUARY + 60 * DAY - 1)),
    ({"effectiveDateTime": "2020-01-01"}, (JANUARY, JANUARY + DAY - 1)),
    ({"effectiveDateTime": "2020-01-01T00:00:00+01:00"}, (JANUARY - 3_600_000, JANUARY - 3_600_000 + 999)),
    ({"effectiveDateTime": "2020-01-01T00:00:00.5Z"}, (JANUARY + 500, JANUARY + 500)),
    ({"effectiveDateTime": "2020-01-01T00:00:00.1239999Z"}, (JANUARY + 123, JANUARY + 123)),
    ({"effectiveDateTime": "2016-12-31T23:59:60Z"}, (1_483_228_799_000, 1_483_228_799_999)),
    ({"effectiveInstant": "2020-01-01T00:00:00.000Z"}, (JANUARY, JANUARY)),
    ({"effectivePeriod": {"start": "2020-01-01"}}, (JANUARY, MAXIMUM)),
    ({"effectivePeriod": {"end": "2020-01-01"}}, (MINIMUM, JANUARY + DAY - 1)),
    ({"effectiveDateTime": "9999-12-31"}, (MAXIMUM - DAY + 1, MAXIMUM)),
    ({"effectiveDateTime": "0001"}, (MINIMUM, MINIMUM + 365 * DAY - 1)),
    ({"effectiveTiming": {"event": ["2020-01-03", "2020-01-01"]}}, (JANUARY, JANUARY + 3 * DAY - 1)),
    (
        {"effectiveTiming": {"repeat": {"boundsPeriod": {"start": "2020-01-01", "end": "2020-01-02"}}}},
        (JANUARY, JANUARY + 2 * DAY - 1),
    ),
]


@pytest.mark.parametrize(("effective", "interval"), ENTRIES, ids=str)
def test_entry(asked, effective, interval):
    entries = asked.entries({"resourceType": "Observation", **effective})

    assert entries.values["date"] == {"l": interval[0], "h": interval[1]}
    assert entries.main_date == interval[1]


def test_a_path_that_repeats_always_makes_an_array(asked):
    entries = asked.entries({"resourceType": "Encounter", "location": [{"period": {"start": "2020-01-01"}}]})

    assert entries.values["location-period"] == [{"l": JANUARY, "h": MAXIMUM}]


# The searched day is 2020-01-10; the targets lie around and across it.
TARGETS = {
    "before": {"start": "2020-01-01", "end": "2020-01-09"},
    "into": {"start": "2020-01-09", "end": "2020-01-10T12:00:00Z"},
    "inside": {"start": "2020-01-10T06:00:00Z", "end": "2020-01-10T12:00:00Z"},
    "same": {"start": "2020-01-10", "end": "2020-01-10"},
    "out of": {"start": "2020-01-10T12:00:00Z", "end": "2020-01-11"},
    "across": {"start": "2020-01-09", "end": "2020-01-11"},
    "after": {"start": "2020-01-11", "end": "2020-01-12"},
    "since": {"start": "2020-01-10T12:00:00Z"},
    "until": {"end": "2020-01-10T12:00:00Z"},
}
PREFIXES = {
    "": "inside same",
    "eq": "inside same",
    "ne": "before|into|out of|across|after|since|until",
    "gt": "out of|across|after|since",
    "lt": "before|into|across|until",
    "ge": "inside|same|out of|across|after|since",  # not "into": it ends before the day does, and is not inside
    "le": "before|into|inside|same|across|until",
    "sa": "after",
    "eb": "before",
    "ap": "into|inside|same|out of|across|since|until|before|after",
}


@pytest.mark.parametrize("prefix", PREFIXES)
@pytest.mark.parametrize("target", TARGETS)
def test_prefix(asked, prefix, target):
    resource = {"resourceType": "Observation", "effectivePeriod": TARGETS[target]}
    separator = "|" if "|" in PREFIXES[prefix] or " " not in PREFIXES[prefix] else " "

    assert asked.matches(resource, "date", prefix + "2020-01-10") == (
        target in PREFIXES[prefix].split(separator)
    )


@pytest.mark.parametrize("prefix", PREFIXES)
def test_nothing_matches_what_is_not_there(asked, prefix):
    assert not asked.matches({"resourceType": "Observation"}, "date", prefix + "2020-01-10")


def test_a_plus_sign_may_have_become_a_space(asked):
    resource = {"resourceType": "Observation", "effectiveDateTime": "2020-01-01T00:00:00+01:00"}

    assert asked.matches(resource, "date", "2020-01-01T00:00:00 01:00")


@pytest.mark.parametrize(
    "value",
    [
        "2020-1-1",
        "20",
        "2020-13",
        "2020-02-30",
        "2020-01-01T10",
        "2020-01-01T25:00",
        "xx2020",
        "yesterday",
        "\uff12\uff10\uff12\uff10",
        "2020-01-01T10:00:00+1",
    ],
)
def test_what_is_not_a_date_is_refused(asked, value):
    with pytest.raises(FhirError, match=r"Parameter 'date': .* is not a date") as caught:
        asked.expression("Observation", "date", value)
    assert caught.value.status == 400


# Updated at midnight of 2020-01-01.
@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("2020", True), ("2019", False), ("gt2019", True), ("gt2020", False), ("ge2020-01-01", True),
        ("lt2020-01-01", False), ("le2020-01-01", True), ("sa2019-12-31", True), ("eb2020-01-01", False),
        ("ne2020", False), ("ne2021", True), ("2020-01-01T00:00:00.000Z", True), ("gt2020-01-01T00:00:00.000Z", False),
    ],
)  # fmt: skip
def test_last_updated(asked, value, expected):
    assert asked.matches({"resourceType": "Basic"}, "_lastUpdated", value) == expected


def test_dates_without_offset_are_read_in_the_servers_zone(asked_in):
    local = asked_in(ZoneInfo("Europe/Paris"))
    late = {"resourceType": "Observation", "effectiveDateTime": "2019-12-31T23:30:00Z"}  # 00:30 in Paris
    day = {"resourceType": "Observation", "effectivePeriod": {"start": "2020-01-01", "end": "2020-01-01"}}

    assert local.matches(late, "date", "2020-01-01")
    assert not local.matches(late, "date", "2019-12-31")
    assert local.matches(day, "date", "2020-01-01")
    assert local.entries(day).values["date"] == {"l": JANUARY - 3_600_000, "h": JANUARY + DAY - 3_600_001}
