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
#: Types that belong to no patient, and stand for others in a Consent.
_COLLECTIVES = {"Group": "i.member", "PractitionerRole": "i.practitioner"}
_SPACES = "spaces"


@dataclass(frozen=True, slots=True)
class Fact:
    """What a decision rests on: a Consent, a care team, who stands for others, or the state of a space.

    ``home`` is its patient, "" where it has none; ``body`` its JSON. Of a space, whose type is ``spaces``, it is the
    state.
    """

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
        """Return the care teams, groups, roles and Consents that name one of the references; raises Unavailable."""
        return await self.queue.submit(_Wanted(frozenset(names), frozenset()))

    async def of(self, patients: Iterable[str]) -> tuple[Fact, ...]:
        """Return the care teams, Consents and space of patients; raises Unavailable."""
        wanted = _Wanted(frozenset(), frozenset(patients))
        return await self.queue.submit(wanted) if wanted.patients else ()

    async def close(self) -> None:
        """Finish what was asked."""
        await self.queue.close()

    async def _flush(self, waiters: list[Waiter[_Wanted, tuple[Fact, ...]]]) -> None:
        names = frozenset[str]().union(*(waiter.item.names for waiter in waiters))
        patients = frozenset[str]().union(*(waiter.item.patients for waiter in waiters))
        asked = [self._find(type_, field, names, patients) for type_, field in _NAMING.items()]
        if names:
            asked += [self._find(type_, field, names, frozenset()) for type_, field in _COLLECTIVES.items()]
        if patients:
            asked.append(self._find_spaces(patients))
        found = await asyncio.gather(*asked)
        rows = [row for part in found for row in part]
        for waiter in waiters:
            item = waiter.item
            waiter.resolve(
                tuple(fact for fact, named in rows if fact.home in item.patients or named & item.names)
            )

    async def _find(
        self, type_: str, field: str, names: frozenset[str], patients: frozenset[str]
    ) -> list[tuple[Fact, frozenset[str]]]:
        either: list[dict[str, Any]] = []
        if names:
            either.append({field: {"$in": sorted(names)}})
        if patients:
            either.append({"p": {"$in": sorted(patients)}})
        command = {
            "find": type_,
            "filter": {
                "$or": either,
                "lu": {"$exists": True},
                **({"p": {"$exists": True}} if type_ in _NAMING else {}),
            },
            "projection": {"v": 1, "p": 1, field: 1, "j": 1},
            "batchSize": 10_000,
        }
        rows = []
        for row in await self._connection.find(command):
            outer, _, inner = field.partition(".")
            value = row.get(outer, {}).get(inner, ())
            named = frozenset([value] if isinstance(value, str) else value)
            home = row["p"] if type_ in _NAMING else ""
            rows.append((Fact(type_, home, row["_id"], row["v"], row["j"]), named))
        return rows

    async def _find_spaces(self, patients: frozenset[str]) -> list[tuple[Fact, frozenset[str]]]:
        wanted = {"_id": {"$in": sorted(patients)}}
        rows = await self._connection.find({"find": _SPACES, "filter": wanted, "batchSize": 10_000})
        return [
            (Fact(_SPACES, row["_id"], row["_id"], row["epoch"], row["st"].encode()), frozenset())
            for row in rows
        ]
