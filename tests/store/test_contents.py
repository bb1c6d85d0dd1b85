"""Large content in the database: with its version or not at all."""

from __future__ import annotations

import asyncio
import base64
import dataclasses
import hashlib
import os

import pytest

from fhir_server.access import OPEN
from fhir_server.store import contents as module
from fhir_server.store.contents import ABANDONED, CHUNK
from fhir_server.store.documents import Unavailable, VersionConflict
from fhir_server.store.purging import Purge
from tests.store.changes import START, create, delete, update

DATA = os.urandom(2 * CHUNK + 100)


def body(*parts: bytes) -> bytes:
    texts = b",".join(b'{"data":"%b"}' % base64.b64encode(part) for part in parts)
    return b'{"id":"a","content":[%b]}' % texts


async def parts(data, *, fails=False):
    for start in range(0, len(data), 70_000):
        yield data[start : start + 70_000]
    if fails:
        raise RuntimeError("the client went away")


async def whole(store, id_):
    return await store.contents.filled(await store.read("Observation", id_, OPEN))


@pytest.fixture
def files(mongo_client, database_name):
    return mongo_client[database_name]["bin.files"]


@pytest.fixture
def chunks(mongo_client, database_name):
    return mongo_client[database_name]["bin.chunks"]


async def test_what_is_written_is_read_in_any_extent(store, chunks):
    content = await store.contents.write(parts(DATA))
    assert (content.size, content.sha256) == (len(DATA), hashlib.sha256(DATA).digest())
    assert content.sha1 == hashlib.sha1(DATA).digest()
    assert chunks.count_documents({}) == 3
    for first, last in (
        (0, len(DATA) - 1),
        (0, 0),
        (CHUNK - 1, CHUNK),
        (CHUNK, 2 * CHUNK - 1),
        (2 * CHUNK + 99,) * 2,
    ):
        assert (
            b"".join([p async for p in store.contents.read(content, first, last)]) == DATA[first : last + 1]
        )


async def test_a_commit_moves_it_out_and_a_reader_gets_it_back(store, files, mongo_client, database_name):
    await store.commit(create("a", body=body(DATA, b"small", DATA)))
    assert await whole(store, "a") == body(DATA, b"small", DATA)
    stored = mongo_client[database_name]["Observation"].find_one({"_id": "a"})
    assert len(stored["j"]) < 300
    assert len(stored["b"]) == 1, "the same content twice in one resource is kept once"
    assert files.count_documents({"open": {"$exists": False}, "o": "Observation/a"}) == 1


async def test_the_next_version_refers_to_what_the_one_before_holds(store, files):
    await store.commit(create("a", body=body(DATA)))
    for number in (1, 2):
        current = await store.read("Observation", "a", OPEN)
        await store.commit(
            dataclasses.replace(update("a", number, body=body(DATA, DATA[:-number])), replaces=current)
        )
    assert files.count_documents({}) == 3
    assert await store.contents.filled(await store.version("Observation", "a", 2, OPEN)) == body(
        DATA, DATA[:-1]
    )
    assert await store.contents.filled(await store.version("Observation", "a", 1, OPEN)) == body(DATA)


async def test_other_resources_share_nothing(store, files):
    """Else the time that a write takes would tell whether somebody has the same document."""
    await store.commit(create("a", body=body(DATA)))
    await store.commit(create("b", body=body(DATA)))
    assert files.count_documents({}) == 2


async def test_a_write_that_fails_leaves_nothing(store, files, chunks):
    with pytest.raises(RuntimeError):
        await store.contents.write(parts(DATA, fails=True))
    await store.commit(create("a"))
    with pytest.raises(VersionConflict):
        await store.commit(create("a", body=body(DATA)))
    with pytest.raises(VersionConflict):
        await store.commit_many([create("b", body=body(DATA)), update("a", 7, body=body(DATA))])
    assert files.count_documents({}) == 0
    assert chunks.count_documents({}) == 0
    assert await store.read("Observation", "b", OPEN) is None


async def test_a_body_full_of_texts_that_are_each_small_is_relieved(store):
    many = [os.urandom(200 * 1024) for _ in range(50)]
    await store.commit(create("a", body=body(*many)))
    stored = await store.read("Observation", "a", OPEN)
    assert len(stored.body) < 100_000
    assert await whole(store, "a") == body(*many)


async def test_deletion_keeps_it_for_the_history(store):
    await store.commit(create("a", body=body(DATA)))
    await store.commit(delete("a", 1))
    assert (await store.read("Observation", "a", OPEN)).large == ()
    assert await store.contents.filled(await store.version("Observation", "a", 1, OPEN)) == body(DATA)


# The sweep


async def test_the_sweep_takes_what_was_abandoned_and_nothing_else(store, files, chunks):
    await store.commit(create("a", body=body(DATA)))
    abandoned = await store.contents.write(parts(DATA))
    now = files.find_one({"_id": abandoned.token})["open"]
    assert await store.contents.sweep(now + ABANDONED) == 0
    assert files.count_documents({}) == 2
    assert await store.contents.sweep(now + ABANDONED + 1) == 1
    assert files.count_documents({}) == 1
    assert chunks.count_documents({"_id.f": abandoned.token}) == 0
    assert await whole(store, "a") == body(DATA)


async def test_a_sweep_that_was_stopped_is_gone_on_with(store, other, files, chunks, monkeypatch):
    content = await store.contents.write(parts(DATA))
    now = files.find_one({})["open"] + ABANDONED + 1

    async def stop(*_):
        raise asyncio.CancelledError

    with monkeypatch.context() as patched:
        patched.setattr(type(store.contents._chunks), "delete_many", stop)
        with pytest.raises(asyncio.CancelledError):
            await store.contents.sweep(now)
    assert files.count_documents({"doomed": True}) == 1
    late = dataclasses.replace(create("a", body=b'{"data":"%b"}' % content.token.encode()), large=(content,))
    with pytest.raises(Unavailable):  # it does not get what is half gone
        await store.commit(late)
    assert await other.contents.sweep(now) == 1
    assert (files.count_documents({}), chunks.count_documents({})) == (0, 0)


async def test_sweeps_and_commits_at_the_same_time_lose_nothing(store, other, files, chunks, monkeypatch):
    """Everything is taken for abandoned at once: each commit gets through whole, or says that it did not."""
    monkeypatch.setattr(module, "ABANDONED", -60_000)
    stop = asyncio.Event()

    async def sweep():
        while not stop.is_set():
            await other.contents.sweep(files_now())
            await asyncio.sleep(0)

    def files_now():
        return 1 << 50

    sweeper = asyncio.create_task(sweep())
    data = {f"r{number}": os.urandom(CHUNK + number) for number in range(12)}
    results = await asyncio.gather(
        *(store.commit(create(id_, body=body(content))) for id_, content in data.items()),
        return_exceptions=True,
    )
    stop.set()
    await sweeper
    for (id_, content), result in zip(data.items(), results, strict=True):
        if result is None:
            assert await whole(store, id_) == body(content)
        else:
            assert isinstance(result, Unavailable), result
            assert await store.read("Observation", id_, OPEN) is None
    await other.contents.sweep(files_now())
    assert {row["_id"]["f"] for row in chunks.find({}, {"_id": 1})} == {row["_id"] for row in files.find()}
    assert files.count_documents({}) == sum(result is None for result in results)


async def purged(store, **keys):
    row = await store.purges.begin(Purge("tester", "a test", **keys), START)
    while row["state"] == "running":
        row = await store.purges.step(row, START)
    assert row["state"] == "done"


async def test_a_purge_takes_what_no_version_refers_to_any_more(store, files, chunks):
    await store.commit(create("a", body=body(DATA, DATA[:-2])))
    current = await store.read("Observation", "a", OPEN)
    await store.commit(dataclasses.replace(update("a", 1, body=body(DATA)), replaces=current))
    await store.commit(create("b", body=body(DATA)))
    assert files.count_documents({}) == 3
    await purged(store, type="Observation", id="a", previous=True)
    assert files.count_documents({}) == 2
    assert await whole(store, "a") == body(DATA)
    await store.commit(delete("a", 2))
    await purged(store, type="Observation", deleted=True)
    assert [file["o"] for file in files.find()] == ["Observation/b"]
    assert chunks.distinct("_id.f") == files.distinct("_id")
    await purged(store, everything=True)
    assert (files.count_documents({}), chunks.count_documents({})) == (0, 0)
