from __future__ import annotations

import asyncio
import subprocess
import time
import urllib.parse
from collections.abc import Iterator

import pytest

from fhir_server.access import OPEN
from fhir_server.store.documents import Unavailable, Unsuitable
from fhir_server.store.mongod_binary import find_binary
from tests.store.changes import connect, create


@pytest.fixture
def alone(tmp_path) -> Iterator[str]:
    """The URI of a mongod without replica set."""
    place = str(tmp_path / "f.sock")
    command = [find_binary(None).path, "--dbpath", tmp_path, "--bind_ip", place, "--nounixsocket"]
    with subprocess.Popen([*command, "--logpath", tmp_path / "log"]) as process:
        yield f"mongodb://{urllib.parse.quote(place, safe='')}/?directConnection=true"
        process.terminate()


async def test_a_standalone_server_is_refused_with_what_to_do(alone):
    with pytest.raises(Unsuitable, match=r"without a replica set.*--replSet"):
        await connect(alone, "x", timeout_s=20)


async def test_no_server_is_unavailable_in_time(tmp_path):
    nowhere = urllib.parse.quote(str(tmp_path / "f.sock"), safe="")
    began = time.monotonic()
    with pytest.raises(Unavailable):
        await connect(f"mongodb://{nowhere}/", "x", timeout_s=0.3)
    assert time.monotonic() - began < 30  # the default of the driver, had timeout_s not reached it


@pytest.mark.parametrize("uri", ["http://x", "mongodb://", "mongodb://a/?w=sideways&replicaSet="])
async def test_a_senseless_uri_is_explained(uri):
    with pytest.raises((Unsuitable, Unavailable)):
        await connect(uri, "x", timeout_s=0.1)


async def test_data_of_another_layout_are_refused(store, mongod_uri, mongo_client, database_name):
    mongo_client[database_name].meta.update_one({"_id": "schema"}, {"$set": {"version": 99}})
    with pytest.raises(Unsuitable, match="has layout 99"):
        await connect(mongod_uri, database_name)


async def test_secrets_are_made_once_and_kept(store, other):
    found = await asyncio.gather(
        *(which.secret(name) for which in (store, other) for name in ("a", "a", "b"))
    )
    assert found[0] == found[1] == found[3] == found[4]
    assert found[2] == found[5] != found[0]
    assert len(found[0]) == 32


async def test_ping_and_stats(store):
    assert await store.ping()
    await store.commit(create("a"))
    await store.read("Observation", "a", OPEN)
    stats = store.stats()
    assert (stats["creates_flushed"], stats["reads_flushed"], stats["replacements_flushes"]) == (1, 1, 0)
    assert stats["creates_waiting"] == stats["creates_flights"] == 0


async def test_workers_that_start_together_on_an_empty_database_all_succeed(mongod_uri, database_name):
    stores = await asyncio.gather(*(connect(mongod_uri, database_name) for _ in range(4)))
    await asyncio.gather(*(store.commit(create(f"n{n}")) for n, store in enumerate(stores)))
    assert [(await stores[0].read("Observation", f"n{n}", OPEN)).id for n in range(4)] == [
        "n0",
        "n1",
        "n2",
        "n3",
    ]
    await asyncio.gather(*(store.close() for store in stores))
