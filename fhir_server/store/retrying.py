"""Pauses between tries: growing, with jitter, and not for ever."""

from __future__ import annotations

import asyncio
import random
import time

from fhir_server.store.documents import Unavailable

_SHORTEST_PAUSE = 0.005
_LONGEST_PAUSE = 0.25


class Retrying:
    """The tries of one operation; ``patience_s`` is how long it may take before the last of them."""

    def __init__(self, patience_s: float) -> None:
        self._deadline = time.monotonic() + patience_s
        self._pause = _SHORTEST_PAUSE

    async def wait(self) -> bool:
        """Return True after a pause, False at once when the patience is used up."""
        if time.monotonic() > self._deadline:
            return False
        await asyncio.sleep(self._pause * random.uniform(0.5, 1.5))  # noqa: S311 (jitter is no secret)
        self._pause = min(self._pause * 2, _LONGEST_PAUSE)
        return True

    async def pause(self, *, is_outage: bool = True) -> None:
        """Return after a pause; raise Unavailable about a write when the patience is used up."""
        if not await self.wait():
            raise Unavailable(
                "The database did not confirm the write in time; it may or may not have been made. "
                "Read the resource, or send the request again with a condition."
                if is_outage
                else "Too many others write to the same resources at the moment; nothing was written."
            )
