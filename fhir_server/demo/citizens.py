"""One citizen of the demo: who it is, and the dice that decide the life."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from datetime import date, timedelta

from fhir_server.demo.directory import Directory
from fhir_server.demo.identities import ins

#: The day on which the demo is made: no life goes on after it, whatever the clock says.
TODAY = date(2026, 11, 1)
#: How far back records go, in days: twenty years.
_MEMORY = 20 * 365
#: Share of people (%) by age, in steps of ten years from 0-9 to 90-99.
_AGES = (11, 12, 12, 12, 13, 13, 12, 9, 5, 1)
FAMILY_NAMES = (
    *("EXEMPLE", "SPECIMEN", "MODELE", "GABARIT", "COBAYE", "PARANGON", "TESTANI"),
    *("PROTOTYPE", "ETALON", "CANEVAS", "MAQUETTE", "CALQUE", "ESSAI"),
)
GIVEN_NAMES = {
    "female": (
        "Camille",
        "Lou",
        "Odile",
        "Inès",
        "Alice",
        "Noémie",
        "Maud",
        "Zoé",
        "Claire",
        "Sofia",
        "Lina",
    ),
    "male": (
        "Adrien",
        "Jules",
        "René",
        "Hugo",
        "Léo",
        "Noé",
        "Yann",
        "Paul",
        "Ange",
        "Malo",
        "Sacha",
        "Elias",
    ),
}


@dataclass(slots=True)
class Citizen:
    """A citizen depends on index and seed alone."""

    index: int
    seed: int
    directory: Directory
    draw: random.Random = field(init=False)
    id: str = field(init=False)
    born: date = field(init=False)
    gender: str = field(init=False)
    family: str = field(init=False)
    given: str = field(init=False)
    _made: int = field(init=False, default=0)

    def __post_init__(self) -> None:
        draw = self.draw = random.Random(f"{self.seed}/{self.index}")  # noqa: S311 (the same each time by purpose)
        self.id = f"demo-{self.seed}-{self.index:07}"
        decade = draw.choices(range(len(_AGES)), _AGES)[0]
        self.born = TODAY - timedelta(days=30 + int((decade + draw.random()) * 3652))
        self.gender = draw.choice(tuple(GIVEN_NAMES))
        self.family, self.given = draw.choice(FAMILY_NAMES), draw.choice(GIVEN_NAMES[self.gender])

    @property
    def number(self) -> str:
        """Return the national identity."""
        return ins(self.index, self.seed, is_male=self.gender == "male", born=self.born)

    @property
    def holder(self) -> str:
        """Return the reference to the citizen."""
        return f"Patient/{self.id}"

    @property
    def age(self) -> int:
        """Return the age in whole years, today."""
        return self.age_on(TODAY)

    def age_on(self, day: date) -> int:
        """Return the age in whole years on a day."""
        return day.year - self.born.year - ((day.month, day.day) < (self.born.month, self.born.day))

    def new_id(self, kind: str) -> str:
        """Return the id of the next record."""
        self._made += 1
        return f"{self.id}-{kind}-{self._made}"

    def day(self, within: int = _MEMORY) -> date:
        """Return a day of the life, at most so many days ago; later ones are likelier."""
        past = min(within, (TODAY - self.born).days - 8)
        return TODAY - timedelta(days=1 + int(past * self.draw.random() ** 2))

    def time(self, day: date) -> str:
        """Return a time of that day."""
        return at(day, f"{self.draw.randrange(7, 20):02}:{self.draw.randrange(60):02}")


def at(day: date, time: str) -> str:
    """Return a time of day with the offset of Paris: summer time from March's last Sunday to October's."""
    begin, end = (_last_sunday(day.year, month) for month in (3, 10))
    return f"{day.isoformat()}T{time}:00+0{2 if begin <= day < end else 1}:00"


def _last_sunday(year: int, month: int) -> date:
    last = date(year, month, 31)
    return last - timedelta(days=(last.weekday() + 1) % 7)
