"""The transaction of a flush: previous versions, their copies in ``history``, the replacements, all or none.

https://www.mongodb.com/docs/manual/core/transactions/
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from bson import encode
from bson.raw_bson import RawBSONDocument
from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.errors import DuplicateKeyError, PyMongoError, WriteError
from pymongo.read_concern import ReadConcern
from pymongo.write_concern import WriteConcern

from fhir_server.store.coalescing import FLUSH_BYTES
from fhir_server.store.connection import Connection, is_outage
from fhir_server.store.documents import (
    HISTORY_FIELDS,
    Change,
    Method,
    document,
    hiding_of_history,
    history_copy,
    tombstone,
)
from fhir_server.store.retrying import Retrying

#: A tombstone and the envelope of an update are about this long.
_SMALL = 300
_DUPLICATE_KEY = 11000


Also = Callable[[AsyncClientSession], Awaitable[None]]
"""Writes something of the caller's in a transaction before it is committed."""


class Pending:
    """A change on its way; ``is_open`` when an earlier try may have written it."""

    __slots__ = ("before", "change", "document", "is_open", "token")

    def __init__(self, change: Change) -> None:
        self.change = change
        self.token = os.urandom(8)
        self.is_open = False
        known = change.replaces
        #: The document that is replaced, if the caller has read it; a version's content never changes.
        self.before = known.source if known is not None and known.version == change.previous else None
        # Encoded alone, so that a value that can't be stored fails its own request and no other.
        self.document = (
            None if change.method is Method.DELETE else RawBSONDocument(encode(document(change, self.token)))
        )

    @property
    def size(self) -> int:
        """Bytes of the document, about."""
        return _SMALL + (len(self.document.raw) if self.document is not None else 0)


class Transactor:
    """Runs transactions; a failed one has written nothing, unless its changes are marked ``is_open``."""

    def __init__(self, connection: Connection, patience_s: float) -> None:
        self._connection = connection
        self._patience = patience_s

    async def run(
        self, pendings: Sequence[Pending], *, is_whole: bool, also: Also | None = None
    ) -> list[Pending]:
        """Write what can be written; return the losers. With ``is_whole`` one loser stops all.

        ``also`` writes more in the same transaction.
        """
        async with self._connection.client.start_session(causal_consistency=False) as session:
            await session.start_transaction(
                read_concern=ReadConcern("local"),
                write_concern=WriteConcern(w="majority", j=True),
                max_commit_time_ms=self._connection.limit_ms,
            )
            try:
                previous = await self._previous(session, pendings)
                lost = [pending for pending in pendings if not _replaces(pending, previous)]
                if lost and (is_whole or len(lost) == len(pendings)):
                    await session.abort_transaction()
                    return lost
                won = [pending for pending in pendings if pending not in lost] if lost else pendings
                await self._write(session, won, previous)
                if also is not None:
                    await also(session)
            except BaseException as problem:
                await session.abort_transaction()
                was_trusting = _forget(pendings)
                if was_trusting and isinstance(problem, DuplicateKeyError):
                    raise OutrunError from problem  # the copy exists: the version was replaced
                raise
            for pending in won:
                pending.is_open = True
            await self._settle(session)
            return lost

    async def _settle(self, session: AsyncClientSession) -> None:
        """Commit; when the answer is lost ask again, which the server answers from its records."""
        retrying = Retrying(self._patience)
        while True:
            try:
                await session.commit_transaction()
            except PyMongoError as problem:
                if not problem.has_error_label("UnknownTransactionCommitResult"):
                    raise
                await retrying.pause()
            else:
                return

    async def _previous(
        self, session: AsyncClientSession, pendings: Iterable[Pending]
    ) -> dict[tuple[str, str], Mapping[str, Any]]:
        """Return the documents that are to be replaced, by type and id."""
        ids: defaultdict[str, list[str]] = defaultdict(list)
        found: dict[tuple[str, str], Mapping[str, Any]] = {}
        for pending in pendings:
            if pending.before is not None:
                found[pending.change.type, pending.change.id] = pending.before
            elif pending.change.previous:
                ids[pending.change.type].append(pending.change.id)
        for type_, all_ids in ids.items():
            wanted = all_ids
            while wanted:  # a reply ends at 16 MB, then the rest is asked for
                command = {
                    "find": type_,
                    "filter": {"_id": {"$in": wanted}},
                    "projection": HISTORY_FIELDS,
                    "batchSize": len(wanted) + 1,
                }
                cursor = (await self._connection.command(command, session))["cursor"]
                found |= {(type_, row["_id"]): row for row in cursor["firstBatch"]}
                if cursor["id"] == 0:
                    break
                await self._connection.command({"killCursors": type_, "cursors": [cursor["id"]]}, session)
                wanted = [id_ for id_ in wanted if (type_, id_) not in found]
        return found

    async def _write(
        self,
        session: AsyncClientSession,
        pendings: Sequence[Pending],
        previous: Mapping[tuple[str, str], Mapping[str, Any]],
    ) -> None:
        hiding: list[Mapping[str, Any]] = []
        copies: list[tuple[int, Mapping[str, Any]]] = []
        inserts: defaultdict[str, list[tuple[int, Mapping[str, Any]]]] = defaultdict(list)
        updates: defaultdict[str, list[tuple[int, Mapping[str, Any]]]] = defaultdict(list)
        for pending in pendings:
            change = pending.change
            if change.previous == 0:
                assert pending.document is not None
                inserts[change.type].append((pending.size, pending.document))
                continue
            before = previous[change.type, change.id]
            copies.append(
                (_SMALL + len(before.get("j", b"")), history_copy(change.type, before, change.last_updated))
            )
            if (statement := hiding_of_history(change, before)) is not None:
                hiding.append(statement)
            now = pending.document or tombstone(change, pending.token, before)
            # The token, too: labels change without a new version, and the copy must have them.
            condition = {"_id": change.id, "v": change.previous, "w": before["w"]}
            updates[change.type].append((pending.size, {"q": condition, "u": now}))
        await self._send(session, "insert", "history", copies)
        if hiding:
            await self._connection.command({"update": "history", "updates": hiding}, session)
        for type_, documents in inserts.items():
            await self._send(session, "insert", type_, documents)
        for type_, statements in updates.items():
            await self._send(session, "update", type_, statements)

    async def _send(
        self, session: AsyncClientSession, verb: str, name: str, sized: list[tuple[int, Mapping[str, Any]]]
    ) -> None:
        field = "documents" if verb == "insert" else "updates"
        for chunk in _chunks(sized):
            reply = await self._connection.command({verb: name, field: chunk}, session)
            if faults := reply.get("writeErrors"):
                code, message = faults[0]["code"], faults[0]["errmsg"]
                raise (DuplicateKeyError if code == _DUPLICATE_KEY else WriteError)(message, code, faults[0])
            if reply["n"] != len(chunk):
                raise OutrunError


class OutrunError(PyMongoError):
    """A replacement found another version than the one its caller had read."""


def _replaces(pending: Pending, previous: Mapping[tuple[str, str], Mapping[str, Any]]) -> bool:
    """Tell whether the version that the change was made from is still the current one."""
    change = pending.change
    if change.previous == 0:
        return True
    found = previous.get((change.type, change.id))
    return found is not None and found["v"] == change.previous


def _forget(pendings: Iterable[Pending]) -> bool:
    """Drop what callers have read, so that the next try reads itself; tell whether there was anything."""
    trusted = [pending for pending in pendings if pending.before is not None]
    for pending in trusted:
        pending.before = None
    return bool(trusted)


def may_succeed(problem: PyMongoError) -> bool:
    """Tell whether the same transaction may go through when it is run again."""
    return (
        isinstance(problem, OutrunError)
        or is_outage(problem)
        or problem.has_error_label("TransientTransactionError")
    )


def _chunks(sized: list[tuple[int, Mapping[str, Any]]]) -> Iterator[list[Mapping[str, Any]]]:
    """Cut a list of (bytes, document) so that each command stays below MongoDB's 16 MB."""
    chunk: list[Mapping[str, Any]] = []
    total = 0
    for size, item in sized:
        if chunk and total + size > FLUSH_BYTES:
            yield chunk
            chunk, total = [], 0
        chunk.append(item)
        total += size
    if chunk:
        yield chunk
