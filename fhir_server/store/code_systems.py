"""Code systems that are too large for a resource: one collection of concepts for each version, and a register.

A concept is ``{_id: code as it is compared, c: the concept as JSON, n: its place, w: words, p: parents,
a: all above, q: property and value with U+001F between them, i: inactive}``. An import writes a new collection, and
enters the register when it is whole.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pymongo.errors import PyMongoError

from fhir_server.store.connection import MAJORITY, Connection, failure
from fhir_server.terminology.concept import Concept
from fhir_server.terminology.filters import Filter
from fhir_server.terminology.imported_system import StoredConcept
from fhir_server.terminology.questions import Selection

_REGISTER = "code_systems"
_SEPARATOR = "\x1f"
#: Follows every character that a word may hold.
_LAST = "\U0010ffff"
#: The counter that tells workers of a new code system.
COUNTER = "code-systems"
#: A page that ends here or before is found in the same pass that counts.
_MOST_AT_ONCE = 1_000


@dataclass(frozen=True, slots=True)
class ConceptRow:
    """A concept (``CodeSystem.concept`` as JSON), where it stands, and the words by which it is found."""

    key: str
    concept: dict[str, Any]
    number: int = 0
    parents: tuple[str, ...] = ()
    ancestors: tuple[str, ...] = ()
    words: tuple[str, ...] = ()
    properties: tuple[tuple[str, str], ...] = ()
    is_inactive: bool = False


@dataclass(frozen=True, slots=True)
class Registered:
    """An imported version of a code system: the name of its collection and its CodeSystem without concepts."""

    key: str
    header: dict[str, Any]
    count: int
    imported: int


class CodeSystems:
    """The imported code systems of one database; every call raises Unavailable when it does not answer."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def all(self) -> list[Registered]:
        """Return the code systems that are whole."""
        rows = await self._connection.find(
            {"find": _REGISTER, "filter": {"state": "whole"}, "sort": {"_id": 1}, "batchSize": 10_000}
        )
        return [Registered(row["key"], row["header"], row["count"], row["imported"]) for row in rows]

    async def begin(self, canonical: str, source: str) -> tuple[str, int]:
        """Return the collection for an import and how many concepts it holds already of this very source.

        ``source`` is a digest of the files: another one begins anew.
        """
        key = f"code_system_{_digest(canonical)}_{source[:12]}"
        database = self._connection.database
        try:
            found = await database[_REGISTER].find_one({"_id": f"{canonical}#draft"})
            if found is not None and found["key"] != key:
                await database[found["key"]].drop()
            await database[_REGISTER].replace_one(
                {"_id": f"{canonical}#draft"}, {"key": key, "state": "draft"}, upsert=True
            )
            count = await database[key].estimated_document_count()
        except PyMongoError as problem:
            raise failure(problem) from problem
        return key, count

    async def write(self, key: str, rows: Sequence[ConceptRow]) -> None:
        """Write concepts, in place of those with the same code."""
        if not rows:
            return
        updates = [{"q": {"_id": row.key}, "u": _document(row), "upsert": True} for row in rows]
        await self._connection.query(
            {"update": key, "updates": updates, "ordered": False, "writeConcern": MAJORITY}
        )

    async def finish(self, canonical: str, key: str, header: Mapping[str, Any], now: int) -> int:
        """Build the indexes, enter the code system in the register in place of the old one; return its size."""
        database = self._connection.database
        try:
            await database[key].create_index([("n", 1)])
            await database[key].create_index([("w", 1), ("n", 1)])
            await database[key].create_index([("a", 1), ("n", 1)])
            await database[key].create_index([("p", 1), ("n", 1)])
            await database[key].create_index([("q", 1), ("n", 1)])
            count = await database[key].estimated_document_count()
            old = await database[_REGISTER].find_one({"_id": canonical})
            await database[_REGISTER].replace_one(
                {"_id": canonical},
                {"key": key, "state": "whole", "header": dict(header), "count": count, "imported": now},
                upsert=True,
            )
            await database[_REGISTER].delete_one({"_id": f"{canonical}#draft"})
            if old is not None and old["key"] != key:
                await database[old["key"]].drop()
        except PyMongoError as problem:
            raise failure(problem) from problem
        await self._connection.count_up(COUNTER)
        return int(count)

    async def remove(self, canonical: str) -> bool:
        """Remove a code system; False if it isn't there."""
        database = self._connection.database
        try:
            found = await database[_REGISTER].find_one_and_delete({"_id": canonical})
            if found is not None:
                await database[found["key"]].drop()
        except PyMongoError as problem:
            raise failure(problem) from problem
        await self._connection.count_up(COUNTER)
        return found is not None

    async def concepts(self, key: str, codes: Collection[str]) -> dict[str, StoredConcept]:
        """Return those concepts of a code system that there are, by code as it is compared."""
        rows = await self._connection.find(
            {"find": key, "filter": {"_id": {"$in": list(codes)}}, "batchSize": 10_000}
        )
        return {row["_id"]: _row(row) for row in rows}

    async def select(self, key: str, wanted: Selection) -> tuple[int | None, list[StoredConcept]]:
        """Return how many concepts are selected, and the wanted stretch of them."""
        condition = _condition(wanted)
        # Of one word, or of none, an index yields the page in order; of several, one pass is half the work of two.
        if (
            len(wanted.words) > 1
            and wanted.count is not None
            and wanted.offset + wanted.count <= _MOST_AT_ONCE
        ):
            return await self._page(key, condition, wanted.offset, wanted.count)
        rows: list[dict[str, Any]] = []
        if wanted.count != 0:
            command: dict[str, Any] = {
                "find": key, "filter": condition, "sort": {"n": 1}, "skip": wanted.offset, "batchSize": 20_000,
            }  # fmt: skip
            if wanted.count is not None:
                command["limit"] = wanted.count
            rows = await self._connection.find(command)
        if wanted.count is None:
            return len(rows), [_row(row) for row in rows]
        counted = await self._connection.query(
            {"count": key, "query": condition} if condition else {"count": key}
        )
        return int(counted["n"]), [_row(row) for row in rows]

    async def _page(
        self, key: str, condition: dict[str, Any], offset: int, count: int
    ) -> tuple[int, list[StoredConcept]]:
        """Return the number of matches and one page of them, in one pass over the matches."""
        end = offset + count
        first = {"$topN": {"n": end, "sortBy": {"n": 1}, "output": "$$ROOT"}}
        group = {"_id": None, "total": {"$sum": 1}, **({"rows": first} if end else {})}
        found = await self._connection.find(
            {"aggregate": key, "pipeline": [{"$match": condition}, {"$group": group}], "cursor": {}}
        )
        if not found:
            return 0, []
        return found[0]["total"], [_row(row) for row in found[0].get("rows", ())[offset:]]


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _document(row: ConceptRow) -> dict[str, Any]:
    return {
        "_id": row.key,
        "c": row.concept,
        "n": row.number,
        "p": list(row.parents),
        "a": list(row.ancestors),
        "w": list(row.words),
        "q": [f"{name}{_SEPARATOR}{value}" for name, value in row.properties],
        "i": row.is_inactive,
    }


def _row(document: Mapping[str, Any]) -> StoredConcept:
    return StoredConcept(Concept.of(document["c"]), tuple(document["p"]), frozenset(document["a"]))


def _condition(wanted: Selection) -> dict[str, Any]:
    """Return the Mongo filter of a selection."""
    # The longest word is the rarest: the index serves the first condition on it.
    longest_first = sorted(wanted.words, key=len, reverse=True)
    parts: list[dict[str, Any]] = [
        {"w": {"$elemMatch": {"$gte": word, "$lt": word + _LAST}}} for word in longest_first
    ]
    parts += [_filter(one) for one in wanted.filters]
    if wanted.active_only:
        parts.append({"i": False})
    return {"$and": parts} if parts else {}


def _filter(one: Filter) -> dict[str, Any]:
    """Return the Mongo filter of one filter of a value set."""
    name, op, value = one.property, one.op, one.value
    if op in {"is-a", "descendent-of", "is-not-a"}:
        above: dict[str, Any] = {"$or": [{"a": value}, {"c.code": value}]}
        if op == "is-a":
            return above
        return {"a": value} if op == "descendent-of" else {"$nor": [above]}
    if op == "child-of":
        return {"p": value}
    if name in {"concept", "code"}:
        return _plain("c.code", one)
    if name == "display":
        return _plain("c.display", one)
    if name == "parent":
        return _plain("p", one)
    if op == "exists":
        found = {"q": {"$regex": f"^{re.escape(name)}{_SEPARATOR}"}}
        return found if value == "true" else {"$nor": [found]}
    if op == "regex":
        return {"q": {"$regex": f"^{re.escape(name)}{_SEPARATOR}(?:{value})$"}}
    values = [f"{name}{_SEPARATOR}{word}" for word in (one.words if op != "=" else (value,))]
    return {"q": {"$nin" if op == "not-in" else "$in": values}}


def _plain(field: str, one: Filter) -> dict[str, Any]:
    if one.op == "exists":
        return {field: {"$exists": one.value == "true"}}
    if one.op == "regex":
        return {field: {"$regex": f"^(?:{one.value})$"}}
    if one.op == "not-in":
        return {field: {"$nin": list(one.words)}}
    return {field: {"$in": list(one.words) if one.op == "in" else [one.value]}}
