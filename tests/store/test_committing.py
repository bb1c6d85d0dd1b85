from __future__ import annotations

import asyncio
import dataclasses
import random

import pytest
from pymongo.errors import PyMongoError

from fhir_server.access import OPEN
from fhir_server.outcome import FhirError
from fhir_server.store import committing
from fhir_server.store.documents import Change, ClaimTaken, Method, Unavailable, VersionConflict
from fhir_server.store.transacting import Pending
from tests.store.changes import connect, create, delete, entries, everything, update


async def versions(store, id_, type_="Observation"):
    page = await store.history(type_, id_, OPEN, limit=1000)
    assert page.next is None
    return [(row.version, row.method.value) for row in page.rows]


async def outcomes(*awaitables):
    """Run all at once; return "done" or the exception's name of each."""
    results = await asyncio.gather(*awaitables, return_exceptions=True)
    return ["done" if result is None else type(result).__name__ for result in results]


async def test_a_resource_lives_dies_and_lives_again_with_one_count_of_versions(store):
    await store.commit(create("a"))
    await store.commit(update("a", 1))
    await store.commit(delete("a", 2))
    assert (await store.read("Observation", "a", OPEN)).is_deleted
    await store.commit(update("a", 3))
    current = await store.read("Observation", "a", OPEN)
    assert (current.version, current.body, current.method) == (4, b'{"id":"a","n":4}', Method.PUT)
    assert await versions(store, "a") == [(4, "PUT"), (3, "DELETE"), (2, "PUT"), (1, "POST")]


async def test_the_documents_have_the_designed_shape(store, mongo_client, database_name):
    await store.commit(dataclasses.replace(create("a", code="x"), security={"conf": 3}, claim="c"))
    database = mongo_client[database_name]
    made = database.Observation.find_one()
    assert len(made.pop("w")) == 8
    assert len(made.pop("j")) == 16
    lu = made.pop("lu")
    assert lu >> 15 == 1_767_225_600_000
    assert made == {
        "_id": "a",
        "v": 1,
        "m": "POST",
        "p": "pat",
        "s": lu,
        "ck": "c",
        "_sec": {"conf": 3},
        "i": {"code": "x"},
    }
    await store.commit(delete("a", 1))
    gone = database.Observation.find_one()
    assert set(gone) == {"_id", "v", "dl", "w", "m", "del", "_sec"}
    assert gone["_sec"] == {"conf": 3, "own": "pat"}
    copy = database.history.find_one()
    assert set(copy) == {"_id", "t", "id", "v", "w", "lu", "m", "p", "_sec", "j", "u"}
    assert (copy["_id"], copy["lu"]) == ("Observation/a/00000001", lu)
    await store.commit(update("a", 2))
    copy = database.history.find_one({"v": 2})
    assert (copy["m"], copy["p"], copy["lu"]) == ("DELETE", "pat", gone["dl"])
    assert "j" not in copy


@pytest.mark.parametrize(
    "change", [create("a"), update("a", 0), update("a", 2), delete("a", 2), update("b", 1)]
)
async def test_a_change_from_another_version_than_the_current_one_is_a_conflict(store, change):
    await store.commit(create("a"))
    with pytest.raises(VersionConflict):
        await store.commit(change)
    assert await versions(store, "a") == [(1, "POST")]


async def test_one_of_many_equal_creates_wins(store, other):
    results = await outcomes(*(which.commit(create("a")) for which in (store, other) for _ in range(20)))
    assert sorted(results) == ["VersionConflict"] * 39 + ["done"]


async def test_losers_and_bad_documents_of_a_flush_do_not_touch_the_others(store):
    await store.commit(create("taken"))
    changes = [create(f"n{number}") for number in range(20)]
    changes[7] = create("taken")
    changes[9] = create("bad", number=1 << 64)  # BSON integers have 64 bits
    changes[11] = create(
        "parallel", identifier=["a", "b"], patient=["c", "d"]
    )  # an index can't hold two arrays
    store._catalogue._indexes = lambda _: ()
    await store._connection.database.command(
        {"createIndexes": "Observation", "indexes": [{"key": {"p": 1, "i.identifier": 1}, "name": "two"}]}
    )
    results = await outcomes(*map(store.commit, changes))
    assert (results[7], results[9], results[11]) == ("VersionConflict", "OverflowError", "WriteError")
    assert [result for number, result in enumerate(results) if number not in {7, 9, 11}] == ["done"] * 17
    assert await store.count(everything(), OPEN) == 18


async def test_losers_and_bad_documents_of_a_flush_of_replacements(store):
    await asyncio.gather(*(store.commit(create(f"n{number}")) for number in range(20)))
    await store._connection.database.command(
        {"createIndexes": "Observation", "indexes": [{"key": {"p": 1, "i.identifier": 1}, "name": "two"}]}
    )
    changes = [update(f"n{number}", 1) for number in range(20)]
    changes[3] = update("n3", 4)
    changes[5] = delete("missing", 1)
    changes[8] = update("n8", 1, identifier=["a", "b"], patient=["c", "d"])
    changes[9] = delete("n9", 1)
    results = await outcomes(*map(store.commit, changes))
    assert (results[3], results[5], results[8]) == ("VersionConflict", "VersionConflict", "WriteError")
    assert [result for number, result in enumerate(results) if number not in {3, 5, 8}] == ["done"] * 17
    for number in range(20):
        ends = {3: [(1, "POST")], 5: [(1, "POST")], 8: [(1, "POST")], 9: [(2, "DELETE"), (1, "POST")]}
        assert await versions(store, f"n{number}") == ends.get(number, [(2, "PUT"), (1, "POST")])


@pytest.mark.parametrize("is_known", [False, True])
async def test_many_updates_of_one_resource_by_two_workers_lose_and_double_nothing(store, other, is_known):
    await store.commit(create("hot"))
    await asyncio.gather(*(store.commit(create(f"warm{number}")) for number in range(5)))

    async def add_one(which, id_):
        while True:
            async with which.lock("Observation", id_):
                current = await which.read("Observation", id_, OPEN)
                change = update(id_, current.version)
                if is_known:
                    change = dataclasses.replace(change, replaces=current)
                try:
                    await which.commit(change)
                except VersionConflict:
                    continue
                return change.version

    ids = ["hot"] * 50 + [f"warm{number % 5}" for number in range(50)]
    made = await asyncio.gather(*(add_one(which, id_) for which in (store, other) for id_ in ids))
    assert sorted(made[:50] + made[100:150]) == list(range(2, 102))
    assert await versions(store, "hot") == [(v, "PUT") for v in range(101, 1, -1)] + [(1, "POST")]
    for number in range(5):
        assert await versions(other, f"warm{number}") == [(v, "PUT") for v in range(21, 1, -1)] + [
            (1, "POST")
        ]
    for version in (1, 50, 101):
        body = (await store.version("Observation", "hot", version, OPEN)).body
        assert body == b'{"id":"hot","n":%d}' % version


async def test_unlocked_updates_of_one_resource_conflict_and_stay_dense(store):
    """Two hundred requests that all read version 1: one wins, and the queue never mixes two of them."""
    await store.commit(create("a"))
    current = await store.read("Observation", "a", OPEN)
    changes = [dataclasses.replace(update("a", 1), replaces=current) for _ in range(200)]
    results = await outcomes(*map(store.commit, changes))
    assert sorted(results) == ["VersionConflict"] * 199 + ["done"]
    assert await versions(store, "a") == [(2, "PUT"), (1, "POST")]


async def test_what_the_caller_read_may_be_stale_without_harm(store, other):
    await store.commit(create("a"))
    await store.commit(create("b"))
    stale = await store.read("Observation", "a", OPEN)
    fresh = await store.read("Observation", "b", OPEN)
    await other.commit(update("a", 1))
    results = await outcomes(
        store.commit(dataclasses.replace(update("a", 1), replaces=stale)),
        store.commit(dataclasses.replace(update("b", 1), replaces=fresh)),
    )
    assert results == ["VersionConflict", "done"]
    assert await versions(store, "a") == [(2, "PUT"), (1, "POST")]


async def test_a_claim_is_held_by_one_living_document_until_it_changes(store, other):
    claims = [
        which.commit(create(f"{name}{n}", claim="k"))
        for which, name in ((store, "s"), (other, "o"))
        for n in range(8)
    ]
    results = await outcomes(*claims)
    assert sorted(results) == ["ClaimTaken"] * 15 + ["done"]
    holder = (await store.search(everything(), OPEN)).rows[0].id
    with pytest.raises(ClaimTaken):
        await store.commit_many([create("many"), create("claimed", claim="k")])
    assert await store.read("Observation", "many", OPEN) is None
    await store.commit(update(holder, 1))
    await store.commit(create("later", claim="k"))


async def test_commit_many_is_all_or_nothing_over_types(store):
    await store.commit(create("a"))
    await store.commit(create("p", type_="Patient"))
    mixed = [create("new", type_="Encounter"), update("a", 1), delete("p", 1, type_="Patient"), create("b")]
    for loser in (create("a"), update("missing", 1), delete("a", 5)):
        rest = [change for change in mixed if change.id != loser.id]
        with pytest.raises(VersionConflict):
            await store.commit_many([*rest, loser])
    assert await store.read("Encounter", "new", OPEN) is None
    assert await store.count(everything(), OPEN) == 1
    assert await store._connection.database["history"].count_documents({}) == 0
    await store.commit_many(mixed)
    assert await versions(store, "a") == [(2, "PUT"), (1, "POST")]
    assert await versions(store, "p", "Patient") == [(2, "DELETE"), (1, "POST")]
    assert await store.read("Encounter", "new", OPEN) is not None
    await store.commit_many([])


async def test_commit_many_retries_when_single_writes_get_in_its_way(store, other):
    await asyncio.gather(*(store.commit(create(f"n{number}")) for number in range(10)))
    done = asyncio.Event()

    async def single():
        rng = random.Random(1)
        while not done.is_set():
            id_ = f"n{rng.randrange(10)}"
            current = await other.read("Observation", id_, OPEN)
            await outcomes(other.commit(update(id_, current.version)))

    async def bundles():
        made = 0
        while made < 5:
            current = [await store.read("Observation", f"n{number}", OPEN) for number in range(10)]
            try:
                await store.commit_many([update(row.id, row.version) for row in current])
                made += 1
            except VersionConflict:
                await asyncio.sleep(0.01)
            if made == 4:
                done.set()
        done.set()

    await asyncio.gather(single(), bundles())
    for number in range(10):
        found = await versions(store, f"n{number}")
        assert found == [(v, "PUT") for v in range(len(found), 1, -1)] + [(1, "POST")]
        assert len(found) >= 6


async def test_a_large_commit_is_cut_into_commands(store):
    body = b'{"x":"' + b"a" * (3 << 20) + b'"}'
    await store.commit_many([create(f"n{number}", body=body) for number in range(7)])
    await store.commit_many([update(f"n{number}", 1, body=body) for number in range(7)])
    assert await store.count(everything(), OPEN) == 7
    rows = await asyncio.gather(*(store.read("Observation", f"n{number}", OPEN) for number in range(7)))
    assert all(row.body == body for row in rows)  # 21 MB: more than one reply holds
    page = await store.search(everything(), OPEN)
    assert [len(row.body) for row in page.rows] == [len(body)] * 7
    page = await store.search(everything(limit=7), OPEN)
    assert page.is_cut
    assert [len(row.body) for row in page.rows] == [len(body)] * 6  # five, and the first of the rest


async def test_a_body_that_cannot_be_stored_is_refused_with_the_limit(store):
    with pytest.raises(FhirError) as caught:
        await store.commit(create("a", body=b"x" * (committing.LARGEST_BODY + 1)))
    assert caught.value.status == 413


async def test_cancelled_callers_take_back_what_was_not_sent_and_nothing_hangs(store):
    await store.commit(create("first"))
    tasks = [asyncio.create_task(store.commit(create(f"n{number}"))) for number in range(1000)]
    await asyncio.sleep(0)
    for task in tasks[::2]:
        task.cancel()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert all(isinstance(result, asyncio.CancelledError) for result in results[::2])
    assert results[1::2] == [None] * 500
    assert await store.count(everything(), OPEN) == 501
    assert not store._committer.creates._behind


async def test_close_finishes_what_was_accepted(mongod_uri, database_name):
    store = await connect(mongod_uri, database_name)
    await store.commit(create("first"))
    tasks = [asyncio.create_task(store.commit(create(f"n{number}"))) for number in range(500)]
    await asyncio.sleep(0)
    await store.close()
    assert await asyncio.gather(*tasks) == [None] * 500
    with pytest.raises(Unavailable, match="shutting down"):
        await store.commit(create("late"))


class Lossy:
    """Loses the answer of chosen commands after the server has carried them out, as a cut connection does."""

    def __init__(self, connection, *verbs):
        self.real = connection.command
        self.verbs = list(verbs)

    async def __call__(self, command, session=None):
        reply = await self.real(command, session)
        verb = next(iter(command))
        if verb in self.verbs:
            self.verbs.remove(verb)
            raise committing_network_error()
        return reply


def committing_network_error():
    from pymongo.errors import AutoReconnect

    return AutoReconnect("connection closed")


async def test_a_create_whose_answer_was_lost_is_made_once_and_acknowledged(store, monkeypatch):
    await store.commit(create("first"))
    monkeypatch.setattr(store._connection, "command", Lossy(store._connection, "insert", "insert"))
    results = await outcomes(
        store.commit(create("first")), *(store.commit(create(f"n{n}")) for n in range(10))
    )
    assert results == ["VersionConflict"] + ["done"] * 10
    assert await store.count(everything(), OPEN) == 11


async def test_a_create_that_was_overwritten_before_its_answer_was_asked_for_again_is_acknowledged(
    store, other, monkeypatch
):
    await store.commit(create("first"))
    lossy = Lossy(store._connection, "insert")

    async def overwrite(command, session=None):
        try:
            return await lossy(command, session)
        except PyMongoError:
            await other.commit(update("a", 1))
            raise

    monkeypatch.setattr(store._connection, "command", overwrite)
    await store.commit(create("a"))
    assert await versions(store, "a") == [(2, "PUT"), (1, "POST")]


async def test_a_commit_whose_answer_was_lost_is_made_once_and_acknowledged(store, monkeypatch):
    from pymongo.asynchronous.client_session import AsyncClientSession

    await asyncio.gather(*(store.commit(create(f"n{number}")) for number in range(5)))
    real = AsyncClientSession.commit_transaction
    lost = []

    async def lossy(session):
        await real(session)
        if len(lost) < 2:
            lost.append(1)
            problem = committing_network_error()
            problem._add_error_label(
                "UnknownTransactionCommitResult" if len(lost) == 1 else "TransientTransactionError"
            )
            raise problem

    monkeypatch.setattr(AsyncClientSession, "commit_transaction", lossy)
    results = await outcomes(
        *(store.commit(update(f"n{number}", 1)) for number in range(5)), store.commit(update("x", 1))
    )
    assert results == ["done"] * 5 + ["VersionConflict"]
    for number in range(5):
        assert await versions(store, f"n{number}") == [(2, "PUT"), (1, "POST")]
    lost.clear()
    await store.commit_many([update("n0", 2), create("y")])
    assert await versions(store, "n0") == [(3, "PUT"), (2, "PUT"), (1, "POST")]


async def test_types_are_made_once_by_workers_that_race(store, other, mongo_client, database_name):
    results = await outcomes(
        *(
            which.commit(create(f"{name}{n}", type_=type_))
            for which, name in ((store, "s"), (other, "o"))
            for type_ in ("Encounter", "Condition")
            for n in range(5)
        )
    )
    assert results == ["done"] * 20
    for type_ in ("Encounter", "Condition"):
        assert set(mongo_client[database_name][type_].index_information()) == {
            "_id_",
            "lu",
            "dl",
            "ck",
            "p_s",
            "i.identifier",
        }


def test_a_deletion_needs_no_entries_but_a_version_does():
    with pytest.raises(AssertionError):
        Pending(Change(Method.PUT, "Observation", "a", 1, 0, b"{}", security={}))
    assert Pending(delete("a", 1)).document is None
    assert entries().patient == "pat"
