"""Which profiles, tags and security labels are in use: found in the index entries, told by resources that have them.

https://hl7.org/fhir/R4/resource-operation-meta.html. The index holds hashes of systems, so it can't tell the
labels; it tells which resources to look into.
"""

from __future__ import annotations

from typing import Any

from fhir_server.access import AccessContext
from fhir_server.store.connection import Connection

#: The search parameters of labels, which every type has.
_FIELDS = ("_profile", "_security", "_tag")


async def holders(connection: Connection, type_: str, access: AccessContext, most: int) -> list[str]:
    """Return ids of resources of a type such that each label in use is in one of them, ``most`` at most.

    Reads the type's collection once; raises TimeLimit when that takes too long, and Unavailable.
    """
    visible = access.filter_for(type_, "s")
    if visible is None:
        return []
    command = {
        "aggregate": type_,
        "pipeline": [
            {"$match": {"$and": [{"lu": {"$exists": True}}, visible]}},
            {"$project": {"label": {"$concatArrays": [_labelled(field) for field in _FIELDS]}}},
            {"$unwind": "$label"},
            {"$group": {"_id": "$label", "holder": {"$min": "$_id"}}},
            {"$group": {"_id": "$holder"}},
            {"$sort": {"_id": 1}},
            {"$limit": most},
        ],
        "cursor": {"batchSize": most + 1},
    }
    return [row["_id"] for row in await connection.find(command)]


def _labelled(field: str) -> dict[str, Any]:
    """Return the values of a field, one or several or none, as a list of pairs with the field's name."""
    path = f"$i.{field}"
    several = {"$cond": [{"$isArray": [path]}, path, {"$cond": [{"$gt": [path, None]}, [path], []]}]}
    return {"$map": {"input": several, "in": [field, "$$this"]}}
