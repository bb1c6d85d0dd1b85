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
    HISTORY_FIELDS,
    STORED_FIELDS,
    TIE_BITS,
    Page,
    Stored,
    fitting,
    history_id,
    stored,
)
from fhir_server.store.history_scope import LARGEST_KEY, Listed, Scope, Span, all_of


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
        listed: Listed | None,
        cursor: str | None,
        limit: int,
    ) -> Page:
        """Return up to ``limit`` versions, in the order of the span; only those ``listed`` if there is a list."""
        after = None if cursor is None else Cursor.parse(cursor)
        scope = await self._scope(type_, id_, access, span, listed)
        if not scope.visible:
            return Page(())
        if scope.id is not None and listed is None:
            return await self._instance(scope, access, after, limit)
        return await self._merged(scope, after, limit)

    async def _scope(
        self, type_: str | None, id_: str | None, access: AccessContext, span: Span, listed: Listed | None
    ) -> Scope:
        types = (type_,) if type_ is not None else await self._catalogue.types()
        if listed is not None:
            listed = [row for row in listed if row[0] in types and id_ in (None, row[1])]
            concerned = {row[0] for row in listed}
            types = tuple(name for name in types if name in concerned)
        visible: dict[str, Mapping[str, Any]] = {}
        for name in types:
            condition = access.filter_for(name, "s" if id_ is None else "r")
            if condition is not None:
                visible[name] = condition
        return Scope(visible, type_ is None and len(visible) == len(types), span, id_, listed)

    async def count(
        self,
        type_: str | None,
        id_: str | None,
        access: AccessContext,
        span: Span,
        listed: Listed | None = None,
    ) -> int:
        """Return how many versions there are."""
        scope = await self._scope(type_, id_, access, span, listed)
        if not scope.visible:
            return 0
        total = 0
        for name, condition in scope.conditions(*span.keys()):
            total += int((await self._connection.query({"count": name, "query": condition}))["n"])
        return total

    async def _instance(self, scope: Scope, access: AccessContext, after: Cursor | None, limit: int) -> Page:
        [type_], id_, span = scope.visible, scope.id or "", scope.span
        low, high = span.keys()
        by_id = {"find": type_, "filter": {"_id": id_}, "projection": HISTORY_FIELDS}
        rows = await self._connection.find(by_id)
        current = [stored(type_, id_, row) for row in rows if access.admits(type_, "r", row)]
        newest = current[0].version if current else LARGEST_KEY
        condition = scope.superseded(low, high)
        if after is not None:
            bound = "$gt" if span.ascending else "$lt"
            condition = all_of(condition, {"_id": {bound: history_id(type_, id_, after.version)}})
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
        found = [stored(type_, id_, row) for row in old if row["v"] < newest]
        head = [row for row in current if _is_in(row, span) and _is_beyond(row, after, span)]
        if not span.ascending:
            found = head + found
        elif not is_cut:
            found += head
        return _page(found, after, limit, is_more=is_cut or len(found) > limit)

    async def _merged(self, scope: Scope, after: Cursor | None, limit: int) -> Page:
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
        self, scope: Scope, low: int, high: int, after: Cursor | None, limit: int | None
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
