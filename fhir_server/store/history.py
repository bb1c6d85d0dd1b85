"""History at the levels of instance, type and system: superseded versions merged with the current ones.

https://hl7.org/fhir/R4/http.html#history

Newest first, or oldest first. Current documents are read before ``history``: a version that is replaced
meanwhile is then met twice (and shown once), never missed. Type and system level are ordered by (order key,
type, id); the cursor names the last row and how many rows with its key were shown, because the database sorts by
the key alone. A page is what fits in one reply of 16 MB.
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
from fhir_server.store.documents import (
    STORED_FIELDS,
    TIE_BITS,
    Method,
    Page,
    Stored,
    fitting,
    history_id,
    stored,
)

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
class Span:
    """Which versions are asked for.

    ``since`` and ``until`` are inclusive milliseconds UTC of lastUpdated. ``at`` are the first and last
    millisecond of a period: versions that were current at some time in it; of deletions those made in it.
    """

    since: int | None = None
    until: int | None = None
    at: tuple[int, int] | None = None
    ascending: bool = False

    @property
    def direction(self) -> int:
        """The direction of order keys in the database's terms."""
        return 1 if self.ascending else -1

    def keys(self) -> tuple[int, int]:
        """Return the smallest and largest order key that a version may have."""
        ends = [moment for moment in (self.until, self.at and self.at[1]) if moment is not None]
        low = 0 if self.since is None else self.since << TIE_BITS
        return low, (min(ends) << TIE_BITS) | _TIES if ends else _LARGEST_KEY

    def of_deletions(self, field: str) -> list[dict[str, Any]]:
        """Return the further conditions on current tombstones."""
        return [] if self.at is None else [{field: {"$gte": self.at[0] << TIE_BITS}}]

    def of_superseded(self) -> list[dict[str, Any]]:
        """Return the further conditions on documents of ``history``: ``u`` is when the version was superseded."""
        if self.at is None:
            return []
        begin = self.at[0] << TIE_BITS
        return [
            {"u": {"$gt": begin | _TIES}},
            {"$or": [{"m": {"$ne": Method.DELETE.value}}, {"lu": {"$gte": begin}}]},
        ]


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
        span: Span,
        *,
        cursor: str | None,
        limit: int,
    ) -> Page:
        """Return up to ``limit`` versions, in the order of the span."""
        after = None if cursor is None else Cursor.parse(cursor)
        if type_ is not None and id_ is not None:
            return await self._instance(_Scope((type_,), False, access.filter, span, id_), after, limit)
        types = (type_,) if type_ is not None else await self._catalogue.types()
        if not types:
            return Page(())
        return await self._merged(_Scope(types, type_ is None, access.filter, span), after, limit)

    async def count(self, type_: str | None, id_: str | None, access: AccessContext, span: Span) -> int:
        """Return how many versions there are."""
        types = (type_,) if type_ is not None else await self._catalogue.types()
        scope = _Scope(types, type_ is None, access.filter, span, id_)
        total = 0
        for name, condition in scope.conditions(*span.keys()):
            total += int((await self._connection.query({"count": name, "query": condition}))["n"])
        return total

    async def _instance(self, scope: _Scope, after: Cursor | None, limit: int) -> Page:
        [type_], id_, span = scope.types, scope.id or "", scope.span
        low, high = span.keys()
        by_id = {"find": type_, "filter": _all({"_id": id_}, scope.access), "projection": STORED_FIELDS}
        current = [stored(type_, id_, row) for row in await self._connection.find(by_id)]
        newest = current[0].version if current else _LARGEST_KEY
        condition = scope.superseded(low, high)
        if after is not None:
            bound = "$gt" if span.ascending else "$lt"
            condition = _all(condition, {"_id": {bound: history_id(type_, id_, after.version)}})
        old, is_cut = await self._connection.find_page(
            {
                "find": "history",
                "filter": condition,
                "projection": STORED_FIELDS,
                "sort": {"_id": span.direction},
                "hint": "_id_",
                "limit": limit + 1,
                "batchSize": limit + 1,
            }
        )
        rows = [stored(type_, id_, row) for row in old if row["v"] < newest]
        head = [row for row in current if _is_in(row, span) and _is_beyond(row, after, span)]
        if not span.ascending:
            rows = head + rows
        elif not is_cut:
            rows += head
        return _page(rows, after, limit, is_more=is_cut or len(rows) > limit)

    async def _merged(self, scope: _Scope, after: Cursor | None, limit: int) -> Page:
        low, high = scope.span.keys()
        if after is not None:
            low, high = (max(low, after.key), high) if scope.span.ascending else (low, min(high, after.key))
        found, is_cut = await self._rows(scope, low, high, after, limit + 1)
        rows = _in_order(found, scope.span)
        is_full = is_cut or len(found) > limit
        if is_full and (is_cut or (len(rows) > 1 and rows[-1].key == rows[-2].key)):
            # The last key's rows may be incomplete, and some of them belong on this page.
            tied = rows[-1].key
            rows = [row for row in rows if row.key != tied]
            if not rows or not is_cut:
                group, _ = await self._rows(scope, tied, tied, after, None)
                rows += _in_order(group, scope.span)
        return _page(rows, after, limit, is_more=is_full or len(rows) > limit)

    async def _rows(
        self, scope: _Scope, low: int, high: int, after: Cursor | None, limit: int | None
    ) -> tuple[list[Stored], bool]:
        """Return rows beyond the cursor in page order, and whether the reply was cut at 16 MB."""
        count = None if limit is None else limit + (0 if after is None else after.shown)
        first, *others = scope.sources(low, high, count)
        pipeline = [
            *first[1],
            *({"$unionWith": {"coll": name, "pipeline": stages}} for name, stages in others),
            {"$sort": {"k": scope.span.direction, "t": 1, "id": 1, "v": -1}},
            *([] if after is None else [{"$match": _beyond(after, scope.span)}]),
            *([] if limit is None else [{"$limit": limit}]),
        ]
        command = {"aggregate": first[0], "pipeline": pipeline, "cursor": {"batchSize": (count or 1000) + 1}}
        rows, is_cut = await self._connection.find_page(command)
        return [stored(row["t"], row["id"], row) for row in rows], is_cut


@dataclass(frozen=True, slots=True)
class _Scope:
    """Which collections a merged history reads, for whom and what of them."""

    types: tuple[str, ...]
    is_system: bool
    access: Mapping[str, Any]
    span: Span
    id: str | None = None

    def conditions(self, low: int, high: int) -> list[tuple[str, dict[str, Any]]]:
        """Return (collection, filter) of each source, living and deleted apart; ``history`` comes last."""
        made = []
        for type_ in self.types:
            own = {} if self.id is None else {"_id": self.id}
            for field, further in (("lu", []), ("dl", self.span.of_deletions("dl"))):
                condition = {**own, field: {"$gte": low, "$lte": high}}
                made.append((type_, _all(condition, *further, self.access)))
        return [*made, ("history", self.superseded(low, high))]

    def superseded(self, low: int, high: int) -> dict[str, Any]:
        """Return the filter on ``history``."""
        condition: dict[str, Any] = {} if self.is_system else {"t": self.types[0]}
        if self.id is not None:
            [type_] = self.types
            condition = {
                "_id": {"$gt": f"{type_}/{self.id}/", "$lt": f"{type_}/{self.id}0"}
            }  # "0" follows "/"
        condition["lu"] = {"$gte": low, "$lte": high}
        return _all(condition, *self.span.of_superseded(), self.access)

    def sources(self, low: int, high: int, count: int | None) -> list[tuple[str, list[dict[str, Any]]]]:
        """Return (collection, pipeline) of each source; ``history`` comes last."""
        made = []
        for number, (name, condition) in enumerate(self.conditions(low, high)):
            is_old = name == "history"
            field = "dl" if number % 2 and not is_old else "lu"
            fields: dict[str, Any] = {"t": 1, "id": 1}
            if not is_old:
                fields = {"t": {"$literal": name}, "id": "$_id"}
            stages: list[dict[str, Any]] = [
                {"$match": condition},
                {"$sort": {field: self.span.direction}},
                *([] if count is None else [{"$limit": count}]),
                {"$project": {**STORED_FIELDS, **fields, "k": f"${field}"}},
            ]
            made.append((name, stages))
        return made


def _is_in(row: Stored, span: Span) -> bool:
    """Tell whether a current version is asked for."""
    low, high = span.keys()
    if row.is_deleted and span.at is not None:
        low = max(low, span.at[0] << TIE_BITS)
    return low <= row.key <= high


def _is_beyond(row: Stored, after: Cursor | None, span: Span) -> bool:
    if after is None:
        return True
    return row.version > after.version if span.ascending else row.version < after.version


def _beyond(after: Cursor, span: Span) -> dict[str, Any]:
    """Return the condition on merged rows that they come after the cursor's."""
    return {
        "$or": [
            {"k": {"$gt" if span.ascending else "$lt": after.key}},
            {"k": after.key, "t": {"$gt": after.type}},
            {"k": after.key, "t": after.type, "id": {"$gt": after.id}},
        ]
    }


def _page(rows: list[Stored], after: Cursor | None, limit: int, *, is_more: bool) -> Page:
    page = tuple(rows[:limit])
    count = fitting(page)
    is_more = is_more or count < len(page)
    page = page[:count]
    if not page or not is_more:
        return Page(page)
    last = page[-1]
    shown = sum(row.key == last.key for row in page)
    if after is not None and after.key == last.key:
        shown += after.shown
    return Page(page, Cursor(last.key, last.type, last.id, last.version, shown).text())


def _in_order(rows: Iterable[Stored], span: Span) -> list[Stored]:
    """Return the rows in page order, each version once."""
    unique = {(row.type, row.id, row.version): row for row in rows}
    return sorted(unique.values(), key=lambda row: (span.direction * row.key, row.type, row.id, -row.version))


def _all(*conditions: Mapping[str, Any]) -> dict[str, Any]:
    parts = [dict(condition) for condition in conditions if condition]
    return parts[0] if len(parts) == 1 else {"$and": parts}
