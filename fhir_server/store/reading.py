"""Reads by id: all that wait are answered by one query per type and access filter.

https://hl7.org/fhir/R4/http.html#read, https://hl7.org/fhir/R4/http.html#vread
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from bson import encode

from fhir_server.access import AccessContext
from fhir_server.store.coalescing import Coalescer, Waiter
from fhir_server.store.connection import Connection
from fhir_server.store.documents import HISTORY_FIELDS, Stored, history_id, stored

#: So many referring resources of a type are looked for.
_SHOWN = 10


@dataclass(frozen=True, slots=True)
class Wanted:
    """One document by its ``_id``; equal ``filter`` bytes (``group``) are read together."""

    collection: str
    id: str
    filter: Mapping[str, Any]
    group: bytes


class Reader:
    """Answers reads by id and version."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self.queue: Coalescer[Wanted, dict[str, Any] | None] = Coalescer(self._flush)

    async def read(self, type_: str, id_: str, access: AccessContext) -> Stored | None:
        """Return the current version or tombstone; None when there is none that the caller may see."""
        found = await self._find(type_, id_, access)
        return None if found is None else stored(type_, id_, found, is_whole=True)

    async def version(self, type_: str, id_: str, version: int, access: AccessContext) -> Stored | None:
        """Return one version; None when there is none or the caller may not see it."""
        current = await self._find(type_, id_, access)
        if current is not None and current["v"] == version:
            return stored(type_, id_, current)
        old = await self._find("history", history_id(type_, id_, version), access)
        return None if old is None else stored(type_, id_, old)

    async def living(self, type_: str, ids: Collection[str], access: AccessContext) -> set[str]:
        """Return those of the ids that the caller may see and that are not deleted."""
        parts: list[Mapping[str, Any]] = [{"_id": {"$in": list(ids)}, "lu": {"$exists": True}}]
        if access.filter:
            parts.append(access.filter)
        command = {
            "find": type_,
            "filter": {"$and": parts},
            "projection": {"_id": 1},
            "hint": "_id_",
            "batchSize": len(ids) + 1,
        }
        return {row["_id"] for row in await self._connection.find(command)}

    async def referrers(self, type_: str, names: Collection[str], besides: Collection[str]) -> list[str]:
        """Return ``Type/id`` of some resources of a type that refer to one of ``names``, without ``besides``."""
        command = {
            "find": type_,
            "filter": {"rf": {"$in": list(names)}},
            "projection": {"_id": 1},
            "limit": len(besides) + _SHOWN,
            "batchSize": len(besides) + _SHOWN + 1,
        }
        rows = await self._connection.find(command)
        return [name for row in rows if (name := f"{type_}/{row['_id']}") not in besides]

    async def close(self) -> None:
        """Finish what was asked."""
        await self.queue.close()

    async def _find(self, collection: str, id_: str, access: AccessContext) -> dict[str, Any] | None:
        group = encode(access.filter) if access.filter else b""
        return await self.queue.submit(Wanted(collection, id_, access.filter, group))

    async def _flush(self, waiters: list[Waiter[Wanted, dict[str, Any] | None]]) -> None:
        groups: dict[tuple[str, bytes], list[Waiter[Wanted, dict[str, Any] | None]]] = {}
        for waiter in waiters:
            groups.setdefault((waiter.item.collection, waiter.item.group), []).append(waiter)
        if len(groups) == 1:
            await self._answer(waiters)
        else:
            await asyncio.gather(*(self._answer(group) for group in groups.values()))

    async def _answer(self, waiters: list[Waiter[Wanted, dict[str, Any] | None]]) -> None:
        first = waiters[0].item
        ids = list({waiter.item.id for waiter in waiters})
        by_id: dict[str, Any] = {"_id": ids[0] if len(ids) == 1 else {"$in": ids}}
        rows = await self._connection.find(
            {
                "find": first.collection,
                "filter": {"$and": [by_id, first.filter]} if first.filter else by_id,
                "projection": HISTORY_FIELDS,
                "batchSize": len(ids) + 1,
            }
        )
        found = {row["_id"]: row for row in rows}
        for waiter in waiters:
            waiter.resolve(found.get(waiter.item.id))
