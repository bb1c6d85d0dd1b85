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
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence

from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.errors import DuplicateKeyError, OperationFailure, PyMongoError

from fhir_server.outcome import FhirError, error
from fhir_server.store.catalogue import Catalogue
from fhir_server.store.coalescing import Coalescer
from fhir_server.store.connection import Connection, is_outage
from fhir_server.store.content import Content
from fhir_server.store.contents import Contents
from fhir_server.store.creating import Creator, Waiting, refusal, written
from fhir_server.store.documents import (
    Change,
    ClaimTaken,
    NameTaken,
    VersionConflict,
)
from fhir_server.store.names import Names
from fhir_server.store.retrying import Retrying
from fhir_server.store.transacting import Also, Pending, Transactor, may_succeed

#: Largest body of one resource; a MongoDB document ends at 16 MB and holds the index beside the body.
LARGEST_BODY = 12 << 20
#: TransactionTooLargeForCache, TransactionTooLarge (for the oplog).
_TOO_LARGE = {388, 257}
#: Changes of a large transaction are encoded in slices of this size.
_ENCODED_AT_ONCE = 50
#: From this attempt on the changes of a flush are tried one at a time.
_ALONE_FROM = 3
#: Of so many resources the last version made here is remembered.
_REACHED = 4096
_REACHED_SECONDS = 1.0


class Committer:
    """Writes changes; each ``commit`` returns when its change is on the disks of a majority."""

    def __init__(
        self, connection: Connection, catalogue: Catalogue, contents: Contents, patience_s: float
    ) -> None:
        self._connection = connection
        self._catalogue = catalogue
        self._contents = contents
        self._patience = patience_s
        self._creator = Creator(connection, patience_s)
        self.creates = self._creator.queue
        self.replacements: Coalescer[Pending, None] = Coalescer(self._flush_replacements)
        self._transactor = Transactor(connection, patience_s)
        self.names = Names(connection)
        self._reached: dict[tuple[str, str], tuple[int, float]] = {}

    async def commit(self, change: Change) -> None:
        """Write one change; raises VersionConflict, ClaimTaken, Unavailable, FhirError (body too large)."""
        if self._contents.concerns(change) or self.names.concerns(change):
            await self.commit_many([change])
            return
        if not self._catalogue.has(change.type):
            await self._catalogue.ensure(change.type)
        pending = Pending(change)
        queue = self.replacements if change.previous else self.creates
        await queue.submit(pending, size=pending.size, key=(change.type, change.id))

    async def create_each(self, changes: Sequence[Change]) -> list[Exception | None]:
        """Write new resources, each for itself, in few commands; return for each what hindered it, None: it is written.

        What ``commit`` would raise about one of them stands in the list; raises Unavailable when the outcome of some
        is unknown.
        """
        outcomes: list[Exception | None] = [None] * len(changes)
        plain: defaultdict[str, list[int]] = defaultdict(list)
        for number, change in enumerate(changes):
            assert not change.previous, "only what is new can be written so"
            if self._contents.concerns(change) or self.names.concerns(change):
                outcomes[number] = await _outcome(self.commit_many([change]))
            else:
                plain[change.type].append(number)
        for type_, numbers in plain.items():
            await self._catalogue.ensure(type_)
            found = await self._creator.create_each(type_, [changes[number] for number in numbers])
            for number, outcome in zip(numbers, found, strict=True):
                outcomes[number] = outcome
        return outcomes

    async def commit_many(self, changes: Sequence[Change], also: Also | None = None) -> None:
        """Write all changes or none, in one transaction; the same exceptions as ``commit``.

        Each resource may occur once only. ``also`` writes more in the same transaction.
        """
        assert len({(change.type, change.id) for change in changes}) == len(changes), (
            "a resource occurs twice"
        )
        if any(map(self.names.concerns, changes)):
            await self.names.ready()
            also = self._and_settle(changes, also)
        if not any(map(self._contents.concerns, changes)):
            await self._commit_many(changes, also)
            return
        moved: list[Change] = []
        made: list[Content] = []
        try:
            for change in changes:
                without, new = await self._contents.moved(change)
                moved.append(without)
                made += new
            await self._commit_many(moved, self._and_keep(moved, also))
        except Exception:
            await self._contents.discard(content.token for content in made)
            raise

    def _and_settle(self, changes: Sequence[Change], also: Also | None) -> Also:
        async def settle(session: AsyncClientSession) -> None:
            await self.names.settle(changes, session)
            if also is not None:
                await also(session)

        return settle

    def _and_keep(self, changes: Sequence[Change], also: Also | None) -> Also:
        async def keep(session: AsyncClientSession) -> None:
            await self._contents.keep(changes, session)
            if also is not None:
                await also(session)

        return keep

    async def _commit_many(self, changes: Sequence[Change], also: Also | None) -> None:
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

    # Replacements

    async def _flush_replacements(self, waiters: list[Waiting]) -> None:
        """Send away at once who has read a version that this process itself has replaced since."""
        hopeful = []
        for waiter in waiters:
            change = waiter.item.change
            reached, at = self._reached.get((change.type, change.id), (0, 0.0))
            # Not for long: a purge may have removed the resource, and its versions begin anew.
            if change.previous < reached and time.monotonic() < at + _REACHED_SECONDS:
                waiter.refuse(_conflict(change))
            else:
                hopeful.append(waiter)
        if hopeful:
            await self._replace(hopeful)

    def _note(self, change: Change) -> None:
        self._reached.pop((change.type, change.id), None)
        self._reached[change.type, change.id] = (change.version, time.monotonic())
        if len(self._reached) > _REACHED:
            del self._reached[next(iter(self._reached))]

    async def _replace(self, waiters: list[Waiting], attempt: int = 1) -> None:
        retrying = Retrying(self._patience)
        for number in itertools.count(attempt):
            if number >= _ALONE_FROM and len(waiters) > 1:
                for waiter in waiters:
                    await self._replace([waiter], number)
                return
            try:
                lost = await self._transactor.run([waiter.item for waiter in waiters], is_whole=False)
            except PyMongoError as problem:
                if not may_succeed(problem):
                    await _one_by_one(waiters, problem, self._replace)
                    return
                await retrying.pause(is_outage=is_outage(problem))
                continue
            own = await written(self._connection, lost)
            for waiter in waiters:
                if waiter.item in lost and waiter.item not in own:
                    waiter.refuse(_conflict(waiter.item.change))
                else:
                    self._note(waiter.item.change)
                    waiter.resolve(None)
            return

    async def _all_or_nothing(self, pendings: list[Pending], also: Also | None) -> None:
        retrying = Retrying(self._patience)
        while True:
            try:
                lost = await self._transactor.run(pendings, is_whole=True, also=also)
            except DuplicateKeyError as problem:
                lost = pendings
                is_claim = "ck" in (problem.details or {}).get("keyPattern", {})
                if is_claim and len(await written(self._connection, pendings)) < len(pendings):
                    raise ClaimTaken from problem
            except PyMongoError as problem:
                if isinstance(problem, OperationFailure) and problem.code in _TOO_LARGE:
                    raise _too_large() from problem
                if not may_succeed(problem):
                    raise
                await retrying.pause(is_outage=is_outage(problem))
                continue
            if lost and len(await written(self._connection, pendings)) < len(pendings):
                raise _conflict(lost[0].change)
            for pending in pendings:
                self._note(pending.change)
            return


async def _one_by_one(
    waiters: list[Waiting], problem: PyMongoError, run: Callable[[list[Waiting]], Awaitable[None]]
) -> None:
    """Try each alone to find the change that the database refuses; its caller gets the driver's exception."""
    if len(waiters) > 1:
        for waiter in waiters:
            await run([waiter])
        return
    waiters[0].refuse(refusal(problem))


async def _outcome(commit: Awaitable[None]) -> Exception | None:
    """Return what a commit raises of its own change, None when it is written."""
    try:
        await commit
    except (VersionConflict, ClaimTaken, NameTaken, FhirError) as problem:
        return problem
    return None


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
            "Put large content into a Binary, write base64 without line breaks, or split the resource.",
        )


def _conflict(change: Change) -> VersionConflict:
    return VersionConflict(f"{change.type}/{change.id} is no longer at version {change.previous}.")
