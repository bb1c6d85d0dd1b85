"""What the engine asks when a code system is in the database: it is pure, and can't fetch.

``Needed`` stops the work; whoever runs it (``interactions/steps/terminology.py``) answers and begins again.
"""

from __future__ import annotations

from dataclasses import dataclass

from fhir_server.terminology.concept import Concept, matches
from fhir_server.terminology.filters import Filter


@dataclass(frozen=True, slots=True)
class Selection:
    """Concepts of a code system that meet all filters and have all words, a stretch of them.

    ``count`` None: all of them, which only a listed system is asked for.
    """

    filters: tuple[Filter, ...] = ()
    words: tuple[str, ...] = ()
    active_only: bool = False
    offset: int = 0
    count: int | None = None

    @property
    def end(self) -> int | None:
        """The index behind the last one wanted."""
        return None if self.count is None else self.offset + self.count

    def has_words_of(self, concept: Concept) -> bool:
        """Tell whether the words are met."""
        return not self.words or matches(self.words, concept)


@dataclass(frozen=True, slots=True)
class Codes:
    """Which concepts have these codes? Answer: stored concepts by code; what isn't there is missing."""

    system: str
    codes: frozenset[str]


@dataclass(frozen=True, slots=True)
class Selected:
    """Which concepts are selected? Answer: their number and the stretch of them."""

    system: str
    selection: Selection


Question = Codes | Selected


class Needed(Exception):  # noqa: N818 - a question, no error
    """The work can't go on without an answer from the database."""

    def __init__(self, question: Question) -> None:
        super().__init__(str(question))
        self.question = question
