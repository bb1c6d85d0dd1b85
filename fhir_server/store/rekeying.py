"""Access keys of versions that were stored before there were any, or under rules of an earlier version.

Such versions are hidden from all who sign in; ``$reindex`` of the whole server gives them theirs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from fhir_server.store.connection import MAJORITY, Connection

_HISTORY = "history"
Made = Callable[[bytes, Mapping[str, Any]], Mapping[str, Any]]
"""Returns the keys of a version from its JSON and its former keys."""


def _without(version: int) -> dict[str, Any]:
    """Return the condition on versions whose keys are older than the rules, and can be made."""
    return {
        "$and": [
            {"$or": [{"_sec.ver": {"$exists": False}}, {"_sec.ver": {"$lt": version}}]},
            {"$or": [{"j": {"$exists": True}}, {"_sec": {"$exists": True}}]},
        ]
    }


async def count_unkeyed(connection: Connection, types: tuple[str, ...], version: int) -> dict[str, int]:
    """Return how many versions of each type, and of ``history``, have no keys of these rules; raises Unavailable."""
    found = {}
    for name in (*types, _HISTORY):
        command = {
            "aggregate": name,
            "pipeline": [{"$match": _without(version)}, {"$count": "n"}],
            "cursor": {},
        }
        rows = await connection.find(command)
        if rows:
            found[name] = int(rows[0]["n"])
    return found


async def rekey(connection: Connection, name: str, version: int, made: Made, limit: int) -> int:
    """Make the keys of at most ``limit`` versions in a collection; return of how many. Raises Unavailable.

    What is changed meanwhile is left alone: it has its keys by that.
    """
    command = {
        "find": name,
        "filter": _without(version),
        "projection": {"v": 1, "w": 1, "j": 1, "_sec": 1},
        "limit": limit,
        "batchSize": limit + 1,
    }
    rows = await connection.find(command)
    updates = []
    for row in rows:
        former = row.get("_sec", {})
        keys = made(row["j"], former) if "j" in row else {**former, "ver": version}
        same = {"_id": row["_id"], "v": row["v"], **({"w": row["w"]} if "w" in row else {})}
        updates.append({"q": same, "u": {"$set": {"_sec": dict(keys)}}})
    if updates:
        await connection.query(
            {"update": name, "updates": updates, "ordered": False, "writeConcern": MAJORITY}
        )
    return len(rows)
