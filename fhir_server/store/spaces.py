"""The control documents of the citizens' spaces: one for each patient that a space was ever spoken of.

A row is ``{_id: patient, st: state, since, origin, cohort, notice, epoch}``; a change names the epoch that it was made
from.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.errors import PyMongoError, WriteError

from fhir_server.space.life import Space, State
from fhir_server.store.connection import MAJORITY, Connection, failure
from fhir_server.store.documents import VersionConflict

_NAME = "spaces"
_DUPLICATE_KEY = 11000


class Spaces:
    """The control documents of one database; every call raises Unavailable when it does not answer."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def read(self, patient: str) -> Space | None:
        """Return the control document of a patient."""
        return (await self.all([patient])).get(patient)

    async def all(self, patients: Collection[str]) -> dict[str, Space]:
        """Return the control documents of these patients."""
        wanted = {"_id": {"$in": list(patients)}}
        rows = await self._connection.find({"find": _NAME, "filter": wanted, "batchSize": len(patients) + 1})
        return {row["_id"]: _space(row) for row in rows}

    async def announced(self, until: int) -> list[Space]:
        """Return the spaces that wait to be opened and whose notice was sent by a moment, the oldest notice first."""
        wanted = {"st": State.PENDING.value, "notice": {"$gt": 0, "$lte": until}}
        rows = await self._connection.find(
            {"find": _NAME, "filter": wanted, "sort": {"notice": 1}, "batchSize": 10_000}
        )
        return [_space(row) for row in rows]

    async def in_state(self, state: State, *, since: int = 0, until: int) -> list[Space]:
        """Return the spaces that came into a state in a time, the oldest first."""
        wanted = {"st": state.value, "since": {"$gte": since, "$lte": until}}
        rows = await self._connection.find(
            {"find": _NAME, "filter": wanted, "sort": {"since": 1}, "batchSize": 10_000}
        )
        return [_space(row) for row in rows]

    async def replace(self, space: Space, session: AsyncClientSession | None = None) -> None:
        """Write a control document in place of the one with the epoch before; raises VersionConflict."""
        row = {
            "_id": space.patient,
            "st": space.state.value,
            "since": space.since,
            "origin": space.origin,
            "cohort": space.cohort,
            "notice": space.notice,
            "epoch": space.epoch,
        }
        before = {"_id": space.patient, "epoch": space.epoch - 1}
        command: dict[str, Any] = {
            "update": _NAME,
            "updates": [{"q": before, "u": row, "upsert": space.epoch == 1}],
        }
        if session is None:
            command["writeConcern"] = MAJORITY
        try:
            reply = await self._connection.command(command, session)
        except PyMongoError as problem:
            if session is not None:
                raise  # the transaction's business
            raise failure(problem) from problem
        if faults := reply.get("writeErrors"):
            if faults[0]["code"] != _DUPLICATE_KEY:
                raise WriteError(faults[0]["errmsg"], faults[0]["code"], faults[0])
        elif reply["n"] == 1:
            return
        raise VersionConflict(f"The space of Patient/{space.patient} was changed by somebody else.")


def _space(row: dict[str, object]) -> Space:
    return Space(
        str(row["_id"]), State(str(row["st"])), int(str(row["since"])), str(row["origin"]),
        str(row["cohort"]), int(str(row["notice"])), int(str(row["epoch"])),
    )  # fmt: skip
