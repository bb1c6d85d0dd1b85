"""kill -9 of mongod in the middle of a load: nothing acknowledged is lost, nothing is made twice."""

from __future__ import annotations

import asyncio
import os
import random
import signal

import pytest

from fhir_server.access import OPEN
from fhir_server.store.documents import Unavailable, VersionConflict
from fhir_server.store.embedded import EmbeddedMongod
from tests.store.changes import connect, create, update


async def until(condition):
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110 (what is awaited happens in another process)
            await asyncio.sleep(0.01)


async def test_acknowledged_writes_survive_kills(tmp_path):
    mongod = await asyncio.to_thread(EmbeddedMongod.start, tmp_path / "d", cache_gb=0.25)
    store = await connect(mongod.uri, "kill")
    acknowledged: dict[str, int] = {}
    unknown: dict[str, int] = {}
    stopping = False

    async def write(worker: int) -> None:
        number = 0
        while not stopping:
            number += 1
            id_ = f"w{worker}-{number}"
            for version in range(random.Random(number).randrange(1, 5)):
                try:
                    await store.commit(update(id_, version) if version else create(id_))
                except Unavailable:
                    unknown[id_] = version + 1
                    break
                except VersionConflict:
                    pytest.fail(f"{id_} version {version + 1} was taken for a loser, but has one writer")
                acknowledged[id_] = version + 1

    async def read() -> None:
        while not stopping:
            for id_, version in [*acknowledged.items()][-20:]:
                assert (await store.read("Observation", id_, OPEN)).version >= version
            await asyncio.sleep(0.01)

    writers = [asyncio.create_task(write(worker)) for worker in range(24)]
    writers.append(asyncio.create_task(read()))
    try:
        await store.commit(create("first"))
        for round_ in range(1, 4):
            await asyncio.sleep(0.4)
            os.kill(mongod.pid, signal.SIGKILL)
            await until(lambda round_=round_: mongod.restarts == round_)
            before = len(acknowledged)
            await until(lambda before=before: len(acknowledged) >= before + 50)
        stopping = True
        await asyncio.gather(*writers)

        assert len(acknowledged) > 150
        for id_, version in acknowledged.items():
            page = await store.history("Observation", id_, OPEN)
            found = [row.version for row in page.rows]
            assert found == list(range(found[0], 0, -1)), id_
            assert found[0] in {version, unknown.get(id_, version)}, id_
            assert all(row.body == b'{"id":"%b","n":%d}' % (id_.encode(), row.version) for row in page.rows)
    finally:
        stopping = True
        await asyncio.gather(*writers, return_exceptions=True)
        await store.close()
        await asyncio.to_thread(mongod.stop)


async def test_a_database_that_stays_away_is_unavailable_in_time(tmp_path):
    mongod = await asyncio.to_thread(EmbeddedMongod.start, tmp_path / "d", cache_gb=0.25)
    store = await connect(mongod.uri, "gone", timeout_s=0.5)
    try:
        await store.commit(create("a"))
        await asyncio.to_thread(mongod.stop)
        async with asyncio.timeout(10):
            calls = [
                store.read("Observation", "a", OPEN),
                store.commit(create("b")),
                store.commit(update("a", 1)),
                store.commit_many([create("c")]),
                store.history(None, None, OPEN),
                store.commit(create("a", type_="Basic")),
            ]
            results = await asyncio.gather(*calls, return_exceptions=True)
        assert [type(result).__name__ for result in results] == ["Unavailable"] * len(calls)
        assert not await store.ping()
    finally:
        await store.close()
        await asyncio.to_thread(mongod.stop)
