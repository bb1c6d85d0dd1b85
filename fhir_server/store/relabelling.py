"""A change of labels that makes no version: the current document gets another body and index in its place.

https://hl7.org/fhir/R4/resource-operation-meta-add.html. The write token changes, too: an update that has read the
document before reads it again, so that its history copy has the labels.
"""

from __future__ import annotations

import os
from typing import Any

from pymongo.errors import PyMongoError

from fhir_server.store.connection import MAJORITY, Connection, failure
from fhir_server.store.documents import Change, VersionConflict, document


async def relabel(connection: Connection, change: Change) -> None:
    """Return when the labels are durable; ``change`` has the version, method and lastUpdated that it replaces.

    Raises VersionConflict when the document was changed since it was read, Unavailable when the outcome is unknown.
    """
    known = change.replaces.source if change.replaces is not None else None
    assert known is not None, "labels are changed on a version that was read whole"
    made = document(change, os.urandom(8))
    replaced: dict[str, Any] = {
        "$set": {name: made[name] for name in ("w", "i", "x", "_sec", "j") if name in made}
    }
    if "x" not in made:
        replaced["$unset"] = {"x": ""}
    command = {
        "update": change.type,
        "updates": [{"q": {"_id": change.id, "v": change.version, "w": known["w"]}, "u": replaced}],
        "writeConcern": MAJORITY,
    }
    try:
        reply = await connection.command(command)
    except PyMongoError as problem:
        raise failure(problem) from problem
    if reply["n"] == 0:
        raise VersionConflict(f"{change.type}/{change.id} was changed meanwhile.")
