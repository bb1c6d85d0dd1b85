"""What access is decided by besides a document's own keys: Consents and care teams, read anew for each request.

All requests that wait are answered by one query per type. Nobody's rights are asked: this is how they are found out.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from fhir_server.store.coalescing import Coalescer, Waiter
from fhir_server.store.connection import Connection

#: Of each type, the field that names who may be allowed or denied something.
_NAMING = {"CareTeam": "i.participant", "Consent": "_sec.who"}


@dataclass(frozen=True, slots=True)
class Fact:
    """A Consent or a care team: ``home`` is its patient, ``body`` its JSON."""

    type: str
    home: str
    id: str
    version: int
    body: bytes


@dataclass(frozen=True, slots=True)
class _Wanted:
    names: frozenset[str]
    patients: frozenset[str]


class FactReader:
    """Reads facts by whom they name, and by patient."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self.queue: Coalescer[_Wanted, tuple[Fact, ...]] = Coalescer(self._flush)

    async def naming(self, names: Iterable[str]) -> tuple[Fact, ...]:
        """Return the care teams and Consents that name one of the references; raises Unavailable."""
        return await self.queue.submit(_Wanted(frozenset(names), frozenset()))

    async def of(self, patients: Iterable[str]) -> tuple[Fact, ...]:
        """Return the care teams and Consents of patients; raises Unavailable."""
        wanted = _Wanted(frozenset(), frozenset(patients))
        return await self.queue.submit(wanted) if wanted.patients else ()

    async def close(self) -> None:
        """Finish what was asked."""
        await self.queue.close()

    async def _flush(self, waiters: list[Waiter[_Wanted, tuple[Fact, ...]]]) -> None:
        names = frozenset[str]().union(*(waiter.item.names for waiter in waiters))
        patients = frozenset[str]().union(*(waiter.item.patients for waiter in waiters))
        found = await asyncio.gather(*(self._find(type_, names, patients) for type_ in _NAMING))
        rows = [row for part in found for row in part]
        for waiter in waiters:
            item = waiter.item
            waiter.resolve(
                tuple(fact for fact, named in rows if fact.home in item.patients or named & item.names)
            )

    async def _find(
        self, type_: str, names: frozenset[str], patients: frozenset[str]
    ) -> list[tuple[Fact, frozenset[str]]]:
        field = _NAMING[type_]
        either: list[dict[str, Any]] = []
        if names:
            either.append({field: {"$in": sorted(names)}})
        if patients:
            either.append({"p": {"$in": sorted(patients)}})
        command = {
            "find": type_,
            "filter": {"$or": either, "lu": {"$exists": True}, "p": {"$exists": True}},
            "projection": {"v": 1, "p": 1, field: 1, "j": 1},
            "batchSize": 10_000,
        }
        rows = []
        for row in await self._connection.find(command):
            outer, _, inner = field.partition(".")
            value = row.get(outer, {}).get(inner, ())
            named = frozenset([value] if isinstance(value, str) else value)
            rows.append((Fact(type_, row["p"], row["_id"], row["v"], row["j"]), named))
        return rows
