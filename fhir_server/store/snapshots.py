"""Snapshots: named copies of a database, made and put back by MongoDB itself, for sandboxes.

A snapshot is a database of its own, ``[database]-[name]``, which another server can be started on. What the server
keeps for itself (``meta``) and the audit are copied, but never put back: secrets stay, and a chain isn't cut.
https://www.mongodb.com/docs/manual/reference/operator/aggregation/out/
"""

from __future__ import annotations

import re
from typing import Any

from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import PyMongoError

from fhir_server.store.audit_reading import CHECKPOINTS, PREFIX
from fhir_server.store.connection import Connection, failure

#: The form of a snapshot's name.
NAME = re.compile(r"[A-Za-z0-9_]{1,20}")


class Snapshots:
    """The snapshots of one database; every call raises Unavailable when it does not answer.

    What is written while a copy is made may be in it or not: nobody should write then.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._prefix = f"{connection.database.name}-"

    async def names(self) -> list[str]:
        """Return the names, sorted."""
        try:
            found = await self._connection.client.list_database_names()
        except PyMongoError as problem:
            raise failure(problem) from problem
        return sorted(name.removeprefix(self._prefix) for name in found if name.startswith(self._prefix))

    async def take(self, name: str, source: str = "") -> int:
        """Copy the database, or the snapshot ``source``, under a name; one of that name is replaced. Returns documents.

        The name has the form of NAME.
        """
        try:
            await self._connection.client.drop_database(self._prefix + name)
            origin = self._connection.client[self._prefix + source] if source else self._connection.database
            count = 0
            for collection in await _collections(origin):
                out = {"$out": {"db": self._prefix + name, "coll": collection}}
                await (await origin[collection].aggregate([out])).to_list()
                count += await origin[collection].estimated_document_count()
        except PyMongoError as problem:
            raise failure(problem) from problem
        return count

    async def restore(self, name: str) -> int:
        """Make the database what a snapshot is, and return the documents; its indexes stay."""
        database, snapshot = self._connection.database, self._connection.client[self._prefix + name]
        try:
            held = {c for c in await _collections(snapshot) if _is_put_back(c)}
            present = {c for c in await _collections(database) if _is_put_back(c)}
            count = 0
            for collection in present | held:
                await database[collection].delete_many({})
            for collection in held:
                merge = {
                    "$merge": {"into": {"db": database.name, "coll": collection}, "whenMatched": "replace"}
                }
                await (await snapshot[collection].aggregate([merge])).to_list()
                count += await snapshot[collection].estimated_document_count()
        except PyMongoError as problem:
            raise failure(problem) from problem
        return count

    async def drop(self, name: str) -> None:
        """Remove a snapshot."""
        try:
            await self._connection.client.drop_database(self._prefix + name)
        except PyMongoError as problem:
            raise failure(problem) from problem


async def _collections(database: AsyncDatabase[dict[str, Any]]) -> list[str]:
    return [name for name in await database.list_collection_names() if not name.startswith("system.")]


def _is_put_back(collection: str) -> bool:
    return collection not in {"meta", CHECKPOINTS} and not collection.startswith(PREFIX)
