"""New resources in batches: each fails for itself, and one command writes many."""

from dataclasses import replace

from fhir_server.access import OPEN
from fhir_server.store.documents import VersionConflict
from tests.store.changes import create


async def test_each_is_written_or_refused_for_itself(store, other):
    await store.commit(create("there"))
    changes = [create(name) for name in ("a", "there", "b", "a")]
    found = await other.create_each([*changes, create("p", type_="Patient")])
    assert [type(problem) for problem in found] == [
        type(None),
        VersionConflict,
        type(None),
        VersionConflict,
        type(None),
    ]
    read = await store.read_each("Observation", ["a", "b", "there", "nothing"], OPEN)
    assert sorted(read) == ["a", "b", "there"]
    assert read["a"].body == changes[0].body


async def test_what_is_too_large_for_one_document_is_refused_alone(store):
    large = replace(create("large"), body=b'{"x":"' + b"y" * (17 << 20) + b'"}')
    found = await store.create_each([create("a"), large])
    assert found[0] is None
    assert getattr(found[1], "status", 0) == 413


async def test_more_than_one_command_holds(store):
    body = b'{"x":"' + b"y" * 200_000 + b'"}'
    changes = [replace(create(f"n{number}"), body=body) for number in range(100)]
    assert await store.create_each(changes) == [None] * 100
    assert len(await store.read_each("Observation", [change.id for change in changes], OPEN)) == 100
