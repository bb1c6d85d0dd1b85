"""Reads the audit log: single events, searches, everything in its order, the checkpoints.

https://hl7.org/fhir/R4/auditevent.html
"""

from __future__ import annotations

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
        month = id_.partition("-")[0]
        if not (len(month) == 6 and month.isdigit()):
            return None
        command = {"find": PREFIX + month, "filter": {"$and": [{"_id": id_}, dict(condition)]}, "limit": 1}
        rows = await self._connection.find(command)
        return _row(rows[0]) if rows else None

    async def search(
        self,
        condition: Mapping[str, Any],
        *,
        since: int | None,
        until: int | None,
        after: tuple[int, str] | None,
        ascending: bool,
        limit: int,
    ) -> list[Row]:
        """Return up to ``limit`` events in the order of their time, newest first unless ``ascending``.

        ``since`` and ``until`` are inclusive milliseconds UTC; ``after`` is time and id of the last row before.
        """
        first = month_of(since) if since is not None else ""
        last = month_of(until) if until is not None else "999999"
        months = [month for month in await self.months() if first <= month <= last]
        sign, beyond = (1, "$gt") if ascending else (-1, "$lt")
        bounds = {name: value for name, value in (("$gte", since), ("$lte", until)) if value is not None}
        parts: list[Mapping[str, Any]] = [condition]
        if bounds:
            parts.append({"t": bounds})
        if after is not None:
            time, id_ = after
            parts.append({"$or": [{"t": {beyond: time}}, {"t": time, "_id": {beyond: id_}}]})
        found: list[Row] = []
        for month in months if ascending else reversed(months):
            rows = await self._connection.find(
                {
                    "find": PREFIX + month,
                    "filter": {"$and": parts},
                    "sort": {"t": sign, "_id": sign},
                    "limit": limit - len(found),
                    "batchSize": limit + 1,
                }
            )
            found += map(_row, rows)
            if len(found) >= limit:
                break
        return found


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
