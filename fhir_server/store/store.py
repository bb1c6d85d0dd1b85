"""Store: the one door to the data."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from copy import copy
from pathlib import Path
from typing import Any

from pymongo.asynchronous.client_session import AsyncClientSession

from fhir_server.access import AccessContext
from fhir_server.access.audit_chain import Signer
from fhir_server.search.entries import IndexDescriptor, IndexEntries, SearchPlan
from fhir_server.space.life import Space
from fhir_server.store.auditing import AuditLog
from fhir_server.store.catalogue import Catalogue
from fhir_server.store.closure_tables import ClosureTables
from fhir_server.store.coalescing import KeyLocks, SharedRuns
from fhir_server.store.code_systems import CodeSystems
from fhir_server.store.committing import Committer
from fhir_server.store.connection import Connection
from fhir_server.store.contents import Contents
from fhir_server.store.documents import Change, Page, Stored
from fhir_server.store.explaining import ExplainingSearcher
from fhir_server.store.facts import FactReader
from fhir_server.store.grants import Grants
from fhir_server.store.history import Historian
from fhir_server.store.history_scope import Listed, Span
from fhir_server.store.jobs import Jobs
from fhir_server.store.labels import holders
from fhir_server.store.outbox import Outbox
from fhir_server.store.purging import Purges
from fhir_server.store.quotas import Quotas
from fhir_server.store.reading import Reader
from fhir_server.store.receipts import Receipts
from fhir_server.store.reindexing import replace_entries
from fhir_server.store.rekeying import Made, count_unkeyed, rekey
from fhir_server.store.relabelling import relabel
from fhir_server.store.searching import Searcher
from fhir_server.store.skipping import Skipper
from fhir_server.store.snapshots import Snapshots
from fhir_server.store.spaces import Spaces
from fhir_server.store.transacting import Also

Announce = Callable[[Sequence[Change]], Awaitable[None]]
"""Is told of changes before they are made; what it raises prevents them."""


class Store:
    """Resources in MongoDB; every call raises Unavailable when the database does not answer.

    Every call that returns data takes an AccessContext, whose filter is part of each query.
    """

    def __init__(
        self, connection: Connection, catalogue: Catalogue, contents: Contents, patience_s: float
    ) -> None:
        self._connection = connection
        self._catalogue = catalogue
        self._reader = Reader(connection)
        self._searcher: Searcher = Searcher(connection, catalogue)
        self._skipper = Skipper(self._searcher)
        self._historian = Historian(connection, catalogue)
        self._committer = Committer(connection, catalogue, contents, patience_s)
        self._locks = KeyLocks()
        #: Reads that answer all who asked for the same before they began.
        self.shared: SharedRuns[Any] = SharedRuns()
        self._watched: frozenset[str] = frozenset()
        self._notify: Callable[[], Awaitable[None]] = _nobody
        self._announce: Announce = _unannounced
        #: Large content, apart from the bodies.
        self.contents = contents
        #: Names that one resource holds at a time.
        self.names = self._committer.names
        #: The control documents of the citizens' spaces.
        self.spaces = Spaces(connection)
        #: Consents and care teams, by which access is decided.
        self.facts = FactReader(connection)
        #: Long work, with its progress.
        self.jobs = Jobs(connection)
        #: What was done under an Idempotency-Key.
        self.receipts = Receipts(connection)
        #: Versions that are removed for good.
        self.purges = Purges(connection, catalogue, contents)
        #: What apps have used of their shares.
        self.quotas = Quotas(connection)
        #: An event for each version.
        self.outbox = Outbox(connection)
        #: Code systems that are too large for a resource.
        self.code_systems = CodeSystems(connection)
        #: What the development authorization server remembers.
        self.grants = Grants(connection)
        #: The tables of $closure.
        self.closure_tables = ClosureTables(connection)
        #: Copies of the whole database, for sandboxes.
        self.snapshots = Snapshots(connection)

    @classmethod
    async def connect(
        cls,
        uri: str,
        *,
        database: str,
        indexes: Callable[[str], Sequence[IndexDescriptor]],
        timeout_s: float = 5.0,
        time_limit_ms: int = 5000,
        inline_bytes: int = 256 * 1024,
    ) -> Store:
        """Return an open store.

        ``indexes`` names the indexes of a type's collection, besides the common ones. ``timeout_s`` is how
        long an operation waits for a primary, ``time_limit_ms`` how long the database works on one command;
        content up to ``inline_bytes`` stays in the body.
        Raises Unsuitable for a server or database that can't be used, Unavailable when none answers.
        """
        connection = await Connection.open(uri, database, timeout_s=timeout_s, limit_ms=time_limit_ms)
        try:
            catalogue = Catalogue(connection, indexes)
            await catalogue.start()
        except BaseException:
            await connection.close()
            raise
        return cls(connection, catalogue, Contents(connection, inline_bytes), 2 * timeout_s)

    async def read(self, type_: str, id_: str, access: AccessContext, letter: str = "r") -> Stored | None:
        """Return the current version, which may be a deletion; None: no such resource for this caller.

        ``letter`` says what for: whoever may update a resource need not be allowed to read it.
        """
        return await self._reader.read(type_, id_, access, letter)

    async def read_each(self, type_: str, ids: Collection[str], access: AccessContext) -> dict[str, Stored]:
        """Return the current versions by id, deletions included, of those that the caller may see: one query."""
        return await self._reader.read_each(type_, ids, access)

    async def version(self, type_: str, id_: str, version: int, access: AccessContext) -> Stored | None:
        """Return one version, which may be a deletion; None: no such version for this caller."""
        return await self._reader.version(type_, id_, version, access)

    async def commit(self, change: Change) -> None:
        """Return when the change is durable.

        Raises VersionConflict when ``previous`` is not current, ClaimTaken when another document holds the
        claim, NameTaken when another resource holds a name, Unavailable when the outcome is unknown, FhirError 413
        when the body is too large.
        """
        await self._announce((change,))
        await self._committer.commit(change)
        if change.type in self._watched:
            await self._notify()

    async def create_each(self, changes: Sequence[Change]) -> list[Exception | None]:
        """Write new resources, each for itself: return for each what ``commit`` would raise, None when it is durable.

        Raises Unavailable when the outcome of some is unknown.
        """
        await self._announce(changes)
        outcomes = await self._committer.create_each(changes)
        if self._watched and any(change.type in self._watched for change in changes):
            await self._notify()
        return outcomes

    async def commit_many(self, changes: Sequence[Change], spaces: Sequence[Space] = ()) -> None:
        """Return when all changes are durable; otherwise none is made. Exceptions as those of ``commit``.

        ``spaces`` are control documents that are replaced in the same transaction.
        """
        await self._announce(changes)
        await self._committer.commit_many(changes, self._control(spaces))
        if self._watched and any(change.type in self._watched for change in changes):
            await self._notify()

    def _control(self, spaces: Sequence[Space]) -> Also | None:
        async def control(session: AsyncClientSession) -> None:
            for space in spaces:
                await self.spaces.replace(space, session)

        return control if spaces else None

    def announcing(self, announce: Announce) -> Store:
        """Return a door to the same data that awaits ``announce`` before it makes changes, and none when it raises."""
        door = copy(self)
        door._announce = announce  # noqa: SLF001 (the copy is one of ours)
        return door

    def audit_log(self, signer: Signer, file: Path | None) -> AuditLog:
        """Return the audit of this database; checkpoints are signed, and also appended to the file."""
        return AuditLog(self._connection, self._catalogue, signer, file)

    def watch(self, types: frozenset[str], notify: Callable[[], Awaitable[None]]) -> None:
        """Await ``notify`` after each commit of this process that concerns one of the types."""
        self._watched, self._notify = types, notify

    async def counted(self, name: str) -> int:
        """Return a counter that all processes on this database share; 0 before it was counted up."""
        return await self._connection.counted(name)

    async def count_up(self, name: str) -> None:
        """Count a shared counter up by one."""
        await self._connection.count_up(name)

    async def relabel(self, change: Change) -> None:
        """Return when the current version's body and index are durably replaced, without a new version.

        ``change`` has version, method and lastUpdated of the version that it ``replaces``, as ``read`` returned it.
        Raises VersionConflict when somebody else was faster, Unavailable when the outcome is unknown.
        """
        await self._announce((change,))
        await relabel(self._connection, change)

    async def label_holders(self, type_: str, access: AccessContext, most: int) -> list[str]:
        """Return ids of resources of a type such that each profile, tag and label in use is in one of them."""
        return await holders(self._connection, type_, access, most)

    async def search(self, plan: SearchPlan, access: AccessContext) -> Page:
        """Return the rows of a plan; raises TimeLimit when it was stopped."""
        return await self._searcher.search(plan, access)

    def explaining(self) -> tuple[Store, list[dict[str, Any]]]:
        """Return a door to the same data whose searches are explained, and the list that the explanations go to."""
        searcher = ExplainingSearcher(self._connection, self._catalogue)
        door = copy(self)
        door._searcher, door._skipper = searcher, Skipper(searcher)  # noqa: SLF001 (the copy is one of ours)
        return door, searcher.found

    async def count(self, plan: SearchPlan, access: AccessContext, cap: int | None = None) -> int:
        """Return how many documents match, counted up to ``cap``; raises TimeLimit when it was stopped."""
        return await self._searcher.count(plan, access, cap)

    async def beginning_with(self, plan: SearchPlan, field: str, beginning: str) -> frozenset[str] | None:
        """Return the distinct values of a field in the plan's index that begin so; None where that is no gain.

        For planning: they are those of all resources, whoever may see them.
        """
        return await self._skipper.values(plan, field, beginning)

    async def values_in_use(self, type_: str, field: str) -> tuple[Any, ...]:
        """Return the distinct values of a field over all documents, for a filter only; raises TimeLimit."""
        return await self._searcher.values_in_use(type_, field)

    async def values(
        self, plan: SearchPlan, field: str, access: AccessContext, *, whole: bool = False, most: int = 0
    ) -> tuple[Any, ...] | None:
        """Return the distinct values of a field over a plan's matches, at most ``plan.limit``, in no order.

        The elements of arrays count one by one unless ``whole``. With ``most`` no more than so many matches are read:
        None when there are as many. Raises TimeLimit when it was stopped.
        """
        return await self._searcher.values(plan, field, access, whole=whole, most=most)

    async def latest(
        self,
        plan: SearchPlan,
        access: AccessContext,
        *,
        by: Mapping[str, str],
        kept: Mapping[str, str],
        most: int,
    ) -> list[dict[str, Any]]:
        """Return for each value of the fields ``by`` the ``most`` newest of a plan's matches, by their main date.

        Both mappings name paths in the stored document; the answer's rows are ``{_id: values, rows: [kept, ...]}``.
        Raises TimeLimit when it was stopped.
        """
        return await self._searcher.latest(plan, access, by, kept, most)

    async def replace_entries(self, type_: str, made: Sequence[tuple[Stored, IndexEntries]]) -> None:
        """Write new index entries of unchanged resources of a type; raises Unavailable."""
        await replace_entries(self._connection, type_, made)

    async def count_unkeyed(self, version: int) -> dict[str, int]:
        """Return how many versions have no access keys of these rules, by collection; raises Unavailable."""
        return await count_unkeyed(self._connection, await self.types(), version)

    async def rekey(self, name: str, version: int, made: Made, limit: int) -> int:
        """Make the access keys of at most ``limit`` versions in a collection; raises Unavailable."""
        return await rekey(self._connection, name, version, made, limit)

    async def refresh_indexes(self, type_: str) -> None:
        """Return when the indexes of a type are those that are described now; raises Unavailable."""
        await self._catalogue.refresh(type_)

    async def types(self) -> tuple[str, ...]:
        """Return the resource types that were ever written, in order; raises Unavailable."""
        return await self._catalogue.types()

    async def history(
        self,
        type_: str | None,
        id_: str | None,
        access: AccessContext,
        *,
        since: int | None = None,
        until: int | None = None,
        at: tuple[int, int] | None = None,
        ascending: bool = False,
        listed: Listed | None = None,
        cursor: str | None = None,
        limit: int = 50,
    ) -> Page:
        """Return versions, deletions included, newest first unless ``ascending``.

        Of one resource, of a type (``id_`` None) or of all types (both None). ``since`` and ``until`` are
        inclusive milliseconds UTC of lastUpdated; ``at`` are the first and last millisecond of a period: versions
        that were current at some time in it; ``listed`` leaves only the versions that it names. ``cursor`` is
        ``Page.next`` of the page before. A page holds no more than 16 MB.
        """
        span = Span(since, until, at, ascending)
        return await self._historian.history(
            type_, id_, access, span, listed=listed, cursor=cursor, limit=limit
        )

    async def count_history(
        self,
        type_: str | None,
        id_: str | None,
        access: AccessContext,
        *,
        since: int | None = None,
        at: tuple[int, int] | None = None,
        listed: Listed | None = None,
    ) -> int:
        """Return how many versions ``history`` has with the same arguments; raises TimeLimit when it was stopped."""
        return await self._historian.count(type_, id_, access, Span(since=since, at=at), listed)

    async def living(self, type_: str, ids: Collection[str], access: AccessContext) -> set[str]:
        """Return those of the ids that the caller may see and that are not deleted, by one query."""
        return await self._reader.living(type_, ids, access)

    async def referrers(
        self, names: Collection[str], besides: Collection[str], access: AccessContext
    ) -> list[str]:
        """Return ``Type/id`` of resources that refer to one of ``names``, a few at most; ``besides`` don't count.

        For each that the caller may not see there is "". Only documents that were written with
        ``Change.references`` are found.
        """
        found: list[str] = []
        for type_ in await self._catalogue.types():
            found += await self._reader.referrers(type_, names, besides, access)
        return found

    def lock(self, type_: str, id_: str) -> AbstractAsyncContextManager[None]:
        """Return a context that one task of this process holds at a time for this id.

        Around read and commit of an update it spares the conflicts among requests of one worker; those with
        other workers remain VersionConflicts.
        """
        return self._locks.hold((type_, id_))

    async def unlocked(self, type_: str, id_: str) -> bool:
        """Return False at once if no task holds the lock, else True as soon as none does."""
        return await self._locks.freed((type_, id_))

    async def secret(self, name: str) -> bytes:
        """Return 32 random bytes that belong to this database and never change."""
        return await self._connection.secret(name)

    async def ping(self) -> bool:
        """Tell whether a primary answers."""
        return await self._connection.ping()

    def stats(self) -> dict[str, int]:
        """Return gauges and counters of the queues: waiting, flights, flushes, flushed, per queue."""
        queues = {
            "reads": self._reader.queue,
            "creates": self._committer.creates,
            "replacements": self._committer.replacements,
        }
        return {
            f"{name}_{figure}": getattr(queue, figure)
            for name, queue in queues.items()
            for figure in ("waiting", "flights", "flushes", "flushed")
        }

    async def close(self) -> None:
        """Finish what was accepted, then disconnect."""
        await self._committer.close()
        await self._reader.close()
        await self.facts.close()
        await self._catalogue.close()
        await self._connection.close()


async def _nobody() -> None:
    """Tell nobody."""


async def _unannounced(changes: Sequence[Change]) -> None:
    """Announce nothing."""
