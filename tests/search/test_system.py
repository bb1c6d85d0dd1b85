"""Pages over several types: every row once, in one order, forwards and backwards, ties and all."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from fhir_server.outcome import FhirError
from fhir_server.search import SystemPager

TYPES = ("Basic", "Flag", "Observation")


@dataclass(frozen=True)
class Typed:
    type: str
    id: str
    key: int


#: Keys with groups inside a type, across types, at both ends, and larger than a page.
KEYS = {"Basic": (9, 7, 7, 4, 1), "Flag": (9, 7, 5, 1, 1), "Observation": (8, 7, 7, 3)}
ROWS = [
    Typed(type_, f"{type_[0].lower()}{number}", key)
    for type_, keys in KEYS.items()
    for number, key in enumerate(keys)
]


@pytest.fixture
def stored(engine):
    for row in ROWS:
        engine.database[row.type].insert_one({"_id": row.id, "lu": row.key})
    engine.database["Flag"].insert_one({"_id": "deleted", "dl": 7, "del": True})
    for type_ in TYPES:
        engine.database[type_].create_index(
            [("lu", -1)], name="lu", partialFilterExpression={"lu": {"$exists": True}}
        )
    return engine


def run(engine, plan):
    rows = engine.database[plan.type].find(
        plan.filter, sort=list(plan.sort), limit=plan.limit, hint=plan.hint
    )
    return [Typed(plan.type, row["_id"], row["lu"]) for row in rows]


def page(engine, pairs, position=None):
    pager = SystemPager([engine.parse(type_, pairs) for type_ in TYPES], engine.registry, position)
    while plans := pager.plans():
        pager.add([row for plan in plans for row in run(engine, plan)])
    return pager


@pytest.mark.parametrize("sort", ["-_lastUpdated", "_lastUpdated"])
@pytest.mark.parametrize("count", [1, 2, 3, 5, 13, 14, 50])
def test_all_rows_once_forwards_and_backwards(stored, sort, count):
    sign = -1 if sort[0] == "-" else 1
    expected = sorted(ROWS, key=lambda row: (sign * row.key, row.type, row.id))
    pairs = [("_count", str(count)), ("_sort", sort)]
    pages = [page(stored, pairs)]
    while pages[-1].next:
        pages.append(page(stored, pairs, pages[-1].next))
    assert [row for one in pages for row in one.rows] == expected
    assert all(0 < len(one.rows) <= count for one in pages)
    assert pages[0].previous is None
    assert pages[0].total == (14 if count >= 14 else None)
    back = [pages[-1].rows]
    at = pages[-1].previous
    while at:
        one = page(stored, pairs, at)
        back.insert(0, one.rows)
        at = one.previous
    assert [row for rows in back for row in rows] == expected


def test_other_orders_are_refused(stored):
    with pytest.raises(FhirError, match="_lastUpdated"):
        page(stored, [("_sort", "_id")])


def test_no_part_that_can_match_needs_no_query(stored):
    pager = page(stored, [("_id", "x"), ("_id", "y")])
    assert (pager.rows, pager.next, pager.total) == ((), None, 0)
