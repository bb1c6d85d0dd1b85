"""Commits: creates go out as inserts, all else as one transaction a flush, with the history copies in it.

1. A create is one insert of version 1; documents of a flush fail one by one (``_id`` taken: VersionConflict).
2. Any other change reads the current version, copies it to ``history`` and replaces it under the condition
   ``{_id, v}``; both are in one transaction, so no version is ever missing or made twice.
3. Every document carries its own write token ``w``. When an outage leaves open whether a write was made, the
   token in the current document, or in the history copy of the version, says so; nothing is written twice.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import random
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from bson import encode
from bson.raw_bson import RawBSONDocument
from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.errors import DuplicateKeyError, OperationFailure, PyMongoError, WriteError
from pymongo.read_concern import ReadConcern
from pymongo.write_concern import WriteConcern

from fhir_server.outcome import FhirError, error
from fhir_server.store.catalogue import Catalogue
from fhir_server.store.coalescing import FLUSH_BYTES, Coalescer, Waiter
from fhir_server.store.connection import MAJORITY, Connection, is_outage
from fhir_server.store.documents import (
    HISTORY_FIELDS,
    Change,
    ClaimTaken,
    Method,
    Unavailable,
    VersionConflict,
    document,
    history_copy,
    history_id,
    tombstone,
)

#: Largest body of one resource; a MongoDB document ends at 16 MB and holds the index beside the body.
LARGEST_BODY = 12 << 20
#: A tombstone and the envelope of an update are about this long.
_SMALL = 300
_DUPLICATE_KEY = 11000
#: TransactionTooLargeForCache, TransactionTooLarge (in the oplog).
_TOO_LARGE = {388, 257}
_ENCODED_AT_ONCE = 50
#: From this attempt on the changes of a flush are tried one at a time.
_ALONE_FROM = 3
#: Of so many resources the last version made here is remembered.
_REACHED = 4096
_SHORTEST_PAUSE = 0.005
_LONGEST_PAUSE = 0.25


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


Waiting = Waiter[Pending, None]
Also = Callable[[AsyncClientSession], Awaitable[None]]


class Committer:
    """Writes changes; each ``commit`` returns when its change is on the disks of a majority."""

    def __init__(self, connection: Connection, catalogue: Catalogue, patience_s: float) -> None:
        self._connection = connection
        self._catalogue = catalogue
        self._patience = patience_s
        self.creates: Coalescer[Pending, None] = Coalescer(self._create)
        self.replacements: Coalescer[Pending, None] = Coalescer(self._flush_replacements)
        self._reached: dict[tuple[str, str], int] = {}

    async def commit(self, change: Change) -> None:
        """Write one change; raises VersionConflict, ClaimTaken, Unavailable, FhirError (body too large)."""
        _check(change)
        if not self._catalogue.has(change.type):
            await self._catalogue.ensure(change.type)
        pending = Pending(change)
        queue = self.replacements if change.previous else self.creates
        await queue.submit(pending, size=pending.size, key=(change.type, change.id))

    async def commit_many(self, changes: Sequence[Change], also: Also | None = None) -> None:
        """Write all changes or none, in one transaction; the same exceptions as ``commit``.

        Each resource may occur once only. ``also`` writes more in the same transaction.
        """
        assert len({(change.type, change.id) for change in changes}) == len(changes), (
            "a resource occurs twice"
        )
        for change in changes:
            _check(change)
        for type_ in {change.type for change in changes}:
            await self._catalogue.ensure(type_)
        pendings: list[Pending] = []
        for number, change in enumerate(changes, 1):
            pendings.append(Pending(change))
            if number % _ENCODED_AT_ONCE == 0:
                await asyncio.sleep(0)  # a large transaction lets others have their turn
        if pendings:
            # Shielded: when the caller goes away the transaction still ends in a known state.
            await asyncio.shield(self._all_or_nothing(pendings, also))

    async def close(self) -> None:
        """Finish what was accepted, refuse what comes later."""
        await asyncio.gather(self.creates.close(), self.replacements.close())

    # Creates

    async def _create(self, waiters: list[Waiting]) -> None:
        by_type: defaultdict[str, list[Waiting]] = defaultdict(list)
        for waiter in waiters:
            by_type[waiter.item.change.type].append(waiter)
        await asyncio.gather(*(self._insert(type_, group) for type_, group in by_type.items()))

    async def _insert(self, type_: str, waiters: list[Waiting]) -> None:
        retrying = _Retrying(self._patience)
        while True:
            command = {
                "insert": type_,
                "documents": [waiter.item.document for waiter in waiters],
                "ordered": False,
                "writeConcern": MAJORITY,
            }
            try:
                reply = await self._connection.command(command)
                if "writeConcernError" not in reply:
                    break
            except PyMongoError as problem:
                if not is_outage(problem):
                    await _one_by_one(waiters, problem, lambda alone: self._insert(type_, alone))
                    return
            for waiter in waiters:
                waiter.item.is_open = True
            await retrying.pause()
        failed = {fault["index"]: fault for fault in reply.get("writeErrors", ())}
        refused = [waiter for index, waiter in enumerate(waiters) if index in failed]
        own = await self._written([waiter.item for waiter in refused])
        for index, waiter in enumerate(waiters):
            fault = failed.get(index)
            if fault is None or waiter.item in own:
                waiter.resolve(None)
            else:
                waiter.refuse(_insert_problem(fault))

    # Replacements

    async def _flush_replacements(self, waiters: list[Waiting]) -> None:
        """Send away at once who has read a version that this process itself has replaced since."""
        hopeful = []
        for waiter in waiters:
            change = waiter.item.change
            if change.previous < self._reached.get((change.type, change.id), 0):
                waiter.refuse(_conflict(change))
            else:
                hopeful.append(waiter)
        if hopeful:
            await self._replace(hopeful)

    def _note(self, change: Change) -> None:
        self._reached.pop((change.type, change.id), None)
        self._reached[change.type, change.id] = change.version
        if len(self._reached) > _REACHED:
            del self._reached[next(iter(self._reached))]

    async def _replace(self, waiters: list[Waiting], attempt: int = 1) -> None:
        retrying = _Retrying(self._patience)
        for number in itertools.count(attempt):
            if number >= _ALONE_FROM and len(waiters) > 1:
                for waiter in waiters:
                    await self._replace([waiter], number)
                return
            try:
                lost = await self._transaction([waiter.item for waiter in waiters], is_whole=False)
            except PyMongoError as problem:
                if not _may_succeed(problem):
                    await _one_by_one(waiters, problem, self._replace)
                    return
                await retrying.pause(is_outage=is_outage(problem))
                continue
            own = await self._written(lost)
            for waiter in waiters:
                if waiter.item in lost and waiter.item not in own:
                    waiter.refuse(_conflict(waiter.item.change))
                else:
                    self._note(waiter.item.change)
                    waiter.resolve(None)
            return

    async def _all_or_nothing(self, pendings: list[Pending], also: Also | None) -> None:
        retrying = _Retrying(self._patience)
        while True:
            try:
                lost = await self._transaction(pendings, is_whole=True, also=also)
            except DuplicateKeyError as problem:
                lost = pendings
                if "ck" in (problem.details or {}).get("keyPattern", {}):
                    raise ClaimTaken from problem
            except PyMongoError as problem:
                if isinstance(problem, OperationFailure) and problem.code in _TOO_LARGE:
                    raise _too_large() from problem
                if not _may_succeed(problem):
                    raise
                await retrying.pause(is_outage=is_outage(problem))
                continue
            if lost and len(await self._written(pendings)) < len(pendings):
                raise _conflict(lost[0].change)
            return

    async def _transaction(
        self, pendings: Sequence[Pending], *, is_whole: bool, also: Also | None = None
    ) -> list[Pending]:
        """Write what can be written; return the losers. With ``is_whole`` one loser stops all."""
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
                    raise _OutrunError from problem  # the copy exists: the version was replaced
                raise
            for pending in won:
                pending.is_open = True
            await self._settle(session)
            return lost

    async def _settle(self, session: AsyncClientSession) -> None:
        """Commit; when the answer is lost ask again, which the server answers from its records."""
        retrying = _Retrying(self._patience)
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
            copies.append((_SMALL + len(before.get("j", b"")), history_copy(change.type, before)))
            now = pending.document or tombstone(change, pending.token, before)
            condition = {"_id": change.id, "v": change.previous}
            updates[change.type].append((pending.size, {"q": condition, "u": now}))
        await self._send(session, "insert", "history", copies)
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
                raise _OutrunError

    async def _written(self, pendings: Sequence[Pending]) -> set[Pending]:
        """Return those that an earlier try has written after all: their token stands in the database."""
        found: set[Pending] = set()
        for pending in pendings:
            if not pending.is_open:
                continue
            change = pending.change
            places = (
                (change.type, change.id),
                ("history", history_id(change.type, change.id, change.version)),
            )
            for name, id_ in places:
                command = {"find": name, "filter": {"_id": id_}, "projection": {"w": 1}, "limit": 1}
                if any(row["w"] == pending.token for row in await self._connection.find(command)):
                    found.add(pending)
                    break
        return found


class _OutrunError(PyMongoError):
    """A replacement found another version than the one its caller had read."""


class _Retrying:
    """Pauses between tries, growing and with jitter; gives up when the patience for outages is used up."""

    def __init__(self, patience_s: float) -> None:
        self._deadline = time.monotonic() + patience_s
        self._pause = _SHORTEST_PAUSE

    async def pause(self, *, is_outage: bool = True) -> None:
        """Wait a little; raise Unavailable when it took too long already."""
        if time.monotonic() > self._deadline:
            raise Unavailable(
                "The database did not confirm the write in time; it may or may not have been made. "
                "Read the resource, or send the request again with a condition."
                if is_outage
                else "Too many others write to the same resources at the moment; nothing was written."
            )
        await asyncio.sleep(self._pause * random.uniform(0.5, 1.5))  # noqa: S311 (jitter is no secret)
        self._pause = min(self._pause * 2, _LONGEST_PAUSE)


async def _one_by_one(
    waiters: list[Waiting], problem: PyMongoError, run: Callable[[list[Waiting]], Awaitable[None]]
) -> None:
    """Try each alone to find the change that the database refuses; its caller gets the driver's exception."""
    if len(waiters) > 1:
        for waiter in waiters:
            await run([waiter])
        return
    is_claim = isinstance(problem, DuplicateKeyError) and "ck" in (problem.details or {}).get(
        "keyPattern", {}
    )
    waiters[0].refuse(ClaimTaken() if is_claim else problem)


def _too_large() -> FhirError:
    return error(
        "too-long",
        "The transaction is larger than the database's cache can hold at once; nothing was written. "
        "Send several smaller ones, or give the database a larger cache.",
    )


def _check(change: Change) -> None:
    if len(change.body) > LARGEST_BODY:
        raise error(
            "too-long",
            f"The resource has {len(change.body):,} bytes as JSON; the store takes up to {LARGEST_BODY:,}. "
            "Put large content into a Binary or split the resource.",
        )


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


def _may_succeed(problem: PyMongoError) -> bool:
    return (
        isinstance(problem, _OutrunError)
        or is_outage(problem)
        or problem.has_error_label("TransientTransactionError")
    )


def _conflict(change: Change) -> VersionConflict:
    return VersionConflict(f"{change.type}/{change.id} is no longer at version {change.previous}.")


def _insert_problem(fault: Mapping[str, Any]) -> Exception:
    if fault["code"] != _DUPLICATE_KEY:
        return WriteError(fault["errmsg"], fault["code"], dict(fault))
    if "ck" in fault.get("keyPattern", {}):
        return ClaimTaken()
    return VersionConflict("The id is taken.")


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
