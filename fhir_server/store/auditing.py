"""The audit log: events in one collection a month, only ever inserted, in a hash chain with signed checkpoints.

Documents are ``{_id, c chain, n position, h hash, j the AuditEvent's bytes}`` and the fields of ``Event``. Ids begin
with the time, so that the order of ids is that of time and, within a chain, that of positions. What is in flight goes
out together, as everywhere (``coalescing``); one flush at a time, so that positions have no holes.
docs/decisions/0078-audit-before-data.md, docs/audit.md
"""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pymongo.errors import DuplicateKeyError, PyMongoError

from fhir_server.access.audit import Event
from fhir_server.access.audit_chain import Checkpoint, Signer, genesis, link
from fhir_server.search.entries import IndexDescriptor
from fhir_server.store.audit_reading import CHECKPOINTS, PREFIX, AuditReader, checkpoint_of, month_of, new_id
from fhir_server.store.catalogue import Catalogue
from fhir_server.store.coalescing import Coalescer, Waiter
from fhir_server.store.connection import MAJORITY, Connection, failure, is_outage
from fhir_server.store.documents import Unavailable
from fhir_server.store.retrying import Retrying

#: A checkpoint is due after so many events or seconds.
CHECKPOINT_EVENTS = 1000
CHECKPOINT_SECONDS = 60.0
_INDEXES = (
    IndexDescriptor("p", (("p", 1), ("_id", 1)), partial="p"),
    IndexDescriptor("s", (("s", 1), ("_id", 1)), partial="s"),
)
_log = logging.getLogger(__name__)


class AuditLog(AuditReader):
    """Appends events; every method raises Unavailable when the database does not answer."""

    def __init__(
        self, connection: Connection, catalogue: Catalogue, signer: Signer, file: Path | None
    ) -> None:
        super().__init__(connection)
        self._catalogue = catalogue
        self._signer = signer
        self._file = file
        self._writing = asyncio.Lock()
        self._sealing = asyncio.Lock()
        self._queue: Coalescer[Sequence[Event], None] = Coalescer(self._flush)
        self._ready: set[str] = set()
        self._time = 0
        self._begin()

    def _begin(self) -> None:
        """Begin a new chain: at start, and when it is unknown how much of the last flush was written."""
        self._chain = os.urandom(6).hex()
        self._position, self._sealed = 0, 0
        self._root = genesis(self._chain)

    async def record(self, events: Sequence[Event]) -> None:
        """Return when the events are on the disks of a majority."""
        if events:
            await self._queue.submit(events, size=sum(len(event.body) for event in events))

    async def start(self) -> None:
        """Make this month's collection."""
        await self._ensure(month_of(time.time_ns() // 1_000_000))

    async def follow(self) -> None:
        """Seal what there is once a minute, for ever."""
        while True:
            await asyncio.sleep(CHECKPOINT_SECONDS)
            try:
                await self.seal()
            except (Unavailable, OSError) as problem:
                _log.error("the audit could not be sealed: %s", problem)

    async def close(self) -> None:
        """Finish what was accepted and seal it."""
        await self._queue.close()
        try:
            await self.seal()
        except (Unavailable, OSError) as problem:
            _log.error("the audit could not be sealed: %s", problem)

    # Writing

    async def _flush(self, waiters: list[Waiter[Sequence[Event], None]]) -> None:
        async with self._writing:
            events = [event for waiter in waiters for event in waiter.item]
            try:
                await self._append(events)
            except Exception as problem:
                self._begin()
                if isinstance(problem, Unavailable):
                    raise
                _log.error("the audit takes no events: %s", problem)
                raise Unavailable(
                    "The audit takes no events at the moment; nothing is done without it."
                ) from problem
        for waiter in waiters:
            waiter.resolve(None)
        if self._position - self._sealed >= CHECKPOINT_EVENTS and not self._sealing.locked():
            await self.seal()

    async def _append(self, events: Sequence[Event]) -> None:
        now = self._time = max(self._time, time.time_ns() // 1_000_000)
        month = month_of(now)
        await self._ensure(month)
        documents = []
        position, root = self._position, self._root
        for event in events:
            position += 1
            id_ = new_id(now, self._chain, position)
            body = event.named(id_)
            root = link(root, body)
            documents.append(
                {"_id": id_, **event.fields, "c": self._chain, "n": position, "h": root, "j": body}
            )
        await self._insert(PREFIX + month, documents)
        self._position, self._root = position, root

    async def _insert(self, name: str, documents: list[dict[str, Any]]) -> None:
        retrying = Retrying(self._connection.timeout_s)
        while documents:
            try:
                reply = await self._connection.command(
                    {"insert": name, "documents": documents, "ordered": True, "writeConcern": MAJORITY}
                )
                if "writeErrors" not in reply and "writeConcernError" not in reply:
                    return
                if faults := reply.get("writeErrors"):
                    raise Unavailable(f"The audit takes no events: {faults[0]['errmsg']}")
            except PyMongoError as problem:
                if not is_outage(problem) or not await retrying.wait():
                    raise failure(problem) from problem
            # Whatever was written is a beginning of the list, because inserts are ordered.
            ids = {"$gte": documents[0]["_id"], "$lte": documents[-1]["_id"]}
            rows = await self._connection.find(
                {"find": name, "filter": {"_id": ids}, "projection": {"_id": 1}}
            )
            documents = documents[len(rows) :]

    async def _ensure(self, month: str) -> None:
        if month not in self._ready:
            await self._catalogue.make(PREFIX + month, _INDEXES)
            self._ready.add(month)

    # Checkpoints

    async def seal(self) -> None:
        """Sign how far the chain has come, unless the last checkpoint says it; also into the file."""
        async with self._sealing:
            chain, position, root = self._chain, self._position, self._root
            if position == self._sealed:
                return
            checkpoints = self._connection.database[CHECKPOINTS]
            try:
                while True:
                    last = await checkpoints.find_one(sort=[("_id", -1)])
                    previous = checkpoint_of(last) if last else None
                    made = self._signer.sign(
                        Checkpoint(
                            number=previous.number + 1 if previous else 1,
                            chain=chain,
                            sequence=position,
                            root=root.hex(),
                            time=datetime.now(UTC).isoformat(timespec="milliseconds"),
                            previous=previous.digest() if previous else "",
                        )
                    )
                    values = asdict(made)
                    number = values.pop("number")
                    try:
                        await checkpoints.insert_one({"_id": number, **values})
                    except DuplicateKeyError:
                        continue  # another process was faster
                    break
            except PyMongoError as problem:
                raise failure(problem) from problem
            if chain == self._chain:
                self._sealed = position
            if self._file is not None:
                await asyncio.to_thread(_write_line, self._file, made.line())


def _write_line(file: Path, line: str) -> None:
    with file.open("a", encoding="utf-8") as out:
        out.write(line + "\n")
        out.flush()
        os.fsync(out.fileno())
