"""The day's share of a stream: taken ahead while there is plenty, to the last one near the limit, and given back."""

import pytest

from fhir_server.operations.ingest_shares import Shares
from tests.store.changes import connect


@pytest.fixture
async def quotas(mongod_uri, database_name):
    store = await connect(mongod_uri, database_name)
    yield store.quotas
    await store.close()


async def used(quotas, *keys):
    return await quotas.use(dict.fromkeys(keys, 0))


async def test_one_count_is_enough_for_many_chunks_and_the_rest_is_given_back(quotas):
    shares = Shares(quotas, 20_000)
    assert await shares.take({"a": 2}) == {"a": 2}
    assert await used(quotas, "a") == {"a": 32}
    assert [await shares.take({"a": 2}) for _ in range(14)] == [{"a": 2}] * 14
    assert await used(quotas, "a") == {"a": 32}
    await shares.settle()
    assert await used(quotas, "a") == {"a": 30}


async def test_what_was_not_stored_is_given_back(quotas):
    shares = Shares(quotas, 20_000)
    assert await shares.take({"a": 2, "b": 1}) == {"a": 2, "b": 1}
    shares.give_back({"a": 2})
    await shares.settle()
    assert await used(quotas, "a", "b") == {"a": 0, "b": 1}


@pytest.mark.parametrize(("before", "allowed"), [(0, 5), (95, 5), (97, 3), (100, 0), (120, 0)])
async def test_near_the_limit_nothing_is_taken_ahead_and_nothing_too_much(quotas, before, allowed):
    await quotas.use({"a": before})
    assert await Shares(quotas, 100).take({"a": 5}) == {"a": allowed}
    assert await used(quotas, "a") == {"a": before + allowed}


async def test_two_streams_never_get_more_than_the_limit(quotas):
    streams = Shares(quotas, 1000), Shares(quotas, 1000)
    taken = [(await streams[number % 2].take({"a": 6}))["a"] for number in range(200)]
    for stream in streams:
        await stream.settle()
    assert sum(taken) == 1000
    assert await used(quotas, "a") == {"a": 1000}
