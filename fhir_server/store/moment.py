"""The store as it was at a moment: the versions that were current then, for searches by ``_at``.

Versions that are current still are found by the index, superseded ones in ``history``; their index entries are made
anew from the body. Then the plan runs over both, in the database as always, so that every plan has the same meaning.
https://www.mongodb.com/docs/manual/reference/operator/aggregation/documents/
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from fhir_server.access import OPEN, AccessContext
from fhir_server.outcome import error
from fhir_server.search.entries import IndexEntries, SearchPlan
from fhir_server.store.documents import (
    STORED_FIELDS,
    TIE_BITS,
    Method,
    Page,
    Stored,
    indexed,
    stored,
)
from fhir_server.store.history_scope import Span
from fhir_server.store.searching import effective_filter
from fhir_server.store.store import Store

#: Most versions that one query looks at.
MOST_VERSIONS = 5_000

_TIES = (1 << TIE_BITS) - 1
#: What a plan's filter and order may read of a document.
_PLANNED = ("p", "cp", "s", "i", "x")


class Moment(Store):
    """A view of a store; reads and searches answer with what was current then, everything else as the store does.

    ``at`` is milliseconds UTC, ``entries_of`` makes the index entries of a body. A search that would have to look at
    more than MOST_VERSIONS versions raises FhirError 422 (too-costly).
    """

    def __init__(self, store: Store, at: int, entries_of: Callable[[bytes], IndexEntries]) -> None:
        vars(self).update(vars(store))
        self._at = at
        self._last_key = at << TIE_BITS | _TIES
        self._entries_of = entries_of

    async def read(self, type_: str, id_: str, access: AccessContext, letter: str = "r") -> Stored | None:  # noqa: ARG002 (what was is only read)
        """Return the version that was current."""
        span = Span(at=(self._at, self._at))
        page = await self._historian.history(type_, id_, access, span, listed=None, cursor=None, limit=1)
        return page.rows[0] if page.rows else None

    async def search(self, plan: SearchPlan, access: AccessContext) -> Page:
        """Return the rows of a plan over the versions that were current."""
        if plan.never:
            return Page(())
        documents = await self._documents(plan, access)
        found = await self._run(plan, documents)
        rows = []
        for made in found:
            whole = {**documents[made["_id"]], **made}
            rows.append(stored(plan.type, made["_id"], whole, plan.projection))
        return Page(tuple(rows))

    async def count(self, plan: SearchPlan, access: AccessContext, cap: int | None = None) -> int:
        """Return how many of the versions that were current match."""
        rows = (await self.search(replace(plan, limit=cap or 0), access)).rows
        return len(rows)

    async def values(
        self,
        plan: SearchPlan,
        field: str,
        access: AccessContext,
        *,
        whole: bool = False,
        most: int = 0,  # noqa: ARG002 (a moment has a bound of its own)
    ) -> tuple[Any, ...] | None:
        """Return the distinct values of a field over a plan's matches, at most ``plan.limit``."""
        head, _, rest = field.partition(".")
        projection = (*plan.projection, head) if head != "_id" else plan.projection
        wanted = replace(plan, limit=0, projection=projection)
        found: dict[Any, None] = {}
        for row in (await self.search(wanted, access)).rows:
            value = row.id if field == "_id" else row.fields.get(head)
            value = value.get(rest) if rest and isinstance(value, Mapping) else value
            for one in value if isinstance(value, list) and not whole else [value]:
                if one is not None:
                    found[tuple(one) if isinstance(one, list) else one] = None
        values = (list(one) if isinstance(one, tuple) else one for one in found)
        return tuple(values)[: plan.limit or None]

    async def _run(self, plan: SearchPlan, documents: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Return the ids of the matches in order, with the fields that the plan computes."""
        if not documents:
            return []
        bodiless = [{k: v for k, v in made.items() if k != "j"} for made in documents.values()]
        stages: list[dict[str, Any]] = [
            {"$documents": bodiless},
            {"$match": effective_filter(plan, OPEN)},
            *([{"$addFields": plan.computed}] if plan.computed else []),
            *([{"$match": plan.after}] if plan.after else []),
            *([{"$sort": dict(plan.sort)}] if plan.sort else []),
            *([{"$limit": plan.limit}] if plan.limit else []),
            {"$project": {"_id": 1, **dict.fromkeys(plan.computed, 1)}},
        ]
        batch = {"batchSize": len(documents) + 1}
        return await self._connection.find({"aggregate": 1, "pipeline": stages, "cursor": batch})

    async def _documents(self, plan: SearchPlan, access: AccessContext) -> dict[str, dict[str, Any]]:
        """Return by id what may match: current versions by the plan's filter, superseded ones by patient and id."""
        # Current ones first: a version that is replaced meanwhile is met twice, never missed.
        visible, condition = access.filter_for(plan.type, "s"), effective_filter(plan, access)
        if visible is None or condition is None:
            return {}
        current = await self._candidates(
            plan.type,
            {"$and": [condition, {"lu": {"$lte": self._last_key}}]},
            dict.fromkeys(_PLANNED, 1),
        )
        superseded: list[dict[str, Any]] = [
            {"t": plan.type, "m": {"$ne": Method.DELETE.value}},
            {"lu": {"$lte": self._last_key}, "u": {"$gt": self._last_key}},
            *_bounds(plan),
        ]
        if visible:
            superseded.append(dict(visible))
        old = await self._candidates("history", {"$and": superseded}, {"id": 1})
        if len(current) + len(old) > MOST_VERSIONS:
            raise error(
                "too-costly",
                f"'_at' looks at no more than {MOST_VERSIONS} versions of a type: add a patient or ids.",
            )
        documents = {row["_id"]: row for row in current}
        for row in old:
            entries = self._entries_of(row["j"])
            shown = {name: row[name] for name in STORED_FIELDS if name in row}
            documents[row["id"]] = {"_id": row["id"], **shown, **indexed(entries, row["id"])}
        return documents

    async def _candidates(
        self, collection: str, condition: dict[str, Any], fields: Mapping[str, int]
    ) -> list[dict[str, Any]]:
        return await self._connection.find(
            {
                "find": collection,
                "filter": condition,
                "projection": {**STORED_FIELDS, **fields},
                "limit": MOST_VERSIONS + 1,
                "batchSize": MOST_VERSIONS + 1,
            }
        )


def _bounds(plan: SearchPlan) -> Iterator[dict[str, Any]]:
    """Yield the conditions on copies in ``history`` that follow from the patient and the ids in a plan's filter."""
    waiting: list[Mapping[str, Any]] = [plan.filter]
    while waiting:
        for name, wanted in waiting.pop().items():
            if name == "$and":
                waiting += wanted
            elif name == "p":
                yield {"p": wanted}
            elif name == "_id" and (ids := _ids(wanted)) is not None:
                ranges = [
                    {"_id": {"$gt": f"{plan.type}/{id_}/", "$lt": f"{plan.type}/{id_}0"}} for id_ in ids
                ]
                yield {"$or": ranges} if ranges else {"_id": {"$in": []}}


def _ids(wanted: Any) -> list[str] | None:
    if isinstance(wanted, str):
        return [wanted]
    found = wanted.get("$in") if isinstance(wanted, Mapping) else None
    return list(found) if found is not None else None
