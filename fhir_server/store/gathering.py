"""Gathers one field over the matches of a plan: what a search hands to the next one, without any body.

https://www.mongodb.com/docs/manual/reference/operator/aggregation/group/
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fhir_server.search.entries import SearchPlan


def ids_command(plan: SearchPlan, condition: dict[str, Any]) -> dict[str, Any]:
    """Return the command that finds the ids of a plan's matches."""
    return {
        "find": plan.type,
        "filter": condition,
        "projection": {"_id": 1},
        "limit": plan.limit,
        "batchSize": plan.limit,
    }


def values_command(
    plan: SearchPlan, condition: dict[str, Any], field: str, *, whole: bool, most: int
) -> dict[str, Any]:
    """Return the command that groups the matches by a field, with how many it read of each value (``n``).

    ``whole`` keeps arrays in one piece; not more than ``most`` matches are read (0: all). Patients, of which a
    resource has one, are told apart by jumps in an index (DISTINCT_SCAN) where one has them first.
    """
    if field == "p" and not most:
        group: list[dict[str, Any]] = [
            {"$match": {"$and": [condition, {"p": {"$gt": ""}}]}},
            {"$group": {"_id": "$p"}},
        ]
        return {
            "aggregate": plan.type,
            "pipeline": [*group, {"$limit": plan.limit}],
            "cursor": {"batchSize": plan.limit},
        }
    pipeline: list[dict[str, Any]] = [
        {"$match": condition},
        {"$project": {"_id": 0, "k": f"${field}"}},
        {"$match": {"k": {"$exists": True}}},
    ]
    if most:
        pipeline.append({"$limit": most})
    if not whole:
        pipeline.append({"$unwind": "$k"})
    pipeline += [{"$group": {"_id": "$k", "n": {"$sum": 1}}}, {"$limit": plan.limit}]
    return {"aggregate": plan.type, "pipeline": pipeline, "cursor": {"batchSize": plan.limit}}


def latest_command(
    plan: SearchPlan, condition: dict[str, Any], by: Mapping[str, str], kept: Mapping[str, str], most: int
) -> dict[str, Any]:
    """Return the command that finds, for each value of the fields ``by``, the ``most`` newest matches.

    Newest by the main date, then by the last update; ``_id`` has the values, ``rows`` the fields ``kept`` of each.
    """
    newest = {
        "n": most,
        "sortBy": {"s": -1, "lu": -1},
        "output": {name: f"${path}" for name, path in kept.items()},
    }
    pipeline = [
        {"$match": condition},
        {"$group": {"_id": {name: f"${path}" for name, path in by.items()}, "rows": {"$topN": newest}}},
    ]
    return {"aggregate": plan.type, "pipeline": pipeline, "cursor": {"batchSize": _ALL_GROUPS}}


_ALL_GROUPS = 10_000
