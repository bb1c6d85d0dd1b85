"""Who acts for a person, and until when."""

from __future__ import annotations

import pytest

from fhir_server.access.representing import is_in_force, may_represent


def related(code: str, **more: object) -> dict[str, object]:
    return {"relationship": [{"coding": [{"code": code}]}], **more}


@pytest.mark.parametrize(
    ("who", "born", "today", "may"),
    [
        (related("MTH"), "2020-05-17", "2026-01-01", True),
        (related("MTH"), "2008-05-17", "2026-05-16", True),
        (related("MTH"), "2008-05-17", "2026-05-17", False),
        (related("MTH"), "2008-05", "2026-05-01", False),
        (related("MTH"), "2008", "2026-01-01", False),
        (related("MTH"), "", "2026-01-01", False),
        (related("GUARD"), "1950-01-01", "2026-01-01", True),
        (related("NOK"), "2020-05-17", "2026-01-01", False),
        (related("ECON"), "2020-05-17", "2026-01-01", False),
        (related("MTH", active=False), "2020-05-17", "2026-01-01", False),
        (related("GUARD", period={"end": "2025-12-31"}), "1950-01-01", "2026-01-01", False),
        (related("GUARD", period={"end": "2026"}), "1950-01-01", "2026-06-01", True),
        (related("GUARD", period={"start": "2026-02"}), "1950-01-01", "2026-01-31", False),
        ({}, "2020-05-17", "2026-01-01", False),
        ({"relationship": [{"text": "x"}]}, "2020-05-17", "2026-01-01", False),
        (related("MTH"), "2008", "2025-12-31", True),
        (related("MTH"), "2008-05", "2026-04-30", True),
        (related("GUARD", period={"start": "2026-02-01T10:00:00Z"}), "1950", "2026-02-01", True),
        (related("GUARD", period={"end": "2026-02-01T10:00:00Z"}), "1950", "2026-02-01", True),
        (related("GUARD", period={"end": "2026-02-01T10:00:00Z"}), "1950", "2026-02-02", False),
        (related("TUTEUR"), "1950-01-01", "2026-01-01", True),
        *[
            (related(code), "2020", "2026-01-01", True)
            for code in (
                "PRN",
                "FTH",
                "NMTH",
                "NFTH",
                "NPRN",
                "ADOPTP",
                "ADOPTM",
                "ADOPTF",
                "POWATT",
                "HPOWATT",
            )
        ],
    ],
)
def test_parents_until_majority_and_guardians_while_in_force(who, born, today, may):
    assert may_represent(who, {"birthDate": born}, today) is may


def test_without_a_birth_date_nobody_is_under_age():
    assert not may_represent(related("MTH"), {}, "2026-01-01")


def test_a_relation_holds_in_its_period():
    assert is_in_force({}, "2026-01-01")
    assert is_in_force({"period": {"start": "2026-01-01"}}, "2026-01-01")
    assert not is_in_force({"period": {"start": "2026-01-02"}}, "2026-01-01")
    assert is_in_force({"period": {"start": "2025"}}, "2026-01-01")
