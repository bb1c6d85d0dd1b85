"""Jobs: long work that any worker may take up, with its progress in the database.

A job is a document ``{_id, kind, state, ...}``; whoever works on it holds a lease and renews it with every
step, so that another worker goes on where a dead one stopped.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pymongo.errors import DuplicateKeyError, PyMongoError

from fhir_server.store.connection import Connection, failure

#: A worker that has not made a step for so long is taken to be dead, milliseconds.
LEASE = 30_000
_NAME = "jobs"


class Jobs:
    """The jobs of one database; every call raises Unavailable when it does not answer."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def all(self, kind: str) -> list[dict[str, Any]]:
        """Return the jobs of a kind, by id."""
        command = {"find": _NAME, "filter": {"kind": kind}, "sort": {"_id": 1}, "batchSize": 10_000}
        return await self._connection.find(command)

    async def offer(
        self, id_: str, kind: str, fields: Mapping[str, Any], *, unless: Mapping[str, Any]
    ) -> bool:
        """Write a new job, in place of one of this id that does not match ``unless``; tell whether it was needed."""
        made = {"kind": kind, "state": "waiting", "lease": 0, "owner": "", **fields}
        try:
            result = await self._connection.database[_NAME].replace_one(
                {"_id": id_, "$nor": [dict(unless)]}, made, upsert=True
            )
        except DuplicateKeyError:  # it is there as wanted
            return False
        except PyMongoError as problem:
            raise failure(problem) from problem
        return bool(result.upserted_id or result.modified_count)

    async def take(self, kind: str, owner: str, now: int) -> dict[str, Any] | None:
        """Return a job that is due and nobody works on, now leased to ``owner``; None when there is none."""
        free = {
            "kind": kind,
            "state": {"$in": ["waiting", "running"]},
            "due": {"$lte": now},
            "lease": {"$lte": now},
        }
        try:
            found: dict[str, Any] | None = await self._connection.database[_NAME].find_one_and_update(
                free,
                {"$set": {"state": "running", "owner": owner, "lease": now + LEASE}},
                return_document=True,
            )
        except PyMongoError as problem:
            raise failure(problem) from problem
        return found

    async def step(self, job: Mapping[str, Any], fields: Mapping[str, Any], now: int) -> bool:
        """Note progress and renew the lease; False when the job was replaced or taken over meanwhile."""
        mine = {"_id": job["_id"], "owner": job["owner"], "digest": job["digest"]}
        try:
            result = await self._connection.database[_NAME].update_one(
                mine, {"$set": {**fields, "lease": now + LEASE}}
            )
        except PyMongoError as problem:
            raise failure(problem) from problem
        return result.matched_count == 1

    async def withdraw(self, id_: str) -> None:
        """Remove a job."""
        try:
            await self._connection.database[_NAME].delete_one({"_id": id_})
        except PyMongoError as problem:
            raise failure(problem) from problem
