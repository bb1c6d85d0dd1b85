"""Definitions that clients store (StructureDefinition, ValueSet, CodeSystem, Questionnaire) take effect at once.

A worker that writes one adds it before it answers, and counts the change in the database; the other workers look at
the counter a few times a second and fetch what changed. https://hl7.org/fhir/R4/conformance-module.html
"""

from __future__ import annotations

import asyncio
import logging

from fhir_server.access import OPEN
from fhir_server.datatypes.json_format import decode
from fhir_server.definitions import Definitions
from fhir_server.definitions.core import ADDABLE
from fhir_server.outcome import FhirError
from fhir_server.store import Store
from fhir_server.store.documents import Stored

_LOG = logging.getLogger("fhir_server")

#: The counter in the database.
COUNTER = "definitions"
#: Seconds between two looks at the counter.
INTERVAL = 0.25
#: Rows of one page of history, and milliseconds that a look goes further back than the last row seen.
_PAGE = 200
_OVERLAP = 5_000


class StoredDefinitions:
    """Keeps ``definitions`` in step with what the store holds."""

    def __init__(self, store: Store, definitions: Definitions) -> None:
        self._store = store
        self._definitions = definitions
        #: Of each stored definition: its version, and (url, version) under which it was added.
        self._known: dict[tuple[str, str], tuple[int, tuple[str, str] | None]] = {}
        self._since: dict[str, int] = {}
        self._count = -1
        self._lock = asyncio.Lock()

    async def start(self) -> None:
        """Load what the store holds, and follow the changes that this worker makes."""
        self._count = await self._store.counted(COUNTER)
        await self.refresh()
        self._store.watch(frozenset(ADDABLE), self._changed)

    async def follow(self) -> None:
        """Fetch the changes of other workers for ever; a database that doesn't answer is asked again."""
        while True:
            await asyncio.sleep(INTERVAL)
            try:
                count = await self._store.counted(COUNTER)
                if count != self._count:
                    await self.refresh()
                    self._count = count
            except FhirError as problem:
                _LOG.debug("definitions were not refreshed: %s", problem)

    async def _changed(self) -> None:
        await self.refresh()
        await self._store.count_up(COUNTER)

    async def renew(self) -> None:
        """Forget what was added, and load what the store holds: its data were replaced."""
        async with self._lock:
            for (kind, _), (_, added) in self._known.items():
                if added is not None:
                    self._definitions.remove(kind, *added)
            self._known.clear()
            self._since.clear()
        await self._changed()

    async def refresh(self) -> None:
        """Add, replace and remove what changed in the store since the last time."""
        async with self._lock:
            for kind in ADDABLE:
                await self._refresh(kind)

    async def _refresh(self, kind: str) -> None:
        since = self._since.get(kind)
        low = None if since is None else max(since - _OVERLAP, 0)
        cursor: str | None = None
        newest: dict[str, Stored] = {}
        while True:
            page = await self._store.history(kind, None, OPEN, since=low, cursor=cursor, limit=_PAGE)
            for row in page.rows:
                newest.setdefault(row.id, row)
            cursor = page.next
            if cursor is None:
                break
        for row in newest.values():
            self._since[kind] = max(self._since.get(kind, 0), row.last_updated)
            self._take(row)

    def _take(self, row: Stored) -> None:
        key = (row.type, row.id)
        version, added = self._known.get(key, (0, None))
        if version >= row.version:
            return
        if added is not None:
            self._definitions.remove(row.type, *added)
        added = None
        if not row.is_deleted:
            resource = decode(row.body)
            if self._definitions.add(resource):
                added = (resource["url"], str(resource.get("version", "")))
        self._known[key] = (row.version, added)
