"""Labels that change without a version, beside updates."""

from dataclasses import replace

import pytest

from fhir_server.access import OPEN
from fhir_server.store.documents import VersionConflict
from tests.store.changes import create, update


async def relabelled(store, body):
    """Give the current version another body; return it as it was read before."""
    before = await store.read("Observation", "a", OPEN)
    change = replace(
        create("a", body=body, at=before.last_updated), previous=before.version - 1, method=before.method
    )
    await store.relabel(replace(change, replaces=before))
    return before


async def test_the_version_stays(store):
    await store.commit(create("a", body=b'{"old":1}'))
    before = await relabelled(store, b'{"new":1}')
    after = await store.read("Observation", "a", OPEN)
    assert (after.version, after.last_updated, after.method) == (1, before.last_updated, before.method)
    assert after.body == b'{"new":1}'
    assert len((await store.history("Observation", "a", OPEN)).rows) == 1


async def test_an_update_that_read_before_keeps_the_labels_in_history(store):
    await store.commit(create("a", body=b'{"old":1}'))
    before = await relabelled(store, b'{"new":1}')
    await store.commit(replace(update("a", 1), replaces=before))
    first = await store.version("Observation", "a", 1, OPEN)
    assert first.body == b'{"new":1}'


async def test_who_comes_second_is_told(store):
    await store.commit(create("a", body=b'{"old":1}'))
    before = await relabelled(store, b'{"new":1}')
    again = replace(create("a", body=b"{}", at=before.last_updated), replaces=before)
    with pytest.raises(VersionConflict):
        await store.relabel(again)
    await store.commit(update("a", 1))
    with pytest.raises(VersionConflict):
        await store.relabel(again)
