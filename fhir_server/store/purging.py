"""Purges: versions that are removed for good, in steps that another worker takes up after a crash.

1. A purge is a document of ``purges`` before anything is removed: who, why, what of which resources. It stays as
   evidence, with the number of what was removed; the outbox has an event when it begins and one when it ends.
2. A step removes some versions and counts them in that document, in one transaction.
3. Of a resource the oldest versions go first, of a deleted one the deletion last: what is left in between is a
   history without its beginning.
4. Large content that no version refers to any more is opened in the same transaction, and swept in the end.
"""

from __future__ import annotations

import os
from collections.abc import Awaitable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, TypeVar

from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.errors import PyMongoError
from pymongo.read_concern import ReadConcern
from pymongo.write_concern import WriteConcern

from fhir_server.store.catalogue import Catalogue
from fhir_server.store.connection import Connection, failure
from fhir_server.store.contents import Contents
from fhir_server.store.history_scope import of_resource

Row = Mapping[str, Any]
"""A purge as it is stored: the fields of Purge, and state (running, done), removed, begun, ended."""
Result = TypeVar("Result")

#: The collection of purges.
NAME = "purges"
#: Versions of one step; deleted resources of one step.
STEP = 500
_RESOURCES = 50
#: Documents of one patient.
_ALL = 100_000
#: A worker that has not made a step for so long is taken to be dead, milliseconds.
LEASE = 30_000
_DELETED = {"dl": {"$exists": True}}


@dataclass(frozen=True, slots=True)
class Purge:
    """What is to be removed, and who wants it why.

    Of one resource, of a type (``id`` ""), or of all types (both ""). ``previous`` are superseded versions, ``deleted``
    deleted resources with all their versions, ``everything`` is all that there is. With ``patient`` it is all that is
    about this patient, whatever its type, but the events of the audit.
    """

    actor: str
    reason: str
    type: str = ""
    id: str = ""
    previous: bool = False
    deleted: bool = False
    everything: bool = False
    patient: str = ""


class Purges:
    """Carries out purges; every call raises Unavailable when the database does not answer."""

    def __init__(self, connection: Connection, catalogue: Catalogue, contents: Contents) -> None:
        self._connection = connection
        self._catalogue = catalogue
        self._contents = contents
        self._purges = connection.database[NAME]
        self._owner = os.urandom(6).hex()

    async def begin(self, purge: Purge, now: int) -> Row:
        """Return a new purge, which this process works on."""
        row = {
            "_id": os.urandom(12).hex(),
            **asdict(purge),
            "begun": now,
            "state": "running",
            "removed": 0,
            "owner": self._owner,
            "lease": now + LEASE,
        }
        await _answered(self._purges.insert_one(row))
        return row

    async def take(self, now: int) -> Row | None:
        """Return a purge that was begun and that nobody works on any more, None when there is none."""
        found: Row | None = await _answered(
            self._purges.find_one_and_update(
                {"state": "running", "lease": {"$lte": now}},
                {"$set": {"owner": self._owner, "lease": now + LEASE}},
                return_document=True,
            )
        )
        return found

    async def count(self, purge: Purge) -> int:
        """Return how many versions would be removed now."""
        total = 0
        for name, condition in await self._simple(asdict(purge)):
            total += int((await self._connection.query({"count": name, "query": condition}))["n"])
        if purge.deleted and not purge.everything:
            for type_ in await self._types(purge.type):
                condition = {**_DELETED, **({"_id": purge.id} if purge.id else {})}
                if purge.previous:  # whose versions are counted above
                    reply = await self._connection.query({"count": type_, "query": condition})
                    total += int(reply["n"])
                else:
                    total += await self._count_whole(type_, condition)
        return total

    async def step(self, row: Row, now: int) -> Row:
        """Remove some versions and return the purge as it is then: done when there was nothing left to remove.

        Its state is ``taken`` when another worker goes on with it.
        """
        victims = await self._victims(row)
        mine = {"_id": row["_id"], "owner": self._owner, "removed": row["removed"]}

        async def remove(session: AsyncClientSession) -> Row:
            made = {**row, "lease": now + LEASE}
            if not victims:
                made |= {"state": "done", "ended": now}
            holders: set[tuple[str, str]] = set()
            for name, condition in victims:
                holders |= await self._contents.holders(name, condition, session)
                gone = await self._connection.database[name].delete_many(condition, session=session)
                made["removed"] += gone.deleted_count
            await self._contents.release(holders, session)
            found: Row | None
            if victims:
                change = {"$set": {name: made[name] for name in ("lease", "removed")}}
                found = await self._purges.find_one_and_update(
                    mine, change, return_document=True, session=session
                )
            else:  # as a whole: the outbox shows replacements
                found = await self._purges.find_one_and_replace(
                    mine, made, return_document=True, session=session
                )
            if found is None:
                await session.abort_transaction()
                return {**row, "state": "taken"}
            return found

        async with self._connection.client.start_session(causal_consistency=False) as session:
            found = await _answered(
                session.with_transaction(remove, ReadConcern("local"), WriteConcern(w="majority", j=True))
            )
        if found["state"] == "done":
            await self._contents.sweep(now)
        return found

    async def _simple(self, row: Row) -> list[tuple[str, dict[str, Any]]]:
        """Return (collection, filter) of what is removed without a look at its resource."""
        type_, id_ = row["type"], row["id"]
        if patient := row.get("patient", ""):
            types = [name for name in await self._catalogue.types() if name != "AuditEvent"]
            # Contents have no patient of their own, but a document of one; they go before it.
            of_documents = await self._of_documents(patient) if "DocumentReference" in types else []
            return [
                *of_documents,
                ("history", {"p": patient, "t": {"$ne": "AuditEvent"}}),
                *((name, {"p": patient}) for name in types),
                *((name, {"_sec.own": patient, "del": True}) for name in types),
                ("names", {"h": f"Patient/{patient}"}),
                ("oauth", {"patient": patient}),
            ]
        if row["everything"]:
            # Receipts hold answers, so contents.
            return [
                ("history", {}),
                *((name, {}) for name in await self._catalogue.types()),
                ("receipts", {}),
            ]
        if not row["previous"]:
            return []
        return [("history", {"_id": of_resource(type_, id_)} if id_ else {"t": type_} if type_ else {})]

    async def _of_documents(self, patient: str) -> list[tuple[str, dict[str, Any]]]:
        """Return (collection, filter) of the Binaries whose security context is a document of a patient."""
        documents = await self._ids("DocumentReference", {"p": patient}, _ALL)
        contexts = {"x.security-context": {"$in": [f"DocumentReference/{id_}" for id_ in documents]}}
        binaries = await self._ids("Binary", contexts, _ALL)
        return [("history", {"t": "Binary", "id": {"$in": binaries}}), ("Binary", _among(binaries))]

    async def _victims(self, row: Row) -> list[tuple[str, dict[str, Any]]]:
        """Return (collection, filter) of the next step, nothing when all is removed."""
        for name, condition in await self._simple(row):
            if ids := await self._ids(name, condition, STEP):
                return [(name, _among(ids))]
        if row["deleted"] and not row["everything"]:
            for type_ in await self._types(row["type"]):
                condition = {**_DELETED, **({"_id": row["id"]} if row["id"] else {})}
                if ids := await self._ids(type_, condition, _RESOURCES):
                    return await self._whole(type_, ids)
        return []

    async def _whole(self, type_: str, ids: list[str]) -> list[tuple[str, dict[str, Any]]]:
        """Return deleted resources with all their versions; of a first one that has too many, some of its versions."""
        versions: list[str] = []
        resources: list[str] = []
        for id_ in ids:
            found = await self._ids("history", {"_id": of_resource(type_, id_)}, STEP)
            if len(versions) + len(found) > STEP or len(found) == STEP:
                versions = versions or found
                break
            versions += found
            resources.append(id_)
        # One that was created anew meanwhile stays.
        return [("history", _among(versions)), (type_, {**_among(resources), **_DELETED})]

    async def _types(self, type_: str) -> tuple[str, ...]:
        return tuple(name for name in await self._catalogue.types() if type_ in ("", name))

    async def _ids(self, name: str, condition: Mapping[str, Any], limit: int) -> list[Any]:
        command = {
            "find": name,
            "filter": condition,
            "projection": {"_id": 1},
            "sort": {"_id": 1},
            "limit": limit,
            "batchSize": limit + 1,
        }
        return [found["_id"] for found in await self._connection.find(command)]

    async def _count_whole(self, type_: str, condition: Mapping[str, Any]) -> int:
        """Return the number of versions of deleted resources, the deletions included."""
        bounds = {
            name: {"$concat": [f"{type_}/", "$_id", end]} for name, end in (("low", "/"), ("high", "0"))
        }
        inside = {"$and": [{"$gt": ["$_id", "$$low"]}, {"$lt": ["$_id", "$$high"]}]}
        versions = [{"$match": {"$expr": inside}}, {"$count": "n"}]
        pipeline = [
            {"$match": condition},
            {"$lookup": {"from": "history", "let": bounds, "pipeline": versions, "as": "old"}},
            {"$group": {"_id": None, "n": {"$sum": {"$add": [1, {"$sum": "$old.n"}]}}}},
        ]
        command = {"aggregate": type_, "pipeline": pipeline, "cursor": {}}
        return sum(int(found["n"]) for found in await self._connection.find(command))


def _among(ids: list[Any]) -> dict[str, Any]:
    return {"_id": {"$in": ids}}


async def _answered(call: Awaitable[Result]) -> Result:
    try:
        return await call
    except PyMongoError as problem:
        raise failure(problem) from problem
