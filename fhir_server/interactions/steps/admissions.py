"""Contexts of callers, kept for a quarter of a second: Consents and care teams are not read anew for each request.

What this process writes about rights counts at once, what others write within ``KEPT_S`` seconds. docs/access.md
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from fhir_server.access import AccessContext
from fhir_server.access.caller import Caller
from fhir_server.interactions.exchange import FhirRequest, Server
from fhir_server.interactions.steps.admit import admit
from fhir_server.interactions.steps.emergency import Emergency

KEPT_S = 0.0
#: More callers than this at a time: all are forgotten.
_MOST = 10_000
#: Types by which nobody's rights are decided: writing them alone leaves all contexts as they are.
_PLAIN = frozenset(
    """AllergyIntolerance Basic Binary Claim Condition Coverage DiagnosticReport DocumentReference Encounter
    ExplanationOfBenefit Immunization MedicationRequest MedicationStatement Observation Procedure Provenance
    QuestionnaireResponse""".split()  # noqa: SIM905 (a list of words)
)


Key = tuple[Caller, str, Emergency | None]


class Admissions:
    """Contexts by caller; ``clock`` counts seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._kept: dict[Key, tuple[AccessContext, float]] = {}
        self._reading: dict[Key, asyncio.Task[AccessContext]] = {}

    async def context(
        self, server: Server, caller: Caller, base: str, emergency: Emergency | None = None
    ) -> AccessContext:
        """Return what the caller may do, by an ``emergency`` grant too; raises what ``admit`` raises."""
        key = caller, base, emergency
        kept = self._kept.get(key)
        if kept is not None and self._clock() < kept[1]:
            return kept[0]
        reading = self._reading.get(key)
        if reading is None:
            reading = self._reading[key] = asyncio.create_task(self._read(server, key, self._reading))
        return await asyncio.shield(reading)

    async def _read(
        self, server: Server, key: Key, readings: dict[Key, asyncio.Task[AccessContext]]
    ) -> AccessContext:
        """Read once for all who wait for the same; ``readings`` are those among which this one is."""
        try:
            made = await admit(server, *key)
        finally:
            readings.pop(key, None)
        if readings is self._reading:  # else rights were written while these were read
            if len(self._kept) >= _MOST:
                self._kept = {}
            self._kept[key] = made, self._clock() + KEPT_S
        return made

    def after(self, request: FhirRequest) -> None:
        """Forget all contexts after a request that may have changed rights."""
        if request.method in ("GET", "HEAD"):
            return
        path = request.path
        if path and path[0] in _PLAIN and not path[-1].startswith("$"):
            return
        self._kept, self._reading = {}, {}
