from __future__ import annotations

import asyncio

import pytest

from fhir_server.search.entries import IndexDescriptor
from fhir_server.store.skipping import MOST_VALUES
from tests.store.changes import START, connect, create, everything, update

PLAN = everything(filter={"p": "anne"}, hint="p_code_s")


def indexes(type_):
    return (IndexDescriptor("p_code_s", (("p", 1), ("i.code", 1), ("s", -1)), partial="p"),)


@pytest.fixture
async def store(mongod_uri, database_name):
    opened = await connect(mongod_uri, database_name, indexes=indexes)
    yield opened
    await opened.close()


async def put(store, *values):
    await asyncio.gather(
        *(store.commit(create(f"n{value}-{n}", patient="anne", code=value)) for n, value in enumerate(values))
    )


async def test_the_values_with_a_beginning_are_found_in_arrays_and_beside_others(store):
    await put(store, "x|a", "x|b", ["x|b", "x|c", "w|1"], "xy|a", "x", "x|", "y|")
    await store.commit(create("ben", patient="ben", code="x|of-ben"))
    for _ in range(2):  # from nothing, and from what is remembered
        assert await store.beginning_with(PLAN, "i.code", "x|") == {"x|", "x|a", "x|b", "x|c"}
    assert await store.beginning_with(PLAN, "i.code", "z|") == frozenset()


async def test_what_is_remembered_never_hides_what_came_or_shows_what_went(store, mongod_uri, database_name):
    await put(store, "x|b", "x|d")
    assert await store.beginning_with(PLAN, "i.code", "x|") == {"x|b", "x|d"}
    other = await connect(mongod_uri, database_name, indexes=indexes)
    try:
        await put(other, "x|a", "x|c", "x|e")
        await other.commit(update("nx|b-0", 1, at=START + 1, patient="anne", code="gone"))
    finally:
        await other.close()
    assert await store.beginning_with(PLAN, "i.code", "x|") == {"x|a", "x|c", "x|d", "x|e"}


async def test_many_values_and_an_index_that_is_not_there_are_left_to_the_query(store):
    await put(store, *(f"x|{n:02d}" for n in range(MOST_VALUES)))
    assert len(await store.beginning_with(PLAN, "i.code", "x|")) == MOST_VALUES
    await store.commit(create("more", patient="anne", code="x|more"))
    assert await store.beginning_with(PLAN, "i.code", "x|") is None
    assert await store.beginning_with(everything(hint="nowhere"), "i.code", "x|") is None
