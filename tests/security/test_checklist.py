"""The table of what is proved is the one that the tests make."""

from __future__ import annotations

from tests.security.checklist import (
    FILE,
    FLOOR,
    FLOOR_PROVED,
    LEFT_OUT,
    ROWS,
    counts,
    missing,
    proving,
    table,
)


def test_the_table_is_up_to_date():
    assert FILE.read_text(encoding="utf-8") == table(), "run: python tests/security/checklist.py"


def test_only_rows_of_the_checklist_are_named():
    assert proving().keys() <= set(ROWS)
    assert LEFT_OUT.keys() <= proving().keys()


def test_what_stands_elsewhere_exists():
    assert missing() == []


def test_the_count_of_proved_rows_does_not_drop():
    tested, proved = counts()
    assert tested >= FLOOR
    assert proved >= FLOOR_PROVED
