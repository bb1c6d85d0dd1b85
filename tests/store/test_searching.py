from __future__ import annotations

import asyncio

import pytest

from fhir_server.access import OPEN
from fhir_server.search.entries import IndexDescriptor
from fhir_server.store.documents import TimeLimit
from fhir_server.store.searching import asks_for_living
from tests.store.changes import START, connect, create, delete, everything, indexes, own, update


@pytest.fixture
async def rows(store):
    await asyncio.gather(
        *(
            store.commit(
                create(f"n{n}", at=START + n, patient="anne" if n % 2 else "ben", code=["c", f"c{n}"])
            )
            for n in range(20)
        )
    )
    await store.commit(delete("n19", 1, at=START + 100))
    await store.commit(update("n0", 1, at=START + 101, code="other"))


def ids(page):
    return [row.id for row in page.rows]


async def test_rows_come_in_order_up_to_the_limit_without_tombstones(store, rows):
    page = await store.search(everything(limit=3), OPEN)
    assert ids(page) == ["n0", "n18", "n17"]
    assert page.rows[0].body == b'{"id":"n0","n":2}'
    assert (page.rows[0].version, page.rows[1].version) == (2, 1)
    assert len(ids(await store.search(everything(), OPEN))) == 19
    assert ids(await store.search(everything(filter={"_id": {"$in": ["n19", "n5"]}}), OPEN)) == ["n5"]
    assert await store.count(everything(filter={"_id": "n19"}), OPEN) == 0
    assert await store.count(everything(filter={"i.code": {"$nin": ["c"]}}), OPEN) == 1


async def test_the_callers_filter_is_part_of_rows_and_counts(store, rows):
    anne = own("anne")
    assert ids(await store.search(everything(filter={"i.code": "c"}, limit=2), anne)) == ["n17", "n15"]
    assert await store.count(everything(filter={"i.code": "c"}), anne) == 9
    assert await store.count(everything(filter={"i.code": "c"}), OPEN) == 18
    assert await store.count(everything(filter={"i.code": "c"}), OPEN, cap=5) == 5


async def test_projected_fields_come_with_the_row(store, rows):
    plan = everything(filter={"_id": "n3"}, projection=("p", "i.code", "s"))
    [row] = (await store.search(plan, OPEN)).rows
    assert row.fields["p"] == "anne"
    assert row.body


async def test_never_and_unknown_types_are_empty(store):
    assert ids(await store.search(everything(never=True), OPEN)) == []
    assert await store.count(everything(never=True), OPEN) == 0
    assert ids(await store.search(everything("Unheard", hint="p_s"), OPEN)) == []
    assert await store.count(everything("Unheard", hint="p_s"), OPEN) == 0


async def test_hints_are_used_when_the_index_is_there(store, rows, mongo_client, database_name):
    plan = everything(filter={"p": "anne"}, hint="p_s", sort=(("s", -1),), limit=2)
    mongo_client[database_name].command("profile", 2)
    assert len(ids(await store.search(plan, OPEN))) == 2
    assert await store.count(everything(filter={"p": "anne"}, hint="not_built"), OPEN) == 9
    mongo_client[database_name].command("profile", 0)
    seen = list(mongo_client[database_name]["system.profile"].find({"command.find": "Observation"}))
    assert [(entry["command"]["hint"], entry["planSummary"]) for entry in seen] == [
        ("p_s", "IXSCAN { p: 1, s: -1 }")
    ]


async def test_a_type_made_by_another_worker_is_noticed(store, other):
    await other.commit(create("a", type_="Basic"))
    plan = everything("Basic", filter={"p": "pat"}, hint="p_s", sort=(("s", -1),))
    assert ids(await store.search(plan, OPEN)) == ["a"]
    assert store._catalogue.is_built("Basic", "p_s")


async def test_new_indexes_are_built_at_start_and_changed_ones_are_left_alone(
    store, rows, mongod_uri, mongo_client, caplog
):
    database_name = store._connection.database.name

    def more(type_):
        return (
            *indexes(type_)[1:],
            IndexDescriptor("p_s", (("p", 1),)),
            IndexDescriptor("new", (("i.code", 1),)),
        )

    mongo_client[database_name].Observation.create_index("x", name="somebody_elses")
    later = await connect(mongod_uri, database_name, indexes=more)
    try:
        for _ in range(500):
            if later._catalogue.is_built("Observation", "new"):
                break
            await asyncio.sleep(0.01)
        assert later._catalogue.is_built("Observation", "new")
        assert not later._catalogue.is_built("Observation", "p_s")
        assert await later.count(everything(filter={"p": "anne"}, hint="p_s"), OPEN) == 9
    finally:
        await later.close()
    found = mongo_client[database_name].Observation.index_information()
    assert found["p_s"]["key"] == [("p", 1), ("s", -1)]
    assert "somebody_elses" in found
    assert "The index p_s of Observation has another definition" in caplog.text


async def test_a_query_is_stopped_at_its_time_limit(store):
    await asyncio.gather(*(store.commit(create(f"n{n}")) for n in range(2000)))
    store._connection.limit_ms = 1
    slow = {"i.x": {"$not": {"$regex": "(a*)*b"}}, "$or": [{"i.y": {"$nin": list(range(20000))}}, {"i.z": 1}]}
    plan = everything(filter=slow)
    with pytest.raises(TimeLimit):
        await asyncio.gather(*(store.search(plan, OPEN) for _ in range(20)))


@pytest.mark.parametrize(
    ("condition", "is_implied"),
    [
        ({}, False),
        ({"_id": "a"}, False),
        ({"p": "x"}, True),
        ({"p": None}, False),
        ({"i.code": {"$in": ["a"]}}, True),
        ({"i.code": {"$in": ["a", None]}}, False),
        ({"i.code": {"$nin": ["a"]}}, False),
        ({"i.code": {"$exists": False}}, False),
        ({"lu": {"$exists": True}}, True),
        ({"s": {"$gte": 1, "$lt": 5}}, True),
        ({"$and": [{"_id": "a"}, {"i.date": {"$elemMatch": {"l": 1}}}]}, True),
        ({"$or": [{"p": "x"}, {"_id": "a"}]}, False),
        ({"_sec.own": "x"}, False),
    ],
)
def test_conditions_that_exclude_tombstones_are_recognised(condition, is_implied):
    assert asks_for_living(condition) is is_implied


async def test_values_are_gathered_up_to_a_number_of_matches(store, rows):
    plan = everything(filter={"i.code": "c"}, limit=100)
    assert set(await store.values(plan, "p", OPEN)) == {"anne", "ben"}
    assert set(await store.values(plan, "p", OPEN, most=19)) == {"anne", "ben"}
    assert await store.values(plan, "p", OPEN, most=18) is None
