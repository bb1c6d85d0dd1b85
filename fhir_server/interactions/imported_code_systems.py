"""Imported code systems take effect in every worker: at start, and a moment after an import.

``fhir-server terminology import`` counts each change; workers look at the counter a few times a second.
"""

from __future__ import annotations

import asyncio
import logging

from fhir_server.outcome import FhirError
from fhir_server.store import Store
from fhir_server.store.code_systems import COUNTER
from fhir_server.store.documents import Unavailable
from fhir_server.terminology import CodeSets

_LOG = logging.getLogger("fhir_server")

#: Seconds between two looks at the counter.
INTERVAL = 0.5


class ImportedCodeSystems:
    """Keeps the register of imported code systems in step with the database."""

    def __init__(self, store: Store, code_sets: CodeSets) -> None:
        self._store = store
        self._code_sets = code_sets
        self._count = -1

    async def look(self) -> None:
        """Bring the register up to date if it changed."""
        count = await self._store.counted(COUNTER)
        if count == self._count:
            return
        systems: dict[str, dict[str, tuple[str, dict[str, object]]]] = {}
        for row in await self._store.code_systems.all():
            url, version = str(row.header["url"]), str(row.header.get("version", ""))
            systems.setdefault(url, {})[version] = (row.key, {**row.header, "count": row.count})
        self._code_sets.imported(systems)
        self._count = count

    async def follow(self) -> None:
        """Look for ever; a database that doesn't answer is asked again."""
        while True:
            await asyncio.sleep(INTERVAL)
            try:
                await self.look()
            except (FhirError, Unavailable) as problem:
                _LOG.debug("imported code systems were not refreshed: %s", problem)
