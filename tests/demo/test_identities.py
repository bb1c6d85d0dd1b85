"""National numbers and their keys, against published ones; the offset of Paris."""

from __future__ import annotations

from datetime import date

import pytest

from fhir_server.demo.citizens import at
from fhir_server.demo.identities import ins, rpps, uuid, with_key


@pytest.mark.parametrize(
    ("thirteen", "key"),
    [
        ("2690549588157", "80"), ("1891275125012", "82"), ("2061275111005", "64"), ("1234567890122", "12"),
        ("186022A215325", "23"), ("248112B342001", "72"), ("2220199123456", "70"), ("160012A123456", "30"),
    ],
)  # fmt: skip
def test_the_key_of_an_ins(thirteen, key):
    assert with_key(thirteen) == thirteen + key


def test_citizens_of_a_seed_never_share_an_ins():
    born = date(1990, 5, 1)
    some = [0, 1, 998, 999, 989_009, 989_010, 989_011, 2_000_000]
    assert len({ins(index, 0, is_male=True, born=born) for index in some}) == len(some)
    assert ins(0, 0, is_male=False, born=born).startswith("29005")


def test_the_luhn_key_of_an_rpps():
    assert rpps(1) == "99700000013"
    assert rpps(21_889) == "99700218896"


def test_a_uuid_is_the_same_for_a_name():
    assert uuid("a") == uuid("a") != uuid("b")
    assert uuid("a").startswith("urn:uuid:")


@pytest.mark.parametrize(
    ("day", "offset"),
    [
        ("2026-03-28", 1),
        ("2026-03-29", 2),
        ("2026-10-24", 2),
        ("2026-10-25", 1),
        ("2011-07-01", 2),
        ("2011-01-01", 1),
    ],
)
def test_the_offset_of_paris(day, offset):
    assert at(date.fromisoformat(day), "08:05") == f"{day}T08:05:00+0{offset}:00"
