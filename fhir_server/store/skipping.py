"""Finds the distinct values in a part of an index by jumping from one to the next, one key each.

mongod does this itself (DISTINCT_SCAN) only for fields that hold no array anywhere. What was found before says where to
look again, so that values that are known cost one round trip, and new ones are never missed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import replace

from fhir_server.search.entries import SearchPlan
from fhir_server.store.searching import Searcher

#: With more values than this the jumps are no gain.
MOST_VALUES = 10
_MOST_REMEMBERED = 10_000


class Skipper:
    """Lists the values with a beginning; remembers where it found some."""

    def __init__(self, searcher: Searcher) -> None:
        self._searcher = searcher
        self._seen: dict[tuple[str, str, str], frozenset[str]] = {}

    async def values(self, plan: SearchPlan, field: str, beginning: str) -> frozenset[str] | None:
        """Return the values of ``field`` that begin so, among the keys of the plan's index that pass its filter.

        The filter gives the index's keys before ``field`` one value each. None: they are too many, or the index is
        not built yet.
        """
        key = (plan.type, field, beginning)
        asked = set(self._seen.get(key, ()))
        if not self._searcher.is_ready(plan) or len(asked) > MOST_VALUES:
            return None
        found = await self._after(plan, field, beginning, [None, *asked])
        while new := found - asked:
            if len(found) > MOST_VALUES:
                return None
            asked |= new
            found |= await self._after(plan, field, beginning, new)
        if key not in self._seen and len(self._seen) >= _MOST_REMEMBERED:
            self._seen.clear()
        self._seen[key] = frozenset(asked)
        return frozenset(found)

    async def _after(
        self, plan: SearchPlan, field: str, beginning: str, places: Iterable[str | None]
    ) -> set[str]:
        """Return the first value after each of the places, None being the beginning itself."""
        tests = [{"$gte": beginning} if place is None else {"$gt": place} for place in places]
        keys = await asyncio.gather(
            *(self._searcher.first_key(replace(plan, filter={**plan.filter, field: test})) for test in tests)
        )
        values = (key[field] for key in keys if key is not None)
        return {value for value in values if isinstance(value, str) and value.startswith(beginning)}
