from __future__ import annotations

import asyncio
import random

import pytest

from fhir_server.access import OPEN
from fhir_server.outcome import FhirError
from fhir_server.store.documents import order_key
from fhir_server.store.history_scope import Scope, Span
from tests.store import changes as changes_of
from tests.store.changes import START, create, delete, update


async def pages(store, type_, id_, limit, access=OPEN, **keys):
    found, cursor = [], None
    while True:
        page = await store.history(type_, id_, access, limit=limit, cursor=cursor, **keys)
        assert len(page.rows) <= limit
        assert page.rows or page.next is None
        found += page.rows
        if page.next is None:
            return found
        cursor = page.next


def names(rows):
    return [(row.type, row.id, row.version) for row in rows]


@pytest.fixture
async def busy(store):
    """Three types; resources in all states; moments shared by many."""
    rng = random.Random(7)
    made = []
    for type_ in ("Observation", "Patient", "Encounter"):
        for number in range(12):
            id_ = f"r{number}" if number % 2 else f"r{number}-x"
            at = START + rng.randrange(5)
            steps = [create(id_, type_=type_, at=at)]
            for version in range(1, rng.randrange(1, 5)):
                at += rng.randrange(1, 4)
                is_deletion = rng.random() < 0.3 and steps[-1].body
                steps.append(
                    delete(id_, version, type_=type_, at=at)
                    if is_deletion
                    else update(id_, version, type_=type_, at=at)
                )
            made.append(steps)

    async def write(steps):
        for step in steps:
            await store.commit(step)

    await asyncio.gather(*map(write, made))
    return [step for steps in made for step in steps]


def in_order(changes):
    def place(change):
        return (-order_key(change.last_updated, change.id), change.type, change.id)

    return [(change.type, change.id, change.version) for change in sorted(changes, key=place)]


@pytest.mark.parametrize("limit", [1, 3, 50, 500])
async def test_all_levels_hold_every_version_once_newest_first(store, busy, limit):
    assert names(await pages(store, None, None, limit)) == in_order(busy)
    patients = [change for change in busy if change.type == "Patient"]
    assert names(await pages(store, "Patient", None, limit)) == in_order(patients)
    one = [change for change in patients if change.id == "r4-x"]
    rows = await pages(store, "Patient", "r4-x", limit)
    assert names(rows) == in_order(one)
    assert [(row.method, row.body, row.last_updated) for row in rows] == [
        (change.method, change.body, change.last_updated) for change in one[::-1]
    ]


async def test_ids_that_begin_alike_have_separate_histories(store):
    for id_ in ("a", "a-1", "a.1", "A"):
        await store.commit(create(id_))
        await store.commit(update(id_, 1))
    for id_ in ("a", "a-1", "a.1", "A"):
        assert names(await pages(store, "Observation", id_, 10)) == [
            ("Observation", id_, 2),
            ("Observation", id_, 1),
        ]


@pytest.mark.parametrize(("since", "until"), [(2, None), (None, 3), (2, 3), (4, 4), (50, None)])
@pytest.mark.parametrize("limit", [2, 100])
async def test_since_and_until_are_inclusive_at_all_levels(store, busy, since, until, limit):
    span = {"since": since and START + since, "until": until and START + until}
    wanted = [
        change
        for change in busy
        if (since is None or change.last_updated >= START + since)
        and (until is None or change.last_updated <= START + until)
    ]
    assert names(await pages(store, None, None, limit, **span)) == in_order(wanted)
    ours = [change for change in wanted if change.type == "Encounter"]
    assert names(await pages(store, "Encounter", None, limit, **span)) == in_order(ours)
    one = [change for change in ours if change.id == "r3"]
    assert names(await pages(store, "Encounter", "r3", limit, **span)) == in_order(one)


def current_at(changes, begin, end):
    """The versions that were current at some time between two moments, and the deletions made between them."""
    by_resource = {}
    for change in changes:
        by_resource.setdefault((change.type, change.id), []).append(change)
    found = []
    for versions in by_resource.values():
        for change, following in zip(versions, [*versions[1:], None], strict=True):
            if change.last_updated > end or (following is not None and following.last_updated <= begin):
                continue
            if change.body or change.last_updated >= begin:
                found.append(change)
    return found


@pytest.mark.parametrize(("begin", "end"), [(0, 0), (2, 2), (2, 4), (5, 6), (9, 50), (-9, -5)])
@pytest.mark.parametrize("limit", [2, 100])
async def test_at_gives_what_was_current_in_a_period(store, busy, begin, end, limit):
    wanted = current_at(busy, START + begin, START + end)
    at = (START + begin, START + end)
    assert names(await pages(store, None, None, limit, at=at)) == in_order(wanted)
    assert await store.count_history(None, None, OPEN, at=at) == len(wanted)
    ours = [change for change in wanted if change.type == "Encounter"]
    assert names(await pages(store, "Encounter", None, limit, at=at)) == in_order(ours)
    one = [change for change in ours if change.id == "r3"]
    assert names(await pages(store, "Encounter", "r3", limit, at=at)) == in_order(one)
    assert await store.count_history("Encounter", "r3", OPEN, at=at) == len(one)


def oldest_first(changes):
    def place(change):
        return (order_key(change.last_updated, change.id), change.type, change.id)

    return [(change.type, change.id, change.version) for change in sorted(changes, key=place)]


@pytest.mark.parametrize("limit", [1, 3, 100])
async def test_oldest_first_is_the_reverse(store, busy, limit):
    assert names(await pages(store, None, None, limit, ascending=True)) == oldest_first(busy)
    one = [change for change in busy if (change.type, change.id) == ("Patient", "r4-x")]
    assert names(await pages(store, "Patient", "r4-x", limit, ascending=True)) == oldest_first(one)
    since = [change for change in busy if change.last_updated >= START + 3]
    rows = await pages(store, None, None, limit, ascending=True, since=START + 3)
    assert names(rows) == oldest_first(since)


@pytest.mark.parametrize("ascending", [False, True])
async def test_a_page_is_what_one_reply_of_the_database_holds(store, ascending):
    body = b'{"x":"' + b"a" * (6 << 20) + b'"}'
    changes = [create("a", body=body), create("b", body=body, at=START + 1)]
    changes += [update("a", version, body=body, at=START + 1 + version) for version in range(1, 4)]
    for change in changes:
        await store.commit(change)
    for type_, id_, own in (
        (None, None, changes),
        ("Observation", None, changes),
        ("Observation", "a", [c for c in changes if c.id == "a"]),
    ):
        page = await store.history(type_, id_, OPEN, limit=50, ascending=ascending)
        assert 1 <= len(page.rows) <= 3
        rows = await pages(store, type_, id_, 50, ascending=ascending)
        assert names(rows) == in_order(own)[:: -1 if ascending else 1]


def colliding(count: int) -> list[str]:
    """Ids with the same tie bits: written at the same moment they have the same order key."""
    found: dict[int, list[str]] = {}
    for number in range(1_000_000):
        ties = found.setdefault(order_key(0, f"c{number}"), [])
        ties.append(f"c{number}")
        if len(ties) == count:
            return ties
    raise AssertionError("no collision found")


@pytest.mark.parametrize("limit", [1, 2, 3, 5, 6, 7, 20])
async def test_equal_order_keys_are_neither_lost_nor_repeated(store, limit):
    ids = sorted(colliding(6), reverse=True)  # the database finds equal keys in the order of writing
    changes = [create(id_, type_=type_) for id_ in ids for type_ in ("Observation", "Patient")]
    changes += [create("before", at=START - 1), create("after", at=START + 1)]
    changes += [update(id_, 1, at=START + 2) for id_ in ids[:3]]
    for change in changes:
        await store.commit(change)
    assert names(await pages(store, None, None, limit)) == in_order(changes)
    ours = [change for change in changes if change.type == "Observation"]
    assert names(await pages(store, "Observation", None, limit)) == in_order(ours)
    rows = await pages(store, None, None, limit, ascending=True)
    assert len(rows) == len(changes)
    assert set(names(rows)) == set(in_order(changes))
    assert [row.key for row in rows] == sorted(row.key for row in rows)


def test_the_history_collection_is_read_last():
    """Otherwise a version that is replaced between the two reads is in neither."""
    sources = Scope({"Observation": {}, "Patient": {}}, True, Span()).sources(0, 1, 1)
    assert [name for name, _ in sources] == ["Observation", "Observation", "Patient", "Patient", "history"]


async def test_paging_under_concurrent_writes_shows_old_versions_exactly_once(store, other):
    ids = [f"n{number}" for number in range(40)]
    await asyncio.gather(*(store.commit(create(id_, at=START + n)) for n, id_ in enumerate(ids)))
    done = asyncio.Event()

    async def write():
        rng, at = random.Random(3), START + 1000
        current = dict.fromkeys(ids, 1)
        while not done.is_set():
            for id_ in rng.sample(ids, 5):
                at += 1
                step = delete if rng.random() < 0.2 else update
                await other.commit(step(id_, current[id_], at=at))
                current[id_] += 1

    async def read():
        for _ in range(4):
            for type_ in ("Observation", None):
                rows = await pages(store, type_, None, 7)
                assert len(set(names(rows))) == len(rows)
                first = [row for row in rows if row.version == 1]
                assert sorted(row.id for row in first) == sorted(ids)
            rows = await pages(store, "Observation", "n0", 2)
            assert [row.version for row in rows] == list(range(rows[0].version, 0, -1))
        done.set()

    writing = asyncio.create_task(write())
    try:
        await read()
    finally:
        done.set()
        await writing


async def test_history_is_filtered_at_all_levels(store):
    await store.commit(create("a", patient="anne"))
    await store.commit(update("a", 1, patient="ben"))
    await store.commit(delete("a", 2))
    await store.commit(create("b", patient="anne"))
    anne = changes_of.own("anne")
    assert names(await pages(store, "Observation", "a", 10, anne)) == [("Observation", "a", 1)]
    assert {(row.id, row.version) for row in await pages(store, "Observation", None, 10, anne)} == {
        ("a", 1),
        ("b", 1),
    }
    assert {(row.id, row.version) for row in await pages(store, None, None, 1, anne)} == {("a", 1), ("b", 1)}


@pytest.mark.parametrize("cursor", ["", "x", "W10", "bnVsbA", "WzEsMl0", "é"])
async def test_a_damaged_cursor_is_the_senders_mistake(store, cursor):
    with pytest.raises(FhirError) as caught:
        await store.history(None, None, OPEN, cursor=cursor)
    assert caught.value.status == 400


async def test_an_empty_database_and_unknown_types_have_an_empty_history(store):
    assert await pages(store, None, None, 10) == []
    assert await pages(store, "Observation", None, 10) == []
    assert await pages(store, "Observation", "a", 10) == []


@pytest.mark.parametrize("is_system", [False, True])
@pytest.mark.parametrize("ascending", [False, True])
async def test_a_page_reads_no_more_of_each_source_than_it_can_show(
    store, mongo_client, is_system, ascending
):
    """So a page costs the same however many versions there are; benchmarks/bench_history.py has the figures."""
    for version in range(150):
        ids = [f"r{number}" for number in range(4)]
        await store.commit_many(
            [update(id_, version, at=START + version) if version else create(id_) for id_ in ids]
        )
    await store.commit(delete("r0", 150, at=START + 400))
    limit = 10
    page = await store.history("Observation", None, OPEN, limit=300, ascending=ascending)
    middle = page.rows[-1].key
    span = Span(ascending=ascending)
    bounds = (middle, span.keys()[1]) if ascending else (0, middle)
    scope = Scope({"Observation": {}}, is_system, span)
    for name, stages in scope.sources(*bounds, limit):
        command = {"aggregate": name, "pipeline": stages, "cursor": {}}
        reply = mongo_client[store._connection.database.name].command(
            {"explain": command, "verbosity": "executionStats"}
        )
        reply = reply if "executionStats" in reply else reply["stages"][0]["$cursor"]
        stats = reply["executionStats"]
        assert stats["totalKeysExamined"] <= limit + 1, name
        assert stats["totalDocsExamined"] <= limit, name
        assert "SORT" not in {stage["stage"] for stage in _stages(stats["executionStages"])}, name


def _stages(stage):
    yield stage
    if "inputStage" in stage:
        yield from _stages(stage["inputStage"])
