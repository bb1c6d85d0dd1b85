"""Reads by id: all that wait are answered by one query per type; each caller sees only what its policy admits.

https://hl7.org/fhir/R4/http.html#read, https://hl7.org/fhir/R4/http.html#vread
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from fhir_server.access import REFER, AccessContext
from fhir_server.store.coalescing import Coalescer, Waiter
from fhir_server.store.connection import Connection
from fhir_server.store.documents import HISTORY_FIELDS, Stored, history_id, stored

#: So many referring resources of a type are looked for.
_SHOWN = 10
#: What an answer needs, and what access is decided by: a copy in the history has its resource's id there.
_FIELDS = {**HISTORY_FIELDS, "id": 1}
#: The index entries, by which granular scopes are judged.
_ENTRIES = {"i": 1, "x": 1}


@dataclass(frozen=True, slots=True)
class Wanted:
    """One document by its ``_id``, asked for by a letter of the caller's rights on its resource type."""

    collection: str
    id: str
    type: str
    letter: str
    access: AccessContext


class Reader:
    """Answers reads by id and version."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self.queue: Coalescer[Wanted, dict[str, Any] | None] = Coalescer(self._flush)

    async def read(self, type_: str, id_: str, access: AccessContext, letter: str) -> Stored | None:
        """Return the current version or tombstone; None when there is none that the caller may see."""
        found = await self.queue.submit(Wanted(type_, id_, type_, letter, access))
        return None if found is None else stored(type_, id_, found, is_whole=True)

    async def read_each(self, type_: str, ids: Collection[str], access: AccessContext) -> dict[str, Stored]:
        """Return the current versions or tombstones by id, of those that the caller may see."""
        if not ids:
            return {}
        rows = await self._connection.find(
            {
                "find": type_,
                "filter": {"_id": {"$in": list(ids)}},
                "projection": _projection(needs_entries=access.needs_entries),
                "hint": "_id_",
                "batchSize": len(ids) + 1,
            }
        )
        return {
            row["_id"]: stored(type_, row["_id"], row, is_whole=True)
            for row in rows
            if access.admits(type_, "r", row)
        }

    async def version(self, type_: str, id_: str, version: int, access: AccessContext) -> Stored | None:
        """Return one version; None when there is none or the caller may not see it."""
        current = await self.queue.submit(Wanted(type_, id_, type_, "r", access))
        if current is not None and current["v"] == version:
            return stored(type_, id_, current)
        id_of_copy = history_id(type_, id_, version)
        old = await self.queue.submit(Wanted("history", id_of_copy, type_, "r", access))
        return None if old is None else stored(type_, id_, old)

    async def living(self, type_: str, ids: Collection[str], access: AccessContext) -> set[str]:
        """Return those of the ids that the caller may see and that are not deleted."""
        visible = access.filter_for(type_, REFER)
        if visible is None:
            return set()
        command = {
            "find": type_,
            "filter": {"$and": [{"_id": {"$in": list(ids)}, "lu": {"$exists": True}}, visible]},
            "projection": {"_id": 1},
            "hint": "_id_",
            "batchSize": len(ids) + 1,
        }
        return {row["_id"] for row in await self._connection.find(command)}

    async def referrers(
        self, type_: str, names: Collection[str], besides: Collection[str], access: AccessContext
    ) -> list[str]:
        """Return ``Type/id`` of some resources of a type that refer to one of ``names``, without ``besides``.

        In place of those that the caller may not see there is "".
        """
        command = {
            "find": type_,
            "filter": {"rf": {"$in": list(names)}},
            "projection": {"p": 1, "_sec": 1},
            "limit": len(besides) + _SHOWN,
            "batchSize": len(besides) + _SHOWN + 1,
        }
        rows = await self._connection.find(command)
        return [
            name if access.admits(type_, "s", row) else ""
            for row in rows
            if (name := f"{type_}/{row['_id']}") not in besides
        ]

    async def close(self) -> None:
        """Finish what was asked."""
        await self.queue.close()

    async def _flush(self, waiters: list[Waiter[Wanted, dict[str, Any] | None]]) -> None:
        groups: dict[str, list[Waiter[Wanted, dict[str, Any] | None]]] = {}
        for waiter in waiters:
            groups.setdefault(waiter.item.collection, []).append(waiter)
        if len(groups) == 1:
            await self._answer(waiters)
        else:
            await asyncio.gather(*(self._answer(group) for group in groups.values()))

    async def _answer(self, waiters: list[Waiter[Wanted, dict[str, Any] | None]]) -> None:
        ids = list({waiter.item.id for waiter in waiters})
        needs_entries = any(waiter.item.access.needs_entries for waiter in waiters)
        rows = await self._connection.find(
            {
                "find": waiters[0].item.collection,
                "filter": {"_id": ids[0] if len(ids) == 1 else {"$in": ids}},
                "projection": _projection(needs_entries=needs_entries),
                "batchSize": len(ids) + 1,
            }
        )
        found = {row["_id"]: row for row in rows}
        for waiter in waiters:
            item, row = waiter.item, found.get(waiter.item.id)
            waiter.resolve(row if row and item.access.admits(item.type, item.letter, row) else None)


def _projection(*, needs_entries: bool) -> dict[str, int]:
    return {**_FIELDS, **_ENTRIES} if needs_entries else _FIELDS
