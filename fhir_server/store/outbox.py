"""The outbox: an event for each version that is made, in the order of the commits, and for each purge.

A version and its event are one write, because the event is the database's own record of it: the change stream
(https://www.mongodb.com/docs/manual/changeStreams/). It shows what a majority has, and goes on after a failover. How
far back it reaches is the size of the oplog. Consumers keep the ``token`` of what they have done, and do again what
they were doing when they died: delivery is at least once, so they know an event by type, id and version.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any

from pymongo.errors import OperationFailure, PyMongoError

from fhir_server.store import purging
from fhir_server.store.connection import Connection, failure, is_outage
from fhir_server.store.documents import TIE_BITS, Method
from fhir_server.store.purging import Row
from fhir_server.store.retrying import Retrying

Token = Mapping[str, Any]
"""A place in the outbox; opaque, and can be stored as it is."""

_LOST = {136, 280, 286}  # CappedPositionLost, ChangeStreamFatalError, ChangeStreamHistoryLost
#: A new version is an insert or a replacement; labels and index entries are changed by updates, which are none.
_EVENTS: list[Mapping[str, Any]] = [
    {
        "$match": {
            "operationType": {"$in": ["insert", "replace"]},
            "ns.coll": {"$regex": f"^([A-Z]|{purging.NAME}$)"},
        }
    },
    {"$project": {f"fullDocument.{name}": 0 for name in ("i", "x", "j")}},
]


@dataclass(frozen=True, slots=True)
class Event:
    """A version was made; ``token`` is the place behind the event, ``last_updated`` milliseconds UTC."""

    type: str
    id: str
    version: int
    method: Method
    last_updated: int
    token: Token


@dataclass(frozen=True, slots=True)
class PurgeEvent:
    """A purge has begun or ended (its state is running or done); ``purge`` says who, why, of what, and how many."""

    purge: Row
    token: Token


class EventsLost(Exception):  # noqa: N818 (the name says what happened)
    """The outbox no longer reaches back to the token: catch up by history from the last known time, then start anew."""


class Outbox:
    """Reads the events of one database."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def here(self) -> Token:
        """Return the place behind all events so far; raises Unavailable."""
        try:
            async with await self._connection.database.watch(_EVENTS) as stream:
                await stream.try_next()
                token = stream.resume_token
        except PyMongoError as problem:
            raise failure(problem) from problem
        assert token is not None, "a stream that was asked has a place"
        return token

    async def follow(self, after: Token) -> AsyncIterator[Event | PurgeEvent]:
        """Yield the events behind a place, for ever; raises EventsLost, and Unavailable after a long outage."""
        retrying = Retrying(self._connection.timeout_s * 2)
        while True:
            try:
                async with await self._connection.database.watch(_EVENTS, resume_after=after) as stream:
                    async for change in stream:
                        retrying = Retrying(self._connection.timeout_s * 2)
                        after = change["_id"]
                        yield _event(change)
            except PyMongoError as problem:
                if isinstance(problem, OperationFailure) and problem.code in _LOST:
                    raise EventsLost from problem
                if not is_outage(problem) or not await retrying.wait():
                    raise failure(problem) from problem


def _event(change: Mapping[str, Any]) -> Event | PurgeEvent:
    document = change["fullDocument"]
    if change["ns"]["coll"] == purging.NAME:
        return PurgeEvent(document, change["_id"])
    key = document["dl"] if "dl" in document else document["lu"]
    return Event(
        change["ns"]["coll"],
        change["documentKey"]["_id"],
        document["v"],
        Method(document["m"]),
        key >> TIE_BITS,
        change["_id"],
    )
