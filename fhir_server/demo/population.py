"""N citizens from a seed: the same resources each time, one after the other, none kept in memory."""

from __future__ import annotations

from collections.abc import Iterator

from fhir_server.demo.citizens import Citizen
from fhir_server.demo.codes import Json
from fhir_server.demo.directory import Directory
from fhir_server.demo.lives import life

#: More would run out of identities.
MOST = 50_000_000
MOST_SEED = 999_999_999


def population(citizens: int, seed: int = 0) -> Iterator[Json]:
    """Yield the resources of so many citizens, first those who treat them, then each citizen's whole space.

    A citizen depends on the seed and the place in the row, not on the others. Raises ValueError for a number that is
    not from 1 to MOST, and for a seed that is not from 0 to MOST_SEED.
    """
    if not 1 <= citizens <= MOST:
        raise ValueError(f"The number of citizens is 1 to {MOST}, not {citizens}.")
    if not 0 <= seed <= MOST_SEED:
        raise ValueError(f"The seed is 0 to {MOST_SEED}, not {seed}.")
    return _population(citizens, seed)


def _population(citizens: int, seed: int) -> Iterator[Json]:
    directory = Directory(citizens)
    yield from directory.records()
    for index in range(citizens):
        yield from life(Citizen(index, seed, directory))
