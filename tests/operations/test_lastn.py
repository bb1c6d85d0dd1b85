"""Observation/$lastn over HTTP; the cases of R4's table of codes."""

from __future__ import annotations

import itertools

import pytest

_numbers = itertools.count(1)
VITAL = {"system": "http://terminology.hl7.org/CodeSystem/observation-category", "code": "vital-signs"}
A, B, C = ({"system": "urn:lastn", "code": code} for code in "abc")


@pytest.fixture
def store(fhir):
    """Return a function that stores observations of a new patient: (name, codings or text, date or period)."""

    def run(*rows):
        mark = f"ln{next(_numbers)}"
        patient = f"Patient/{mark}"
        assert fhir.put(patient, json={"resourceType": "Patient", "id": mark}).status_code == 201
        for name, code, when in rows:
            body = {
                "resourceType": "Observation", "id": f"{mark}-{name}", "status": "final",
                "category": [{"coding": [VITAL]}], "subject": {"reference": patient},
                "code": {"text": code} if isinstance(code, str) else {"coding": code},
            }  # fmt: skip
            if isinstance(when, dict):
                body["effectivePeriod"] = when
            elif when:
                body["effectiveDateTime"] = when
            assert fhir.put(f"Observation/{body['id']}", json=body).status_code == 201
        return patient

    return run


def found(answer):
    """Return the names of the observations, in order."""
    assert answer.status_code == 200, answer.text
    bundle = answer.json()
    assert bundle["type"] == "searchset"
    assert bundle["total"] == len(bundle.get("entry", ()))
    return [entry["resource"]["id"].partition("-")[2] for entry in bundle.get("entry", ())]


def ask(fhir, patient, **parameters):
    return found(
        fhir.get("Observation/$lastn", params={"patient": patient, "category": "vital-signs", **parameters})
    )


@pytest.mark.parametrize(
    ("codes", "groups"),
    [
        (([A], [B], [C]), 3),
        (([A], [B], [A, C]), 2),
        (([A], [B], [A, B]), 1),
        (("textM", "Text", "t e x t"), 3),
        (("same", "same", [A]), 2),
        (([A], [{**A, "system": "urn:other"}], [{"code": "a"}]), 3),
    ],
)
def test_groups(fhir, store, codes, groups):
    patient = store(*((f"o{day}", code, f"2026-01-0{day}") for day, code in enumerate(codes, 1)))
    assert len(ask(fhir, patient)) == groups


def test_the_newest_of_each_group(fhir, store):
    patient = store(
        ("a1", [A], "2026-01-01"), ("a3", [A], "2026-01-03"), ("a2", [A], "2026-01-02"), ("b", [B], "2025-01-01"),
        ("none", [B], None), ("period", [C], {"start": "2020-01-01", "end": "2026-02-01"}),
    )  # fmt: skip
    assert ask(fhir, patient) == ["period", "a3", "b"]
    assert ask(fhir, patient, max=2) == ["period", "a3", "a2", "b", "none"]
    assert ask(fhir, patient, code="urn:lastn|a,urn:lastn|b") == ["a3", "b"]
    assert ask(fhir, patient, code="a", max=9) == ["a3", "a2", "a1"]
    assert ask(fhir, patient, date="le2026-01-02", max=1) == ["period", "a2", "b"]


def test_ties(fhir, store):
    """All of the last moment are there, though they are more than max; 30 of them need a second look."""
    moment = "2026-01-02T10:00:00Z"
    patient = store(
        ("new", [A], "2026-01-03T10:00:00Z"),
        *((f"tie{number:02d}", [A], moment) for number in range(30)),
        ("old", [A], "2026-01-01"),
        ("other", [A], "2026-01-02T10:00:01Z"),
    )
    assert ask(fhir, patient, max=1) == ["new"]
    assert ask(fhir, patient, max=2) == ["new", "other"]
    assert set(ask(fhir, patient, max=3)) == {"new", "other", *(f"tie{number:02d}" for number in range(30))}


def test_undated_observations_do_not_tie(fhir, store):
    assert ask(fhir, store(("u1", [A], None), ("u2", [A], None))) == ["u2"]


def test_other_subjects_stay_out(fhir, store):
    patient, other = store(("mine", [A], "2026-01-01")), store(("theirs", [A], "2026-01-02"))
    assert ask(fhir, patient) == ["mine"]
    both = f"{patient},{other}"
    assert ask(fhir, both) == ["theirs", "mine"]


def test_nothing_is_no_error(fhir):
    assert ask(fhir, "Patient/nobody-at-all") == []


def test_post(fhir, store):
    patient = store(("a1", [A], "2026-01-01"), ("a2", [A], "2026-01-02"), ("b", [B], "2026-01-02"))
    parameters = [
        {"name": "subject", "valueReference": {"reference": patient}},
        {"name": "code", "valueCoding": A},
        {"name": "max", "valuePositiveInt": 5},
    ]
    body = {"resourceType": "Parameters", "parameter": parameters}
    assert found(fhir.post("Observation/$lastn", json=body)) == ["a2", "a1"]
    answer = fhir.post("Observation/$lastn", json=body, headers={"Accept": "application/fhir+xml"})
    assert answer.text.count("<Observation>") == 2


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("patient=1", "required"),
        ("category=vital-signs", "required"),
        ("patient=1&category=vital-signs&max=0", "value"),
        ("patient=1&category=vital-signs&max=some", "value"),
        ("patient=1&category=vital-signs&max=1&max=2", "value"),
        ("patient=1&category=vital-signs&_sort=date", "not-supported"),
        ("patient=1&category=vital-signs&_include=*", "not-supported"),
        ("patient=1&category=vital-signs&nonsense=1", "not-supported"),
    ],
)
def test_what_is_refused(fhir, query, code):
    answer = fhir.get(f"Observation/$lastn?{query}")
    assert answer.status_code == 400
    assert answer.json()["issue"][0]["code"] == code
