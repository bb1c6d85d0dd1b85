"""The two evaluators of a policy agree on a real database; silence and exclusions grant nothing."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fhir_server.access.policy import (
    EVERYTHING,
    NOTHING,
    AnyOf,
    AtMost,
    Clause,
    NoneOf,
    any_of,
    both,
    either,
    grants,
    none_of,
)

FIELDS = ("p", "_sec.cls", "_sec.lab", "_sec.conf")
TEXTS = st.sampled_from(["a", "b", "c"])
CLASSES = st.one_of(TEXTS, st.none(), st.booleans(), st.integers(0, 2))
DOCUMENTS = st.builds(
    lambda home, keys: {**({} if home is None else {"p": home}), **({} if keys is None else {"_sec": keys})},
    st.one_of(st.none(), TEXTS),
    st.one_of(
        st.none(),
        st.fixed_dictionaries(
            {}, optional={"cls": CLASSES, "lab": st.lists(TEXTS, max_size=3), "conf": st.integers(0, 5)}
        ),
    ),
)
LEAVES = st.one_of(
    st.just(EVERYTHING),
    st.just(NOTHING),
    st.builds(any_of, st.sampled_from(FIELDS[:3]), st.lists(TEXTS, max_size=3)),
    st.builds(none_of, st.sampled_from(FIELDS[:3]), st.lists(TEXTS, max_size=3)),
    st.builds(AtMost, st.just("_sec.conf"), st.integers(0, 5)),
)
CLAUSES = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.lists(inner, min_size=1, max_size=3).map(lambda parts: both(*parts)),
        st.lists(inner, max_size=3).map(lambda parts: either(*parts)),
    ),
    max_leaves=6,
)


@pytest.fixture(scope="module")
def documents(mongo_client, module_database_name):
    return mongo_client[module_database_name]["documents"]


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=st.lists(DOCUMENTS, min_size=1, max_size=6), clause=CLAUSES)
def test_the_filter_and_the_judgement_agree(documents, rows: list[dict[str, Any]], clause: Clause):
    documents.delete_many({})
    documents.insert_many([{**row, "_id": number} for number, row in enumerate(rows)])
    query = clause.as_filter()
    found = [] if query is None else [row["_id"] for row in documents.find(query).sort("_id", 1)]
    assert found == [number for number, row in enumerate(rows) if clause.admits(row)]


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
