"""A change of labels that makes no version: the current document gets another body and index in its place.

https://hl7.org/fhir/R4/resource-operation-meta-add.html. The write token changes, too: an update that has read the
document before reads it again, so that its history copy has the labels.
"""

from __future__ import annotations

import os
from typing import Any

from pymongo.errors import PyMongoError
from pymongo.write_concern import WriteConcern

from fhir_server.store.connection import MAJORITY, Connection, failure
from fhir_server.store.documents import Change, VersionConflict, document, hiding_of_history


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
    }
    of_history = hiding_of_history(change, known)
    try:
        if of_history is None:
            found = (await connection.command({**command, "writeConcern": MAJORITY}))["n"]
        else:
            found = await _together(connection, command, of_history)
    except PyMongoError as problem:
        if problem.has_error_label("TransientTransactionError"):
            found = 0  # the caller reads again
        else:
            raise failure(problem) from problem
    if found == 0:
        raise VersionConflict(f"{change.type}/{change.id} was changed meanwhile.")


async def _together(connection: Connection, command: dict[str, Any], of_history: dict[str, Any]) -> int:
    """Change the current document and the copies of its earlier versions; return how many current ones there were."""
    async with connection.client.start_session(causal_consistency=False) as session:
        await session.start_transaction(write_concern=WriteConcern(w="majority", j=True))
        found = int((await connection.command(command, session))["n"])
        if found == 0:
            await session.abort_transaction()
            return 0
        await connection.command({"update": "history", "updates": [of_history]}, session)
        await session.commit_transaction()
    return found
