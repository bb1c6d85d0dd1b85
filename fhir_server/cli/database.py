"""The address of the database for commands that work on it beside a server, or without one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fhir_server.settings import Settings


@contextmanager
def database_uri(settings: Settings) -> Iterator[str]:
    """Give the address of the database: the setting's, a running server's own, or that of one started here."""
    from fhir_server.store.data_directory import DataDirectoryInUse
    from fhir_server.store.embedded import EmbeddedMongod, running_uri

    if settings.mongodb.uri is not None:
        yield settings.mongodb.uri.get_secret_value()
        return
    folder = settings.data.dir / "mongodb"
    try:
        mongod = EmbeddedMongod.start(
            folder, binary=settings.mongodb.binary, cache_gb=settings.mongodb.cache_gb
        )
    except DataDirectoryInUse:
        yield running_uri(folder)
        return
    try:
        yield mongod.uri
    finally:
        mongod.stop()
