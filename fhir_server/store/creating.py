"""Creates: version 1 of resources as plain inserts; documents of one command fail one by one.

Single creates wait for each other in a queue, and go out together; those of a stream come as a batch of their own.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pymongo.errors import DuplicateKeyError, PyMongoError, WriteError

from fhir_server.store.coalescing import FLUSH_BYTES, Coalescer, Waiter
from fhir_server.store.connection import MAJORITY, Connection, is_outage
from fhir_server.store.documents import Change, ClaimTaken, VersionConflict, history_id
from fhir_server.store.retrying import Retrying
from fhir_server.store.transacting import Pending

_DUPLICATE_KEY = 11000
#: So many documents of a batch are encoded before others have their turn.
_ENCODED_AT_ONCE = 50

Waiting = Waiter[Pending, None]


class Creator:
    """Inserts documents; what was inserted is on the disks of a majority."""

    def __init__(self, connection: Connection, patience_s: float) -> None:
        self._connection = connection
        self._patience = patience_s
        self.queue: Coalescer[Pending, None] = Coalescer(self._create)

    async def create_each(self, type_: str, changes: Sequence[Change]) -> list[Exception | None]:
        """Write new resources of a type that exists; return for each what hindered it, None: it is written."""
        pendings = []
        for number, change in enumerate(changes, 1):
            pendings.append(Pending(change))
            if number % _ENCODED_AT_ONCE == 0:
                await asyncio.sleep(0)
        outcomes: list[Exception | None] = []
        for part in _parts(pendings):
            # Shielded: when the caller goes away the command still ends in a known state.
            outcomes += await asyncio.shield(self._inserted(type_, part))
        return outcomes

    async def _create(self, waiters: list[Waiting]) -> None:
        by_type: defaultdict[str, list[Waiting]] = defaultdict(list)
        for waiter in waiters:
            by_type[waiter.item.change.type].append(waiter)
        await asyncio.gather(*(self._insert(type_, group) for type_, group in by_type.items()))

    async def _insert(self, type_: str, waiters: list[Waiting]) -> None:
        outcomes = await self._inserted(type_, [waiter.item for waiter in waiters])
        for waiter, outcome in zip(waiters, outcomes, strict=True):
            if outcome is None:
                waiter.resolve(None)
            else:
                waiter.refuse(outcome)

    async def _inserted(self, type_: str, pendings: Sequence[Pending]) -> list[Exception | None]:
        """Insert documents by one command; return what hindered each, None: it is written."""
        retrying = Retrying(self._patience)
        while True:
            command = {
                "insert": type_,
                "documents": [pending.document for pending in pendings],
                "ordered": False,
                "writeConcern": MAJORITY,
            }
            try:
                reply = await self._connection.command(command)
                if "writeConcernError" not in reply:
                    break
            except PyMongoError as problem:
                if not is_outage(problem):
                    if len(pendings) == 1:
                        return [refusal(problem)]
                    return [(await self._inserted(type_, [alone]))[0] for alone in pendings]
            for pending in pendings:
                pending.is_open = True
            await retrying.pause()
        failed = {fault["index"]: fault for fault in reply.get("writeErrors", ())}
        own = await written(
            self._connection, [pending for index, pending in enumerate(pendings) if index in failed]
        )
        return [
            None if index not in failed or pending in own else _insert_problem(failed[index])
            for index, pending in enumerate(pendings)
        ]


async def written(connection: Connection, pendings: Sequence[Pending]) -> set[Pending]:
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
            if any(row["w"] == pending.token for row in await connection.find(command)):
                found.add(pending)
                break
    return found


def refusal(problem: PyMongoError) -> Exception:
    """Return what the caller of a change gets that the database refuses."""
    details = problem.details or {} if isinstance(problem, DuplicateKeyError) else {}
    return ClaimTaken() if "ck" in details.get("keyPattern", {}) else problem


def _insert_problem(fault: Mapping[str, Any]) -> Exception:
    if fault["code"] != _DUPLICATE_KEY:
        return WriteError(fault["errmsg"], fault["code"], dict(fault))
    if "ck" in fault.get("keyPattern", {}):
        return ClaimTaken()
    return VersionConflict("The id is taken.")


def _parts(pendings: Sequence[Pending]) -> Iterator[list[Pending]]:
    """Cut what is inserted so that each command stays below MongoDB's 16 MB."""
    part: list[Pending] = []
    size = 0
    for pending in pendings:
        if part and size + pending.size > FLUSH_BYTES:
            yield part
            part, size = [], 0
        part.append(pending)
        size += pending.size
    if part:
        yield part
