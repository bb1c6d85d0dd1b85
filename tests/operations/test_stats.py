"""Observation/$stats over HTTP."""

from __future__ import annotations

import datetime as dt
import itertools
import statistics

import pytest

_numbers = itertools.count(1)
LOINC, UCUM = "http://loinc.org", "http://unitsofmeasure.org"
WEIGHT = {"system": LOINC, "code": "29463-7"}
PANEL, SYSTOLIC, DIASTOLIC = ({"system": LOINC, "code": code} for code in ("85354-9", "8480-6", "8462-4"))


def quantity(value, code="kg"):
    return {"value": value, "unit": code, "system": UCUM, "code": code}


@pytest.fixture
def store(fhir):
    """Return a function that stores observations of a new patient."""

    def run(*rows):
        patient = f"Patient/st{next(_numbers)}"
        fhir.put(patient, json={"resourceType": "Patient", "id": patient[8:]}).raise_for_status()
        for row in rows:
            body = {"resourceType": "Observation", "status": "final", "code": {"coding": [WEIGHT]},
                    "subject": {"reference": patient}, **row}  # fmt: skip
            answer = (
                fhir.post("Observation", json=body)
                if "id" not in row
                else fhir.put(f"Observation/{row['id']}", json=body)
            )
            assert answer.status_code == 201, answer.text
        return patient

    return run


def weights(*values):
    """Return one measure a day."""
    return [
        {"valueQuantity": quantity(value), "effectiveDateTime": f"2026-01-{day:02d}T00:00:00Z"}
        for day, value in enumerate(values, 1)
    ]


def figures(observation):
    """Return the values by statistic, None where there is none; and check the units' system."""
    return {
        row["code"].get("text", row["code"]["coding"][0]["code"]): row.get("valueQuantity", {}).get("value")
        for row in observation["component"]
    }


def ask(fhir, patient, *names, code="29463-7", **more):
    parameters = {"subject": patient, "code": code, "system": LOINC, "statistic": names, **more}
    answer = fhir.get("Observation/$stats", params=parameters)
    assert answer.status_code == 200, answer.text
    return [row["resource"] for row in answer.json()["parameter"] if row["name"] == "statistics"]


VALUES = [70, 72.5, 71, 74, 75.25]
PERCENTILES = {"20-percent": 70.8, "80-percent": 74.25, "4-lower": 71, "4-upper": 74, "4-dev": 1.5, "median": 72.5,
               "5-1": 70.8, "5-2": 71.9, "5-3": 73.1, "5-4": 74.25}  # fmt: skip


def test_all_statistics(fhir, store):
    names = ["average", "maximum", "minimum", "count", "total-count", "std-dev", "sum", "variance", "skew", "kurtosis",
             "regression", *PERCENTILES]  # fmt: skip
    [found] = ask(fhir, store(*weights(*VALUES)), *names)
    deviations = [value - statistics.fmean(VALUES) for value in VALUES]
    second, third, fourth = (statistics.fmean(d**n for d in deviations) for n in (2, 3, 4))
    line = statistics.linear_regression(range(5), VALUES)
    expected = {
        "average": 72.55, "maximum": 75.25, "minimum": 70, "count": 5, "total-count": 5,
        "std-dev": statistics.stdev(VALUES), "sum": 362.75, "variance": statistics.variance(VALUES),
        "skew": third / second**1.5, "kurtosis": fourth / second**2,
        "gradient": line.slope, "intercept": line.intercept, **PERCENTILES,
    }  # fmt: skip
    assert figures(found) == pytest.approx(expected, rel=1e-9)
    assert found["effectivePeriod"] == {"start": "2026-01-01T00:00:00Z", "end": "2026-01-05T00:00:00Z"}
    assert found["code"]["coding"] == [WEIGHT]
    units = {row["code"]["coding"][0]["code"]: row["valueQuantity"].get("code") for row in found["component"]}
    assert (units["average"], units["variance"], units["count"], units["skew"]) == ("kg", "kg2", "1", "1")


def test_units_are_those_of_the_newest(fhir, store):
    patient = store(
        {"valueQuantity": quantity(80000, "g"), "effectiveDateTime": "2026-01-01"},
        {"valueQuantity": quantity(165, "[lb_av]"), "effectiveDateTime": "2026-01-02"},
        {"valueQuantity": quantity(82, "kg"), "effectiveDateTime": "2026-01-03"},
        {"valueQuantity": quantity(37, "Cel"), "effectiveDateTime": "2026-01-02"},
    )
    [found] = ask(fhir, patient, "average", "count", "total-count", "max", "min")
    assert figures(found) == pytest.approx(
        {"average": (80 + 165 * 0.45359237 + 82) / 3, "count": 3, "total-count": 4, "maximum": 82,
         "minimum": 165 * 0.45359237}
    )  # fmt: skip


def test_what_does_not_count(fhir, store):
    patient = store(
        *weights(80),
        {"valueQuantity": quantity(1), "status": "entered-in-error"},
        {"valueQuantity": {**quantity(2), "comparator": "<"}},
        {"valueQuantity": {"value": 3, "unit": "kg"}},
        {"valueString": "heavy"},
        {"valueQuantity": quantity(4), "modifierExtension": [{"url": "urn:x:not", "valueBoolean": True}]},
    )
    [found] = ask(fhir, patient, "average", "count", "total-count")
    assert figures(found) == {"average": 80, "count": 1, "total-count": 5}


def test_nothing_measured(fhir, store):
    [found] = ask(fhir, store(), "average", "count", "variance", "skew", "regression")
    assert figures(found) == dict.fromkeys(["average", "variance", "skew", "gradient", "intercept"]) | {
        "count": 0
    }
    assert found["component"][0]["dataAbsentReason"]["coding"][0]["code"] == "not-applicable"
    [one] = ask(fhir, store(*weights(80)), "average", "variance", "std-dev", "kurtosis", "regression")
    assert [value for value in figures(one).values() if value is not None] == [80]


def test_duration_and_period(fhir, store):
    now = dt.datetime.now(dt.UTC)
    times = [(now - dt.timedelta(hours=hours)).isoformat(timespec="seconds") for hours in (0.5, 3, 30)]
    patient = store(
        *({"valueQuantity": quantity(n), "effectiveDateTime": at} for n, at in enumerate(times, 1))
    )
    for duration, number in (("1", 1), ("4.5", 2), ("100", 3)):
        [found] = ask(fhir, patient, "count", duration=duration)
        assert figures(found) == {"count": number}
    parameters = [
        {"name": "subject", "valueUri": patient},
        {"name": "coding", "valueCoding": WEIGHT},
        {"name": "statistic", "valueCode": "sum"},
        {"name": "period", "valuePeriod": {"start": times[1]}},
        {"name": "include", "valueBoolean": True},
        {"name": "limit", "valuePositiveInt": 1},
    ]
    body = {"resourceType": "Parameters", "parameter": parameters}
    answer = fhir.post("Observation/$stats", json=body).json()["parameter"]
    assert figures(answer[0]["resource"]) == {"sum": 3}
    assert answer[0]["resource"]["effectivePeriod"] == {"start": times[1]}
    assert [(row["name"], row["resource"]["valueQuantity"]["value"]) for row in answer[1:]] == [("source", 1)]
    xml = fhir.post("Observation/$stats", json=body, headers={"Accept": "application/fhir+xml"})
    assert xml.text.count("<Observation>") == 2


def pressure(systolic, diastolic):
    return {
        "code": {"coding": [PANEL]},
        "component": [
            {"code": {"coding": [SYSTOLIC]}, "valueQuantity": quantity(systolic, "mm[Hg]")},
            {"code": {"coding": [DIASTOLIC]}, "valueQuantity": quantity(diastolic, "mm[Hg]")},
        ],
    }


def test_panels(fhir, store):
    patient = store(pressure(120, 80), pressure(130, 90))
    found = ask(fhir, patient, "average", code="85354-9")
    assert {row["code"]["coding"][0]["code"]: figures(row)["average"] for row in found} == {
        "8480-6": 125,
        "8462-4": 85,
    }
    [systolic] = ask(fhir, patient, "average", code="8480-6")
    assert figures(systolic) == {"average": 125}


def test_members_of_a_panel(fhir, store):
    mark = f"member{next(_numbers)}"
    patient = store(
        {"id": f"{mark}-a", **weights(80)[0]},
        {"id": f"{mark}-b", **weights(90)[0]},
        {"code": {"coding": [PANEL]}, "hasMember": [{"reference": f"Observation/{mark}-a"}]},
    )
    [found] = ask(fhir, patient, "sum", code="85354-9")
    assert (found["code"]["coding"][0]["code"], figures(found)) == ("29463-7", {"sum": 80})


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("code=1&system=x&statistic=count", "required"),
        ("subject=Patient/1&statistic=count", "required"),
        ("subject=Patient/1&code=1&statistic=count", "required"),
        ("subject=Patient/1&code=1&system=x", "required"),
        ("subject=Patient/1&code=1&system=x&statistic=mode", "value"),
        ("subject=Patient/1&code=1&system=x&statistic=count&duration=long", "value"),
        ("subject=Patient/1&code=1&system=x&statistic=count&duration=-1", "value"),
        ("subject=Patient/1&code=1&system=x&statistic=count&limit=0", "value"),
        ("subject=Patient/1&code=1&system=x&statistic=count&period=2026", "value"),
        ("subject=Patient/1&code=1&system=x&statistic=count&more=1", "not-supported"),
    ],
)
def test_what_is_refused(fhir, query, code):
    answer = fhir.get(f"Observation/$stats?{query}")
    assert answer.status_code == 400
    assert answer.json()["issue"][0]["code"] == code
