from __future__ import annotations

import asyncio

import pytest

from fhir_server.access import OPEN
from fhir_server.store.documents import Unavailable
from tests.store.changes import create, delete, own, update


async def test_each_of_many_readers_gets_its_own_row(store):
    await asyncio.gather(
        *(
            store.commit(create(f"n{n}", type_=type_, body=b"%d" % n))
            for type_ in ("Observation", "Basic")
            for n in range(50)
        )
    )
    before = store.stats()["reads_flushes"]
    wanted = [(type_, n) for type_ in ("Observation", "Basic", "Missing") for n in range(60)] * 3
    rows = await asyncio.gather(*(store.read(type_, f"n{n}", OPEN) for type_, n in wanted))
    for (type_, n), row in zip(wanted, rows, strict=True):
        if type_ == "Missing" or n >= 50:
            assert row is None
        else:
            assert (row.type, row.id, row.body) == (type_, f"n{n}", b"%d" % n)
    assert store.stats()["reads_flushes"] - before < 10


async def test_rows_are_filtered_for_each_caller_in_the_same_flush(store):
    await store.commit(create("a", patient="anne"))
    await store.commit(create("b", patient="ben"))
    await store.commit(create("g", patient="anne"))
    await store.commit(delete("g", 1))
    calls = [(id_, who) for id_ in "abg" for who in (own("anne"), own("ben"), OPEN)]
    rows = await asyncio.gather(*(store.read("Observation", id_, who) for id_, who in calls))
    seen = ["".join("x" if row else "-" for row in rows[start : start + 3]) for start in (0, 3, 6)]
    assert seen == ["x-x", "-xx", "x-x"]


async def test_every_version_can_be_read_by_who_could_read_it_then(store):
    await store.commit(create("a", patient="anne"))
    await store.commit(update("a", 1, patient="ben"))
    await store.commit(delete("a", 2))
    for version, who, is_seen in [
        (1, own("anne"), True),
        (1, own("ben"), False),
        (2, own("anne"), False),
        (2, own("ben"), True),
        (3, own("ben"), True),
        (3, own("anne"), False),
        (4, OPEN, False),
        (0, OPEN, False),
    ]:
        row = await store.version("Observation", "a", version, who)
        assert (row is not None) is is_seen, (version, who)
        assert row is None or row.version == version


async def test_cancelled_readers_do_not_disturb_others(store):
    await store.commit(create("a"))
    tasks = [asyncio.create_task(store.read("Observation", "a", OPEN)) for _ in range(300)]
    await asyncio.sleep(0)
    for task in tasks[::3]:
        task.cancel()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert [type(result).__name__ for result in results[:3]] == ["CancelledError", "Stored", "Stored"]
    assert all(result.body for number, result in enumerate(results) if number % 3)


async def test_a_closed_store_answers_unavailable(store):
    await store.close()
    with pytest.raises(Unavailable):
        await store.read("Observation", "a", OPEN)
