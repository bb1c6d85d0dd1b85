"""Runs search plans: the plan's filter and the caller's, the plan's index, its order and limit.

https://hl7.org/fhir/R4/search.html
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fhir_server.access import AccessContext
from fhir_server.search.entries import SearchPlan
from fhir_server.store.catalogue import Catalogue
from fhir_server.store.connection import Connection
from fhir_server.store.documents import HISTORY_FIELDS, STORED_FIELDS, Page, fitting, stored
from fhir_server.store.gathering import ids_command, latest_command, values_command

#: Fields that a tombstone has not: a condition that asks for one of them finds living documents only.
_LIVING = ("lu", "p", "s", "cp", "ck")
_ASKING = ("$eq", "$in", "$gt", "$gte", "$lt", "$lte", "$elemMatch", "$regex")
_ALL_ROWS = 10_000
#: What a plan projects of rows that are to be replaced.
REPLACEABLE = frozenset(HISTORY_FIELDS.keys() - STORED_FIELDS.keys())


class Searcher:
    """Answers plans with rows or with their number."""

    def __init__(self, connection: Connection, catalogue: Catalogue) -> None:
        self._connection = connection
        self._catalogue = catalogue

    async def search(self, plan: SearchPlan, access: AccessContext) -> Page:
        """Return the plan's rows, without tombstones, in its order; raises TimeLimit or Unavailable.

        A plan with a limit gets no more than 16 MB: then the page is cut, and its last row is the first of the rest.
        """
        condition = effective_filter(plan, access)
        if condition is None:
            return Page(())
        command = self._aggregate(plan, condition) if plan.computed else self._find(plan, condition)
        await self._complete(command, plan)
        if plan.limit:
            rows, is_cut = await self._connection.find_page_and_next(command)
        else:
            rows, is_cut = await self._connection.find(command), False
        is_whole = set(plan.projection) >= REPLACEABLE
        found = tuple(stored(plan.type, row["_id"], row, plan.projection, is_whole=is_whole) for row in rows)
        count = fitting(found) if plan.limit else len(found)
        if count < len(found):
            found, is_cut = found[: count + 1], True
        return Page(found, is_cut=is_cut)

    @staticmethod
    def _find(plan: SearchPlan, condition: dict[str, Any]) -> dict[str, Any]:
        command: dict[str, Any] = {
            "find": plan.type,
            "filter": condition,
            "projection": _projection(plan),
            "batchSize": plan.limit or _ALL_ROWS,
        }
        if plan.sort:
            command["sort"] = dict(plan.sort)
        if plan.limit:
            command["limit"] = plan.limit
        return command

    @staticmethod
    def _aggregate(plan: SearchPlan, condition: dict[str, Any]) -> dict[str, Any]:
        sort = [{"$sort": dict(plan.sort)}] if plan.sort else []
        pipeline: list[dict[str, Any]] = [
            {"$match": condition},
            *(sort if plan.sorts_first else ()),
            {"$addFields": plan.computed},
        ]
        if plan.after:
            pipeline.append({"$match": plan.after})
        if not plan.sorts_first:
            pipeline += sort
        if plan.limit:
            pipeline.append({"$limit": plan.limit})
        pipeline.append({"$project": _projection(plan)})
        return {
            "aggregate": plan.type,
            "pipeline": pipeline,
            "cursor": {"batchSize": plan.limit or _ALL_ROWS},
        }

    async def count(self, plan: SearchPlan, access: AccessContext, cap: int | None = None) -> int:
        """Return how many documents match, at most ``cap``; raises TimeLimit or Unavailable."""
        condition = effective_filter(plan, access)
        if condition is None:
            return 0
        command: dict[str, Any] = {"count": plan.type, "query": condition}
        if cap is not None:
            command["limit"] = cap
        await self._complete(command, plan)
        return int((await self._connection.query(command))["n"])

    async def values(
        self, plan: SearchPlan, field: str, access: AccessContext, *, whole: bool = False, most: int = 0
    ) -> tuple[Any, ...] | None:
        """Return the distinct values of a field over the plan's matches, at most ``plan.limit``.

        With ``most`` no more than so many matches are read; None when that was reached.
        """
        condition = effective_filter(plan, access)
        if condition is None:
            return ()
        if field == "_id":
            command = ids_command(plan, condition)
        else:
            command = values_command(plan, condition, field, whole=whole, most=most)
        await self._complete(command, plan)
        rows = await self._connection.find(command)
        if most and sum(row.get("n", 1) for row in rows) >= most:
            return None
        return tuple(row["_id"] for row in rows)

    async def latest(
        self,
        plan: SearchPlan,
        access: AccessContext,
        by: Mapping[str, str],
        kept: Mapping[str, str],
        most: int,
    ) -> list[dict[str, Any]]:
        """Return the newest matches for each value of the fields ``by``; raises TimeLimit or Unavailable."""
        condition = effective_filter(plan, access)
        if condition is None:
            return []
        command = latest_command(plan, condition, by, kept, most)
        await self._complete(command, plan)
        return await self._connection.find(command)

    async def values_in_use(self, type_: str, field: str) -> tuple[Any, ...]:
        """Return the distinct values of a field over all documents, by its index; raises TimeLimit or Unavailable.

        No access is asked: the values may go into a filter, and nowhere else.
        """
        condition = {field: {"$exists": True}}
        found = await self._connection.query({"distinct": type_, "key": field, "query": condition})
        return tuple(found["values"])

    async def first_key(self, plan: SearchPlan) -> dict[str, Any] | None:
        """Return the first key of the plan's index that passes the filter; no access is asked, no document read."""
        command = {
            "find": plan.type,
            "filter": plan.filter,
            "limit": 1,
            "singleBatch": True,
            "returnKey": True,
        }
        await self._complete(command, plan)
        return next(iter(await self._connection.find(command)), None)

    def is_ready(self, plan: SearchPlan) -> bool:
        """Tell whether the plan's index can be hinted at."""
        return plan.hint is not None and self._catalogue.is_built(plan.type, plan.hint)

    async def _complete(self, command: dict[str, Any], plan: SearchPlan) -> None:
        """Add the hint, if the index is built."""
        if plan.hint is None:
            return
        if not self._catalogue.has(plan.type):
            await self._catalogue.notice(plan.type)
        if plan.hint == "_id_" or self._catalogue.is_built(plan.type, plan.hint):
            command["hint"] = plan.hint


def _projection(plan: SearchPlan) -> dict[str, int]:
    fields = {**STORED_FIELDS, **dict.fromkeys(plan.projection, 1)}
    if plan.keys_only:
        del fields["j"], fields["b"]
    return fields


def effective_filter(plan: SearchPlan, access: AccessContext) -> dict[str, Any] | None:
    """Return the plan's filter, the caller's, and the exclusion of tombstones where these don't imply it.

    None: nothing can match, so that the database needn't be asked.
    """
    visible = access.filter_for(plan.type, "s")
    if plan.never or visible is None:
        return None
    parts = [dict(part) for part in (plan.filter, visible) if part]
    if not plan.deleted and not any(asks_for_living(part) for part in parts):
        parts.append({"lu": {"$exists": True}})
    return parts[0] if len(parts) == 1 else {"$and": parts}


def asks_for_living(condition: Mapping[str, Any]) -> bool:
    """Tell whether a filter surely finds no tombstone: it asks for a field that tombstones lack."""
    for name, wanted in condition.items():
        if name == "$and":
            if any(asks_for_living(part) for part in wanted):
                return True
        elif (name in _LIVING or name.startswith("i.")) and _asks_for_value(wanted):
            return True
    return False


def _asks_for_value(wanted: Any) -> bool:
    if not isinstance(wanted, Mapping):
        return wanted is not None
    if wanted.get("$exists") is True:
        return True
    return any(
        operator in _ASKING and wanted[operator] is not None and not _holds_null(wanted[operator])
        for operator in wanted
    )


def _holds_null(operand: Any) -> bool:
    return isinstance(operand, (list, tuple)) and None in operand
