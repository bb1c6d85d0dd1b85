"""Silence and exclusions grant nothing; clauses are put together to what decides."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings

from fhir_server.access.policy import (
    EVERYTHING,
    HOME,
    NOTHING,
    AnyOf,
    AtLeast,
    AtMost,
    Both,
    Clause,
    Either,
    Matching,
    Missing,
    NoneOf,
    Unless,
    any_of,
    both,
    either,
    grants,
    none_of,
    of_deletions,
    unless,
)
from tests.access.clauses import CLAUSES


@settings(max_examples=60, deadline=None)
@given(clause=CLAUSES)
def test_a_positive_clause_shows_nothing_without_keys(clause: Clause):
    if clause.is_positive and not _has(clause, EVERYTHING):
        assert not clause.admits({"_id": "x"})


def _has(clause: Any, part: Clause) -> bool:
    return clause == part or any(_has(inner, part) for inner in getattr(clause, "clauses", ()))


def test_silence_grants_nothing():
    assert any_of("p", []) == NOTHING
    assert either() == NOTHING
    with pytest.raises(ValueError, match="conjunction of nothing"):
        both()


def test_what_decides_alone_is_all_that_remains():
    home = any_of("p", ["a"])
    assert both(home, NOTHING) == NOTHING
    assert either(home, EVERYTHING) == EVERYTHING
    assert both(home, EVERYTHING) == home
    assert either(home, NOTHING) == home
    assert NOTHING.as_filter() is None


def test_a_policy_of_exclusions_is_refused():
    with pytest.raises(ValueError, match="exclusions"):
        grants(NoneOf("_sec.lab", ("PSY",)))
    with pytest.raises(ValueError, match="exclusions"):
        grants(either(AnyOf("p", ("a",)), NoneOf("_sec.lab", ("PSY",))))
    kept = both(AnyOf("p", ("a",)), NoneOf("_sec.lab", ("PSY",)))
    assert grants(kept) is kept


A, B = AnyOf("a", (1,)), AnyOf("b", (2,))
IN_LIST, NOT = AnyOf("a", (1, 2)), NoneOf("a", (1,))
FOUND = Matching("q", {"i.code": 1}, lambda document: document["i"] == {"code": 1})
#: A clause, its filter, documents that it admits, documents that it doesn't.
LEAVES: list[tuple[Clause, Any, list[Any], list[Any]]] = [
    (EVERYTHING, {}, [{}], []),
    (NOTHING, None, [], [{}, {"a": 1}]),
    (A, {"a": 1}, [{"a": 1}, {"a": [3, 1]}, {"a": (1,)}], [{}, {"a": 2}, {"a": []}, {"a": None}]),
    (IN_LIST, {"a": {"$in": [1, 2]}}, [{"a": 1}, {"a": 2}], [{"a": 3}]),
    (NOT, {"a": {"$nin": [1]}}, [{}, {"a": 2}, {"a": []}], [{"a": 1}, {"a": [2, 1]}]),
    (AtMost("s.n", 3), {"s.n": {"$lte": 3}}, [{"s": {"n": 3}}, {"s": {"n": 2}}], [{"s": {"n": 4}}, {}, {"s": {"n": True}}]),
    (AtLeast("s.n", 3), {"s.n": {"$gte": 3}}, [{"s": {"n": 3}}, {"s": {"n": 4}}], [{"s": {"n": 2}}, {}, {"s": {"n": True}}]),
    (AtLeast("n", 1), {"n": {"$gte": 1}}, [{"n": [0, 2]}], [{"n": "2"}, {"n": [0]}]),
    (Missing("s.n"), {"s.n": {"$exists": False}}, [{}, {"s": {}}, {"s": 1}], [{"s": {"n": 0}}]),
    (FOUND, {"$and": [{"i": {"$exists": True}}, {"i.code": 1}]}, [{"i": {"code": 1}}], [{}, {"i": {}}]),
    (Both((A, B)), {"$and": [{"a": 1}, {"b": 2}]}, [{"a": 1, "b": 2}], [{"a": 1}, {"b": 2}]),
    (Either((A, B)), {"$or": [{"a": 1}, {"b": 2}]}, [{"a": 1}, {"b": 2}], [{}]),
    (Unless(A), {"$nor": [{"a": 1}]}, [{}, {"a": 2}], [{"a": 1}]),
]  # fmt: skip


@pytest.mark.parametrize(("clause", "query", "admitted", "refused"), LEAVES)
def test_a_clause_is_a_filter_and_a_judgement(clause, query, admitted, refused):
    assert clause.as_filter() == query
    assert [clause.admits(document) for document in admitted] == [True] * len(admitted)
    assert [clause.admits(document) for document in refused] == [False] * len(refused)


@pytest.mark.parametrize(
    ("clause", "is_positive"),
    [
        (EVERYTHING, True), (NOTHING, True), (A, True), (NOT, False), (AtMost("a", 1), True), (AtLeast("a", 1), True),
        (Missing("a"), False), (FOUND, True), (Both((A, NOT)), True), (Both((NOT, NOT)), False), (Either((A, NOT)), False),
        (Either((A, B)), True), (Unless(A), False), (Unless(NOT), False),
    ],
)  # fmt: skip
def test_only_what_needs_a_field_is_positive(clause, is_positive):
    assert clause.is_positive is is_positive


def test_what_is_put_together_is_flat_and_without_repetition():
    assert both(A, both(B, NOT), A) == Both((A, B, NOT))
    assert either(A, either(B, NOT), A) == Either((A, B, NOT))
    assert both(A, A) == A == either(A, A)
    assert both(EVERYTHING) == EVERYTHING
    assert either(NOTHING) == NOTHING
    assert any_of("a", [1, 1, 2]) == IN_LIST
    assert none_of("a", [1, 1]) == NOT
    assert none_of("a", []) == EVERYTHING
    assert unless(unless(A)) == A
    assert unless(A) == Unless(A)
    assert (unless(EVERYTHING), unless(NOTHING)) == (NOTHING, EVERYTHING)


def test_a_deletion_has_its_home_in_its_keys():
    assert of_deletions(both(any_of(HOME, ["x"]), any_of("p2", ["y", "z"])).as_filter()) == {
        "$and": [{"_sec.own": "x"}, {"p2": {"$in": ["y", "z"]}}]
    }
    home = any_of(HOME, ["x"])
    assert home.admits({"_sec": {"own": "x"}})
    assert not home.admits({"p": "y", "_sec": {"own": "x"}})
