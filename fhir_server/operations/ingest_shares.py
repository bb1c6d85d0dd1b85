"""The share of each app and citizen in a day's measures: taken ahead for some lines to come, given back at the end.

Many lines of one stream then cost one count in the database. Near the limit nothing is taken ahead, so that a stream
keeps nothing from another one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from fhir_server.store.quotas import Quotas

#: So many times what is needed now is taken at once,
_AHEAD = 16
#: as long as the limit is further away than this part of it.
_NEAR = 0.1


class Shares:
    """What one stream may still store of its citizens' shares."""

    def __init__(self, quotas: Quotas, limit: int) -> None:
        self._quotas = quotas
        self._limit = limit
        self._left: Counter[str] = Counter()

    async def take(self, wanted: Mapping[str, int]) -> dict[str, int]:
        """Return how many measures may be stored of each share, at most those ``wanted``; raises Unavailable."""
        asked = {
            key: count * _AHEAD if count * _AHEAD <= self._limit * _NEAR else count
            for key, needed in wanted.items()
            if (count := needed - self._left[key]) > 0
        }
        used = await self._quotas.use(asked)
        returned: Counter[str] = Counter()
        for key, count in asked.items():
            needed = wanted[key] - self._left[key]
            if used[key] > self._limit * (1 - _NEAR):  # only what is needed, and is there
                free = max(0, self._limit - (used[key] - count))
                returned[key] = count - min(needed, free)
            self._left[key] += count - returned[key]
        await self._count_down(returned)
        allowed = {key: min(count, self._left[key]) for key, count in wanted.items()}
        self._left.subtract(allowed)
        return allowed

    def give_back(self, unused: Mapping[str, int]) -> None:
        """Take note that measures which might have been stored were not."""
        self._left.update(unused)

    async def settle(self) -> None:
        """Give back what was taken and not used; raises Unavailable."""
        left, self._left = self._left, Counter()
        await self._count_down(left)

    async def _count_down(self, counts: Mapping[str, int]) -> None:
        await self._quotas.use({key: -count for key, count in counts.items() if count})
