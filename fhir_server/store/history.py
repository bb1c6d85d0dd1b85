"""History at the levels of instance, type and system: superseded versions merged with the current ones.

https://hl7.org/fhir/R4/http.html#history

Newest first. Current documents are read before ``history``: a version that is replaced meanwhile is then met
twice (and shown once), never missed. Type and system level are ordered by (order key descending, type, id);
the cursor names the last row and how many rows with its key were shown, because the database sorts by the key
alone.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from fhir_server.access import AccessContext
from fhir_server.outcome import error
from fhir_server.store.catalogue import Catalogue
from fhir_server.store.connection import Connection
from fhir_server.store.documents import STORED_FIELDS, TIE_BITS, Page, Stored, history_id, stored

_TIES = (1 << TIE_BITS) - 1
_LARGEST_KEY = (1 << 63) - 1


@dataclass(frozen=True, slots=True)
class Cursor:
    """Where a page ended: its last row, and how many rows with that key were ``shown`` so far."""

    key: int
    type: str
    id: str
    version: int
    shown: int

    def text(self) -> str:
        """Return the cursor as URL-safe text; it holds an id, so the edge encrypts it."""
        values = [self.key, self.type, self.id, self.version, self.shown]
        return base64.urlsafe_b64encode(json.dumps(values).encode()).decode().rstrip("=")

    @classmethod
    def parse(cls, text: str) -> Cursor:
        """Return the cursor in ``text``; raises FhirError 400 when there is none."""
        try:
            values = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
            key, type_, id_, version, shown = values
            return cls(int(key), str(type_), str(id_), int(version), int(shown))
        except (ValueError, TypeError) as problem:
            raise error("value", "The page link was damaged: start again from the first page.") from problem


@dataclass(frozen=True, slots=True)
class _Window:
    """The order keys that a page may hold (inclusive), where it begins and how long it is."""

    low: int
    high: int
    after: Cursor | None
    limit: int


class Historian:
    """Answers history interactions."""

    def __init__(self, connection: Connection, catalogue: Catalogue) -> None:
        self._connection = connection
        self._catalogue = catalogue

    async def history(
        self,
        type_: str | None,
        id_: str | None,
        access: AccessContext,
        *,
        since: int | None,
        until: int | None,
        cursor: str | None,
        limit: int,
    ) -> Page:
        """Return up to ``limit`` versions, newest first; ``since`` and ``until`` as in ``Store.history``."""
        after = None if cursor is None else Cursor.parse(cursor)
        window = _window(since, until, after, limit)
        if type_ is not None and id_ is not None:
            return await self._instance(type_, id_, access, window)
        types = (type_,) if type_ is not None else await self._catalogue.types()
        if not types:
            return Page(())
        return await self._merged(_Scope(types, type_ is None, access.filter), window)

    async def _instance(self, type_: str, id_: str, access: AccessContext, window: _Window) -> Page:
        after, limit = window.after, window.limit
        by_id = {"find": type_, "filter": _all({"_id": id_}, access.filter), "projection": STORED_FIELDS}
        current = [stored(type_, id_, row) for row in await self._connection.find(by_id)]
        oldest = current[0].version if current else _LARGEST_KEY
        rows = [
            row
            for row in current
            if window.low <= row.key <= window.high and (after is None or row.version < after.version)
        ]
        below = (
            f"{type_}/{id_}0" if after is None else history_id(type_, id_, after.version)
        )  # "0" follows "/"
        condition = {
            "_id": {"$gt": f"{type_}/{id_}/", "$lt": below},
            "lu": {"$gte": window.low, "$lte": window.high},
        }
        old = await self._connection.find(
            {
                "find": "history",
                "filter": _all(condition, access.filter),
                "projection": STORED_FIELDS,
                "sort": {"_id": -1},
                "hint": "_id_",
                "limit": limit + 1,
                "batchSize": limit + 1,
            }
        )
        rows += [stored(type_, id_, row) for row in old if row["v"] < oldest]
        return _page(rows, window, is_more=len(rows) > limit)

    async def _merged(self, scope: _Scope, window: _Window) -> Page:
        after = window.after
        count = window.limit + 1 + (0 if after is None else after.shown)
        found = await self._rows(scope, window.low, window.high, count)
        rows = _in_order(found)
        if len(found) == count and len(rows) > 1 and rows[-1].key == rows[-2].key:
            # The last key's rows may be incomplete, and some of them belong on this page.
            tied = rows[-1].key
            rows = [row for row in rows if row.key != tied]
            rows += _in_order(await self._rows(scope, tied, tied, None))
        if after is not None:
            rows = [
                row for row in rows if row.key != after.key or (row.type, row.id) > (after.type, after.id)
            ]
        return _page(rows, window, is_more=len(rows) > window.limit or len(found) == count)

    async def _rows(self, scope: _Scope, low: int, high: int, count: int | None) -> list[Stored]:
        first, *others = scope.sources(low, high, count)
        pipeline = [
            *first[1],
            *({"$unionWith": {"coll": name, "pipeline": stages}} for name, stages in others),
            {"$sort": {"k": -1, "t": 1, "id": 1, "v": -1}},
            *([] if count is None else [{"$limit": count}]),
        ]
        command = {"aggregate": first[0], "pipeline": pipeline, "cursor": {"batchSize": (count or 1000) + 1}}
        return [stored(row["t"], row["id"], row) for row in await self._connection.find(command)]


@dataclass(frozen=True, slots=True)
class _Scope:
    """Which collections a merged history reads, and for whom."""

    types: tuple[str, ...]
    is_system: bool
    access: Mapping[str, Any]

    def sources(self, low: int, high: int, count: int | None) -> list[tuple[str, list[dict[str, Any]]]]:
        """Return (collection, pipeline) of each source; ``history`` comes last."""

        def pipeline(field: str, fields: Mapping[str, Any], **condition: Any) -> list[dict[str, Any]]:
            return [
                {"$match": _all({**condition, field: {"$gte": low, "$lte": high}}, self.access)},
                {"$sort": {field: -1}},
                *([] if count is None else [{"$limit": count}]),
                {"$project": {**STORED_FIELDS, **fields, "k": f"${field}"}},
            ]

        made = [
            (type_, pipeline(field, {"t": {"$literal": type_}, "id": "$_id"}))
            for type_ in self.types
            for field in ("lu", "dl")
        ]
        condition = {} if self.is_system else {"t": self.types[0]}
        return [*made, ("history", pipeline("lu", {"t": 1, "id": 1}, **condition))]


def _page(rows: list[Stored], window: _Window, *, is_more: bool) -> Page:
    page = tuple(rows[: window.limit])
    if not page or not is_more:
        return Page(page)
    last = page[-1]
    shown = sum(row.key == last.key for row in page)
    if window.after is not None and window.after.key == last.key:
        shown += window.after.shown
    return Page(page, Cursor(last.key, last.type, last.id, last.version, shown).text())


def _in_order(rows: Iterable[Stored]) -> list[Stored]:
    """Return the rows in page order, each version once."""
    unique = {(row.type, row.id, row.version): row for row in rows}
    return sorted(unique.values(), key=lambda row: (-row.key, row.type, row.id, -row.version))


def _window(since: int | None, until: int | None, after: Cursor | None, limit: int) -> _Window:
    low = 0 if since is None else since << TIE_BITS
    high = _LARGEST_KEY if until is None else (until << TIE_BITS) | _TIES
    return _Window(low, high if after is None else min(high, after.key), after, limit)


def _all(condition: dict[str, Any], access: Mapping[str, Any]) -> dict[str, Any]:
    return {"$and": [condition, access]} if access else condition
