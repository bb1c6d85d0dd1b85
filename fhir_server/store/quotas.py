"""Quotas: how much of something was used on a day, counted by all workers together.

A row is ``{_id: key, n: used, at}``; MongoDB drops it two days later. What is used first and given back after a refusal
can never exceed a limit, whoever counts at the same time.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

from pymongo.errors import PyMongoError

from fhir_server.store.connection import Connection, failure

_NAME = "quotas"
_KEPT_SECONDS = 2 * 24 * 3600


class Quotas:
    """The counters of one database; every call raises Unavailable when it does not answer."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._is_ready = False

    async def use(self, counts: Mapping[str, int]) -> dict[str, int]:
        """Count up and return how much of each key is used now; negative counts give back."""
        if not counts:
            return {}
        now = datetime.now(UTC)
        updates = [
            {"q": {"_id": key}, "u": {"$inc": {"n": count}, "$setOnInsert": {"at": now}}, "upsert": True}
            for key, count in sorted(counts.items())
        ]
        try:
            if not self._is_ready:
                await self._connection.database[_NAME].create_index("at", expireAfterSeconds=_KEPT_SECONDS)
                self._is_ready = True
            # A count that a failover loses is no harm: it is not worth the wait for a majority.
            await self._connection.command({"update": _NAME, "updates": updates, "writeConcern": {"w": 1}})
        except PyMongoError as problem:
            raise failure(problem) from problem
        wanted = {"find": _NAME, "filter": {"_id": {"$in": list(counts)}}, "batchSize": len(counts) + 1}
        return {row["_id"]: row["n"] for row in await self._connection.find(wanted)}
