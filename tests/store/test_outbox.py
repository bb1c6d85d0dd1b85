"""The outbox: one event for each version, none for what is not."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
from pymongo.errors import OperationFailure

from fhir_server.access import OPEN
from fhir_server.store.documents import Method
from fhir_server.store.outbox import EventsLost
from tests.store.changes import START, connect, create, delete, update


@pytest.fixture
async def store(mongod_uri, database_name):
    opened = await connect(mongod_uri, database_name)
    yield opened
    await opened.close()


async def events(store, after, count):
    found = []
    async with asyncio.timeout(10):
        async for event in store.outbox.follow(after):
            found.append(event)
            if len(found) == count:
                break
    return found


def told(found):
    return [(event.type, event.id, event.version, event.method) for event in found]


async def test_each_version_has_one_event_in_order(store):
    await store.commit(create("before"))
    begin = await store.outbox.here()
    await store.commit(create("a"))
    await store.commit(update("a", 1))
    await store.commit(delete("a", 2))
    await store.commit_many([create("b"), create("p", type_="Patient"), update("a", 3)])
    found = await events(store, begin, 6)
    assert told(found[:3]) == [
        ("Observation", "a", 1, Method.POST),
        ("Observation", "a", 2, Method.PUT),
        ("Observation", "a", 3, Method.DELETE),
    ]
    assert sorted(told(found[3:])) == [
        ("Observation", "a", 4, Method.PUT),
        ("Observation", "b", 1, Method.POST),
        ("Patient", "p", 1, Method.POST),
    ]
    assert found[1].last_updated == START + 1
    # A consumer that has handled two goes on with the third.
    assert told(await events(store, found[1].token, 1)) == told(found[2:3])


async def test_labels_and_copies_and_index_entries_are_no_events(store):
    await store.commit(create("a"))
    begin = await store.outbox.here()
    stored = await store.read("Observation", "a", OPEN)
    labelled = replace(create("a", at=stored.last_updated), replaces=stored)
    await store.relabel(labelled)
    await store.commit(update("a", 1))
    await store.commit(create("z"))
    assert told(await events(store, begin, 2)) == [
        ("Observation", "a", 2, Method.PUT),
        ("Observation", "z", 1, Method.POST),
    ]


async def test_a_place_that_is_gone_is_told(store, monkeypatch):
    begin = await store.outbox.here()

    async def gone(*_, **__):
        raise OperationFailure("gone", 286)

    monkeypatch.setattr(type(store._connection.database), "watch", gone)
    with pytest.raises(EventsLost):
        await events(store, begin, 1)
