"""Reads the audit log: single events, searches, everything in its order, the checkpoints.

https://hl7.org/fhir/R4/auditevent.html
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from pymongo.errors import PyMongoError

from fhir_server.access.audit_chain import Checkpoint
from fhir_server.store.connection import Connection, failure

#: Events of a month are in the collection of this name and the month; checkpoints are all in one.
PREFIX = "audit."
CHECKPOINTS = "audit-checkpoints"
_ID = re.compile(r"([0-9a-f]{11})-[0-9a-f]{12}-[0-9]{10}").fullmatch
#: An event waits so long for its id, at most; and the end of time, in the year 2500.
_WAITING_MS = 60_000
_LATEST_MS = 16_725_225_600_000


@dataclass(frozen=True, slots=True)
class Row:
    """One stored event."""

    id: str
    chain: str
    position: int
    root: bytes
    body: bytes
    fields: Mapping[str, Any] = field(default_factory=dict)


class AuditReader:
    """Reads events; every method raises Unavailable when the database does not answer."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def checkpoints(self) -> list[Checkpoint]:
        """Return all checkpoints, in order."""
        rows = await self._connection.find({"find": CHECKPOINTS, "sort": {"_id": 1}, "batchSize": 10_000})
        return [checkpoint_of(row) for row in rows]

    async def months(self) -> list[str]:
        """Return the months that there are events of, such as 202611, in order."""
        try:
            names = await self._connection.database.list_collection_names(
                filter={"name": {"$regex": r"^audit\.[0-9]{6}$"}}, authorizedCollections=True
            )
        except PyMongoError as problem:
            raise failure(problem) from problem
        return sorted(name.removeprefix(PREFIX) for name in names)

    async def all(self) -> AsyncIterator[Row]:
        """Yield every event, each chain in its order."""
        try:
            for month in await self.months():
                async for row in self._connection.database[PREFIX + month].find({}, sort=[("_id", 1)]):
                    yield _row(row)
        except PyMongoError as problem:
            raise failure(problem) from problem

    async def read(self, id_: str, condition: Mapping[str, Any]) -> Row | None:
        """Return one event, if it fulfils a condition on its fields."""
        time = _time_of(id_)
        if time is None:
            return None
        month = month_of(time)
        command = {"find": PREFIX + month, "filter": {"$and": [{"_id": id_}, dict(condition)]}, "limit": 1}
        rows = await self._connection.find(command)
        return _row(rows[0]) if rows else None

    async def search(
        self,
        condition: Mapping[str, Any],
        *,
        since: int | None,
        until: int | None,
        after: str | None,
        ascending: bool,
        limit: int,
    ) -> list[Row]:
        """Return up to ``limit`` events in the order of their time, newest first unless ``ascending``.

        ``since`` and ``until`` are inclusive milliseconds UTC; ``after`` is the id of the last row before.
        """
        # An event is recorded before it gets its id, by the time that it waits at most.
        low = since if since is not None else 0
        high = until + _WAITING_MS if until is not None else _LATEST_MS
        ids = {"$gte": f"{max(low, 0):011x}", "$lt": f"{max(high + 1, 0):011x}"}
        if after is not None:
            ids |= {"$gt" if ascending else "$lt": after}
        times = {name: value for name, value in (("$gte", since), ("$lte", until)) if value is not None}
        parts: list[Mapping[str, Any]] = [condition, {"_id": ids}, *([{"t": times}] if times else ())]
        months = [month for month in await self.months() if month_of(low) <= month <= month_of(high)]
        found: list[Row] = []
        for month in months if ascending else reversed(months):
            rows = await self._connection.find(
                {
                    "find": PREFIX + month,
                    "filter": {"$and": parts},
                    "sort": {"_id": 1 if ascending else -1},
                    "limit": limit - len(found),
                    "batchSize": limit + 1,
                }
            )
            found += map(_row, rows)
            if len(found) >= limit:
                break
        return found


def new_id(milliseconds: int, chain: str, position: int) -> str:
    """Return the id of an event: text order is that of time, and within a chain that of positions."""
    return f"{milliseconds:011x}-{chain}-{position:010d}"


def _time_of(id_: str) -> int | None:
    """Return the milliseconds UTC in an id; None if it is none of ours."""
    match = _ID(id_)
    return None if match is None else min(int(match[1], 16), _LATEST_MS)


def month_of(milliseconds: int) -> str:
    """Return the month of a moment, such as 202611."""
    return f"{datetime.fromtimestamp(milliseconds / 1000, UTC):%Y%m}"


def _row(document: dict[str, Any]) -> Row:
    fields: dict[str, Any] = {
        name: document[name] for name in ("t", "a", "o", "k", "p", "s", "e") if name in document
    }
    return Row(
        document["_id"], document["c"], document["n"], bytes(document["h"]), bytes(document["j"]), fields
    )


def checkpoint_of(document: Mapping[str, Any]) -> Checkpoint:
    """Return a checkpoint as it is stored."""
    return Checkpoint.of({"number": document["_id"], **{k: v for k, v in document.items() if k != "_id"}})
