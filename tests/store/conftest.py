"""Stores on the session's mongod."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from fhir_server.store import Store
from tests.store.changes import connect


@pytest.fixture
async def store(mongod_uri: str, database_name: str) -> AsyncIterator[Store]:
    opened = await connect(mongod_uri, database_name)
    yield opened
    await opened.close()


@pytest.fixture
async def other(mongod_uri: str, database_name: str) -> AsyncIterator[Store]:
    """A second store on the same database, as another worker has it."""
    opened = await connect(mongod_uri, database_name)
    yield opened
    await opened.close()
