"""Random clauses, and random documents for them."""

from __future__ import annotations

from hypothesis import strategies as st

from fhir_server.access.policy import (
    EVERYTHING,
    NOTHING,
    AtLeast,
    AtMost,
    Missing,
    any_of,
    both,
    either,
    none_of,
    unless,
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
    st.builds(AtLeast, st.just("_sec.conf"), st.integers(0, 5)),
    st.builds(Missing, st.sampled_from(FIELDS)),
)
CLAUSES = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.lists(inner, min_size=1, max_size=3).map(lambda parts: both(*parts)),
        st.lists(inner, max_size=3).map(lambda parts: either(*parts)),
        inner.map(unless),
    ),
    max_leaves=6,
)
