"""Names that one living resource holds at a time: national identities, statement numbers, the one active wish.

A row is ``{_id: name, h: holder}``, written in the transaction of the resource itself, so that a second holder is
impossible, whoever writes at the same moment.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.errors import PyMongoError, WriteError

from fhir_server.store.connection import Connection, failure
from fhir_server.store.documents import Change, Method, NameTaken

#: Types whose resources may hold names: their deletion gives them back.
HOLDERS = frozenset({"Patient", "Consent", "DocumentReference", "ExplanationOfBenefit"})
_NAME = "names"
_DUPLICATE_KEY = 11000


class Names:
    """The names of one database."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._is_ready = False

    async def ready(self) -> None:
        """Make the index; raises Unavailable."""
        if not self._is_ready:
            try:
                await self._connection.database[_NAME].create_index("h")
            except PyMongoError as problem:
                raise failure(problem) from problem
            self._is_ready = True

    async def holder(self, name: str) -> str | None:
        """Return ``Type/id`` of who holds a name; raises Unavailable."""
        rows = await self._connection.find({"find": _NAME, "filter": {"_id": name}, "limit": 1})
        return str(rows[0]["h"]) if rows else None

    @staticmethod
    def concerns(change: Change) -> bool:
        """Tell whether a change takes names or gives them back."""
        return held(change) is not None

    async def settle(self, changes: Iterable[Change], session: AsyncClientSession) -> None:
        """Give back, then take; raises NameTaken for the first name that another resource holds."""
        rows = [(f"{c.type}/{c.id}", names) for c in changes if (names := held(c)) is not None]
        deletes = [{"q": {"h": holder, "_id": {"$nin": list(names)}}, "limit": 0} for holder, names in rows]
        if deletes:
            await self._connection.command({"delete": _NAME, "deletes": deletes}, session)
        for holder, names in rows:
            for name in names:
                update = {"q": {"_id": name, "h": holder}, "u": {"$set": {"h": holder}}, "upsert": True}
                reply = await self._connection.command({"update": _NAME, "updates": [update]}, session)
                if faults := reply.get("writeErrors"):
                    if faults[0]["code"] == _DUPLICATE_KEY:
                        raise NameTaken(name)
                    raise WriteError(faults[0]["errmsg"], faults[0]["code"], faults[0])


def held(change: Change) -> Sequence[str] | None:
    """Return the names that a resource holds after a change, None if the change has nothing to do with names."""
    if change.method is Method.DELETE and change.type in HOLDERS:
        return ()
    return change.holds
