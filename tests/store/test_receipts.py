"""Receipts: at most one attempt writes under a key, whatever happens in between."""

from __future__ import annotations

import pytest

from fhir_server.access import OPEN
from fhir_server.store.documents import Unavailable
from fhir_server.store.receipts import State
from fhir_server.store.rehearsal import Receipted, Rehearsal
from tests.store.changes import create


@pytest.fixture
def clock(monkeypatch):
    """Return the list that holds the time for leases."""
    now = [1_000_000.0]
    monkeypatch.setattr("fhir_server.store.receipts.time.time", lambda: now[0])
    return now


async def test_one_attempt_at_a_time_then_the_answer(store, clock):
    first = await store.receipts.open("k", b"f")
    assert first.state is State.OURS
    assert (await store.receipts.open("k", b"f")).state is State.RUNNING
    assert (await store.receipts.open("k", b"g")).state is State.OTHER
    await store.receipts.finish(first, {"s": 201})
    again = await store.receipts.open("k", b"f")
    assert (again.state, again.answer) == (State.ANSWERED, {"s": 201})


async def test_a_refused_attempt_frees_the_key_for_another_request(store, clock):
    first = await store.receipts.open("k", b"f")
    await store.receipts.give_up(first, is_refused=True)
    assert (await store.receipts.open("k", b"g")).state is State.OURS


async def test_an_attempt_that_was_given_up_can_not_write_any_more(store, clock):
    first = await store.receipts.open("k", b"f")
    clock[0] += 1000
    second = await store.receipts.open("k", b"f")
    assert second.state is State.OURS
    with pytest.raises(Unavailable):
        await Receipted(store, first).commit(create("a"))
    assert await store.read("Observation", "a", OPEN) is None
    await Receipted(store, second).commit(create("a"))
    assert await store.read("Observation", "a", OPEN) is not None


async def test_a_write_without_answer_is_told_and_not_done_again(store, clock):
    first = await store.receipts.open("k", b"f")
    await Receipted(store, first).commit(create("a"))
    await store.receipts.give_up(first, is_refused=False)
    again = await store.receipts.open("k", b"f")
    assert (again.state, again.changes) == (State.INTERRUPTED, ("Observation/a/_history/1",))


async def test_a_rehearsal_sees_its_changes_and_writes_nothing(store):
    rehearsal = Rehearsal(store)
    await rehearsal.commit(create("a"))
    seen = await rehearsal.read("Observation", "a", OPEN)
    assert seen is not None
    assert seen.version == 1
    assert await store.read("Observation", "a", OPEN) is None
