"""Code systems too large for a resource: their concepts are in the database, and reached by questions.

``ConceptCache`` is shared by all requests of a worker; answers to selections live as long as their request.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from fhir_server.messages import say
from fhir_server.outcome import error
from fhir_server.terminology.code_system import CodeSystem
from fhir_server.terminology.concept import Concept
from fhir_server.terminology.filters import OPERATORS, Filter, pattern
from fhir_server.terminology.questions import Codes, Needed, Question, Selected, Selection

#: Concepts that a worker remembers; a concept with its texts takes about 1 KB.
REMEMBERED = 50_000


@dataclass(frozen=True, slots=True)
class StoredConcept:
    """A concept as it is imported: with the codes right above it, and all above it."""

    concept: Concept
    parents: tuple[str, ...] = ()
    ancestors: frozenset[str] = frozenset()


Answers = Mapping[Question, Any]


@dataclass(slots=True)
class ConceptCache:
    """Concepts by system and code, None for codes that the system doesn't have; bounded."""

    rows: dict[tuple[str, str], StoredConcept | None] = field(default_factory=dict)

    def put(self, system: str, code: str, found: StoredConcept | None) -> None:
        """Remember a concept, in place of the oldest one if there are too many."""
        if len(self.rows) >= REMEMBERED:
            self.rows.pop(next(iter(self.rows)))
        self.rows[system, code] = found

    def learn(self, question: Codes, found: Mapping[str, StoredConcept]) -> None:
        """Remember the answer to a question."""
        for code in question.codes:
            self.put(question.system, code, found.get(code))


class ImportedSystem(CodeSystem):
    """One version of an imported code system; ``key`` names it in the database."""

    is_listed = False

    def __init__(self, key: str, header: dict[str, Any], cache: ConceptCache, answers: Answers) -> None:
        super().__init__(header)
        self.key = key
        self._cache = cache
        self._answers = answers

    def _stored(self, code: str) -> StoredConcept | None:
        if not self.is_case_sensitive:
            code = code.casefold()
        try:
            return self._cache.rows[self.key, code]
        except KeyError:
            raise Needed(Codes(self.key, frozenset({code}))) from None

    def knows(self, code: str) -> bool:
        """Tell whether the concept of a code can be told without asking."""
        return (self.key, code if self.is_case_sensitive else code.casefold()) in self._cache.rows

    def folded(self, codes: Iterable[str]) -> frozenset[str]:
        """Return codes as they are compared."""
        return frozenset(codes if self.is_case_sensitive else (code.casefold() for code in codes))

    def find(self, code: str) -> Concept | None:
        """Return the concept of a code; raises Needed."""
        found = self._stored(code)
        return None if found is None else found.concept

    def parents(self, code: str) -> Iterable[str]:
        """Return the codes right above a code; raises Needed."""
        found = self._stored(code)
        return () if found is None else found.parents

    def ancestors(self, code: str) -> set[str]:
        """Return the code itself and all above it; raises Needed."""
        found = self._stored(code)
        return {code} if found is None else {code, *found.ancestors}

    def children(self, code: str) -> Iterable[str]:
        """Return the codes right below a code; raises Needed."""
        return [row.code for row in self.select(Selection((Filter("parent", "=", code),)))[1]]

    def descendants(self, code: str) -> set[str]:
        """Return the code itself and all below it; raises Needed."""
        return {code, *(row.code for row in self.select(Selection((Filter("concept", "is-a", code),)))[1])}

    def select(self, wanted: Selection) -> tuple[int | None, list[Concept]]:
        """Return how many concepts match and the wanted stretch of them; raises Needed."""
        question = Selected(self.key, self._resolved(wanted))
        try:
            total, rows = self._answers[question]
        except KeyError:
            raise Needed(question) from None
        for row in rows:
            code = row.concept.code if self.is_case_sensitive else row.concept.code.casefold()
            if (self.key, code) not in self._cache.rows:
                self._cache.put(self.key, code, row)
        return total, [row.concept for row in rows]

    def _resolved(self, wanted: Selection) -> Selection:
        """Return the selection without ``generalizes``, which is about the ancestors of one concept."""
        for one in wanted.filters:
            if one.op == "regex":
                pattern(one.value)  # what can't be run in linear time is refused, not handed on
            elif one.op not in OPERATORS:
                text = say("The filter operator '{op}' is none of R4.", op=one.op)
                raise error("not-supported", text, status=422)
        if not any(one.op == "generalizes" for one in wanted.filters):
            return wanted
        filters = tuple(
            Filter("concept", "in", ",".join(sorted(self.ancestors(one.value)))) if one.op == "generalizes" else one
            for one in wanted.filters
        )  # fmt: skip
        return Selection(filters, wanted.words, wanted.active_only, wanted.offset, wanted.count)
