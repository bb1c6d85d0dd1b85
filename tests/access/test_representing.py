"""Who acts for a person, and until when."""

from __future__ import annotations

import pytest

from fhir_server.access.representing import may_represent


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
    ],
)
def test_parents_until_majority_and_guardians_while_in_force(who, born, today, may):
    assert may_represent(who, {"birthDate": born}, today) is may
