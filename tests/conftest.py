"""What every test may ask for: one real mongod for the session, a fresh database for each test."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from typing import Any

import pytest
from pymongo import MongoClient

from fhir_server.store.embedded import EmbeddedMongod

_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def mongod(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedMongod]:
    """The session's own mongod; tests that kill a server start another one."""
    running = EmbeddedMongod.start(tmp_path_factory.mktemp("mongod"), cache_gb=0.25)
    yield running
    running.stop()


@pytest.fixture(scope="session")
def mongod_uri(mongod: EmbeddedMongod) -> str:
    """The URI of the session's MongoDB, for synchronous and asynchronous tests alike."""
    return mongod.uri


@pytest.fixture(scope="session")
def mongo_client(mongod_uri: str) -> Iterator[MongoClient[dict[str, Any]]]:
    """A synchronous client of the session's MongoDB: to look behind the store and to drop databases."""
    with MongoClient[dict[str, Any]](mongod_uri) as client:
        yield client


def _new_name() -> str:
    return f"t{os.getpid()}_{next(_numbers)}"


@pytest.fixture
def database_name(mongo_client: MongoClient[dict[str, Any]]) -> Iterator[str]:
    """The name of a database that no other test uses; dropped afterwards."""
    name = _new_name()
    yield name
    mongo_client.drop_database(name)


@pytest.fixture(scope="module")
def module_database_name(mongo_client: MongoClient[dict[str, Any]]) -> Iterator[str]:
    """As ``database_name``, shared by the tests of a module."""
    name = _new_name()
    yield name
    mongo_client.drop_database(name)
