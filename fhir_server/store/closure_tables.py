"""The tables of $closure: the concepts that a client named, and the pairs that follow from them, by version.

A table is ``{_id: name, v: version, concepts: [[system, code]], pairs: [[system, below, above, version]]}``.
https://hl7.org/fhir/R4/conceptmap-operation-closure.html
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pymongo.errors import DuplicateKeyError, PyMongoError

from fhir_server.store.connection import Connection, failure

_NAME = "closure_tables"
Pair = tuple[str, str, str]


@dataclass(frozen=True, slots=True)
class ClosureTable:
    """One table; ``pairs`` are (system, below, above), each with the version that added it."""

    name: str
    version: int
    concepts: tuple[tuple[str, str], ...] = ()
    pairs: tuple[tuple[Pair, int], ...] = ()


class ClosureTables:
    """The closure tables of one database; every call raises Unavailable when it does not answer."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def read(self, name: str) -> ClosureTable | None:
        """Return a table, or None."""
        try:
            row = await self._connection.database[_NAME].find_one({"_id": name})
        except PyMongoError as problem:
            raise failure(problem) from problem
        if row is None:
            return None
        return ClosureTable(
            name,
            row["v"],
            tuple((system, code) for system, code in row["concepts"]),
            tuple(((system, below, above), version) for system, below, above, version in row["pairs"]),
        )

    async def reset(self, name: str) -> None:
        """Make a table empty, whether it was there or not."""
        await self._write({"_id": name}, name, 0, (), ())

    async def replace(
        self, old: ClosureTable, concepts: Sequence[tuple[str, str]], pairs: Sequence[Pair]
    ) -> bool:
        """Add concepts and pairs as the next version; False when somebody else was faster."""
        version = old.version + 1
        return await self._write(
            {"_id": old.name, "v": old.version}, old.name, version,
            (*old.concepts, *concepts), (*old.pairs, *((pair, version) for pair in pairs)),
        )  # fmt: skip

    async def _write(
        self,
        where: dict[str, object],
        name: str,
        version: int,
        concepts: Sequence[tuple[str, str]],
        pairs: Sequence[tuple[Pair, int]],
    ) -> bool:
        row = {
            "_id": name,
            "v": version,
            "concepts": [list(concept) for concept in concepts],
            "pairs": [[*pair, added] for pair, added in pairs],
        }
        try:
            result = await self._connection.database[_NAME].replace_one(where, row, upsert="v" not in where)
        except DuplicateKeyError:
            return False
        except PyMongoError as problem:
            raise failure(problem) from problem
        return bool(result.matched_count or result.upserted_id is not None)
