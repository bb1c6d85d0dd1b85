"""Stores that treat writes in their own way: one only rehearses them, one notes them in a receipt.

Handlers work with them as with any Store.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from pymongo.asynchronous.client_session import AsyncClientSession

from fhir_server.access import OPEN, AccessContext
from fhir_server.outcome import FhirError
from fhir_server.space.life import Space
from fhir_server.store.documents import Change, ClaimTaken, NameTaken, Stored, VersionConflict, order_key
from fhir_server.store.quotas import Quotas
from fhir_server.store.receipts import Receipt
from fhir_server.store.store import Store


class Rehearsal(Store):
    """Checks what a commit would check and writes nothing; reads by id see the changes as if they were made."""

    def __init__(self, store: Store) -> None:
        vars(self).update(vars(store))
        self._made: dict[tuple[str, str], Stored] = {}
        self.quotas = _Untouched(store._connection)  # noqa: SLF001 (the door is one of ours)

    async def read(self, type_: str, id_: str, access: AccessContext, letter: str = "r") -> Stored | None:
        """Return the version that a rehearsed change would have made, else the stored one."""
        made = self._made.get((type_, id_))
        return made if made is not None else await super().read(type_, id_, access, letter)

    async def commit(self, change: Change) -> None:
        """Raise what the commit would raise, as far as it can be told beforehand."""
        await self.commit_many([change])

    async def read_each(self, type_: str, ids: Collection[str], access: AccessContext) -> dict[str, Stored]:
        """Return the versions that rehearsed changes would have made, else the stored ones."""
        made = {id_: found for id_ in ids if (found := self._made.get((type_, id_))) is not None}
        return {**await super().read_each(type_, ids, access), **made}

    async def create_each(self, changes: Sequence[Change]) -> list[Exception | None]:
        """Return for each what its commit would raise."""
        return [await _outcome(self, change) for change in changes]

    async def commit_many(self, changes: Sequence[Change], spaces: Sequence[Space] = ()) -> None:  # noqa: ARG002
        """Raise VersionConflict unless all changes replace current versions, NameTaken for names of others."""
        for change in changes:
            for name in change.holds or ():
                if await self.names.holder(name) not in (None, *(f"{c.type}/{c.id}" for c in changes)):
                    raise NameTaken(name)
        for change in changes:
            current = await self.read(change.type, change.id, OPEN)
            if (current.version if current else 0) != change.previous:
                raise VersionConflict(f"{change.type}/{change.id} is no longer at version {change.previous}.")
        for change in changes:
            self._made[change.type, change.id] = Stored(
                change.type,
                change.id,
                change.version,
                change.last_updated,
                order_key(change.last_updated, change.id),
                change.method,
                change.body,
                source={
                    "_sec": change.security,
                    **({"p": entries.patient} if (entries := change.entries) else {}),
                },
                large=change.large,
            )

    async def relabel(self, change: Change) -> None:
        """Raise VersionConflict unless the change is one of the current version."""
        current = await self.read(change.type, change.id, OPEN)
        if current is None or current.version != change.version:
            raise VersionConflict(f"{change.type}/{change.id} is no longer at version {change.version}.")


class _Untouched(Quotas):
    """Quotas that nothing is counted against."""

    async def use(self, counts: Mapping[str, int]) -> dict[str, int]:
        """Return that nothing is used."""
        return dict.fromkeys(counts, 0)


class Receipted(Store):
    """Notes each commit in a receipt, in the same transaction."""

    def __init__(self, store: Store, receipt: Receipt) -> None:
        vars(self).update(vars(store))
        self._receipt = receipt

    async def commit(self, change: Change) -> None:
        """As ``Store.commit``; raises Unavailable when a later attempt has taken over."""
        await self.commit_many([change])

    async def commit_many(self, changes: Sequence[Change], spaces: Sequence[Space] = ()) -> None:
        """As ``Store.commit_many``; raises Unavailable when a later attempt has taken over."""
        control = self._control(spaces)

        async def note(session: AsyncClientSession) -> None:
            await self.receipts.note(self._receipt, changes, session)
            if control is not None:
                await control(session)

        await self._announce(changes)
        await self._committer.commit_many(changes, also=note)

    async def create_each(self, changes: Sequence[Change]) -> list[Exception | None]:
        """As ``Store.create_each``, in one transaction with the note: of those that are not there yet."""
        ids: dict[str, set[str]] = {}
        for change in changes:
            ids.setdefault(change.type, set()).add(change.id)
        taken = {(type_, id_) for type_ in ids for id_ in await self.read_each(type_, ids[type_], OPEN)}
        outcomes: list[Exception | None] = [None] * len(changes)
        fresh: list[tuple[int, Change]] = []
        for number, change in enumerate(changes):
            if (change.type, change.id) in taken:
                outcomes[number] = VersionConflict("The id is taken.")
            else:
                taken.add((change.type, change.id))
                fresh.append((number, change))
        try:
            await self.commit_many([change for _, change in fresh])
        except (VersionConflict, FhirError):  # somebody else was faster with one of them, or one is too large
            for number, change in fresh:
                outcomes[number] = await _outcome(self, change)
        return outcomes


async def _outcome(store: Store, change: Change) -> Exception | None:
    """Return what the commit of one change raises, None when it is made."""
    try:
        await store.commit(change)
    except (VersionConflict, ClaimTaken, NameTaken, FhirError) as problem:
        return problem
    return None
