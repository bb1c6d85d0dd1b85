"""What a caller may see, as a small expression over a document's access keys, with two evaluators.

The same expression becomes the MongoDB filter that is part of every query, and the judgement in memory of documents
that were read together for several callers. A property test holds the two against each other on a real database.

Fields are those of the stored document: ``p`` (the home patient) and ``_sec.*`` (see ``access.keys``). A field that a
document lacks equals nothing, is in no set and at most nothing: what grants by such a field grants nothing there.
Only exclusions hold for it, which is why ``grants`` refuses a policy that consists of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

#: Where a document has its home patient, and where a deletion has it.
HOME, HOME_OF_DELETED = "p", "_sec.own"


class Clause(Protocol):
    """One condition on a document."""

    def as_filter(self) -> dict[str, Any] | None:
        """Return the MongoDB filter, or None when no document can match."""

    def admits(self, document: Mapping[str, Any]) -> bool:
        """Tell whether the condition holds for a document."""

    @property
    def is_positive(self) -> bool:
        """Tell whether a document without access keys fails it for certain."""


@dataclass(frozen=True, slots=True)
class Everything:
    """Holds for every document: for public types, and for a server in open mode."""

    is_positive = True

    def as_filter(self) -> dict[str, Any]:
        """Return the filter that restricts nothing."""
        return {}

    def admits(self, document: Mapping[str, Any]) -> bool:  # noqa: ARG002 (as every clause)
        """Tell that it holds."""
        return True


@dataclass(frozen=True, slots=True)
class Nothing:
    """Holds for no document."""

    is_positive = True

    def as_filter(self) -> None:
        """Return None: there is no query to ask."""

    def admits(self, document: Mapping[str, Any]) -> bool:  # noqa: ARG002 (as every clause)
        """Tell that it doesn't hold."""
        return False


@dataclass(frozen=True, slots=True)
class AnyOf:
    """The field is, or as a list holds, one of the values."""

    field: str
    values: tuple[Any, ...]
    is_positive = True

    def as_filter(self) -> dict[str, Any]:
        """Return the equality, or the membership."""
        return {self.field: self.values[0] if len(self.values) == 1 else {"$in": list(self.values)}}

    def admits(self, document: Mapping[str, Any]) -> bool:
        """Tell whether one of the values is there."""
        return any(value in self.values for value in _held(document, self.field))


@dataclass(frozen=True, slots=True)
class NoneOf:
    """The field is, or as a list holds, none of the values; or it is missing."""

    field: str
    values: tuple[Any, ...]
    is_positive = False

    def as_filter(self) -> dict[str, Any]:
        """Return the exclusion."""
        return {self.field: {"$nin": list(self.values)}}

    def admits(self, document: Mapping[str, Any]) -> bool:
        """Tell whether none of the values is there."""
        return not any(value in self.values for value in _held(document, self.field))


@dataclass(frozen=True, slots=True)
class AtMost:
    """The field is a number, and not greater than the limit."""

    field: str
    limit: int
    is_positive = True

    def as_filter(self) -> dict[str, Any]:
        """Return the comparison."""
        return {self.field: {"$lte": self.limit}}

    def admits(self, document: Mapping[str, Any]) -> bool:
        """Tell whether such a number is there."""
        return any(value <= self.limit for value in _numbers(document, self.field))


@dataclass(frozen=True, slots=True)
class AtLeast:
    """The field is a number, and not smaller than the limit."""

    field: str
    limit: int
    is_positive = True

    def as_filter(self) -> dict[str, Any]:
        """Return the comparison."""
        return {self.field: {"$gte": self.limit}}

    def admits(self, document: Mapping[str, Any]) -> bool:
        """Tell whether such a number is there."""
        return any(value >= self.limit for value in _numbers(document, self.field))


@dataclass(frozen=True, slots=True)
class Missing:
    """The document has no such field."""

    field: str
    is_positive = False

    def as_filter(self) -> dict[str, Any]:
        """Return the test for absence."""
        return {self.field: {"$exists": False}}

    def admits(self, document: Mapping[str, Any]) -> bool:
        """Tell whether the field is absent."""
        return not _held(document, self.field)


@dataclass(frozen=True, slots=True)
class Matching:
    """The document matches search criteria, which others have compiled to a filter and a predicate on index entries.

    Of versions in the history no entries are kept: they don't match.
    """

    name: str
    filter: Mapping[str, Any] = field(compare=False)
    predicate: Callable[[Mapping[str, Any]], bool] = field(compare=False)
    is_positive = True

    def as_filter(self) -> dict[str, Any]:
        """Return the filter, on documents that have index entries."""
        return {"$and": [{"i": {"$exists": True}}, dict(self.filter)]}

    def admits(self, document: Mapping[str, Any]) -> bool:
        """Tell whether the document has index entries and matches."""
        return "i" in document and self.predicate(document)


@dataclass(frozen=True, slots=True)
class Both:
    """All clauses hold."""

    clauses: tuple[Clause, ...]

    @property
    def is_positive(self) -> bool:
        """Tell whether one of the clauses is."""
        return any(clause.is_positive for clause in self.clauses)

    def as_filter(self) -> dict[str, Any]:
        """Return the conjunction."""
        return {"$and": [clause.as_filter() for clause in self.clauses]}

    def admits(self, document: Mapping[str, Any]) -> bool:
        """Tell whether all clauses hold."""
        return all(clause.admits(document) for clause in self.clauses)


@dataclass(frozen=True, slots=True)
class Either:
    """At least one of the clauses holds."""

    clauses: tuple[Clause, ...]

    @property
    def is_positive(self) -> bool:
        """Tell whether all of the clauses are."""
        return all(clause.is_positive for clause in self.clauses)

    def as_filter(self) -> dict[str, Any]:
        """Return the disjunction."""
        return {"$or": [clause.as_filter() for clause in self.clauses]}

    def admits(self, document: Mapping[str, Any]) -> bool:
        """Tell whether a clause holds."""
        return any(clause.admits(document) for clause in self.clauses)


@dataclass(frozen=True, slots=True)
class Unless:
    """The clause doesn't hold."""

    clause: Clause
    is_positive = False

    def as_filter(self) -> dict[str, Any]:
        """Return the negation."""
        return {"$nor": [self.clause.as_filter()]}

    def admits(self, document: Mapping[str, Any]) -> bool:
        """Tell whether the clause doesn't hold."""
        return not self.clause.admits(document)


EVERYTHING = Everything()
NOTHING = Nothing()


def any_of(field: str, values: Iterable[Any]) -> Clause:
    """Return that the field has one of the values; of no values: NOTHING."""
    chosen = tuple(dict.fromkeys(values))
    return AnyOf(field, chosen) if chosen else NOTHING


def none_of(field: str, values: Iterable[Any]) -> Clause:
    """Return that the field has none of the values; of no values: EVERYTHING."""
    chosen = tuple(dict.fromkeys(values))
    return NoneOf(field, chosen) if chosen else EVERYTHING


def both(*clauses: Clause) -> Clause:
    """Return that all clauses hold. Raises ValueError for no clauses: silence grants nothing."""
    if not clauses:
        raise ValueError("a conjunction of nothing would grant everything")
    if NOTHING in clauses:
        return NOTHING
    parts: list[Clause] = []
    for clause in clauses:
        parts += clause.clauses if isinstance(clause, Both) else [clause]
    needed = tuple(dict.fromkeys(part for part in parts if part != EVERYTHING))
    return Both(needed) if len(needed) > 1 else needed[0] if needed else EVERYTHING


def either(*clauses: Clause) -> Clause:
    """Return that one of the clauses holds; of no clauses: NOTHING."""
    if EVERYTHING in clauses:
        return EVERYTHING
    parts: list[Clause] = []
    for clause in clauses:
        parts += clause.clauses if isinstance(clause, Either) else [clause]
    possible = tuple(dict.fromkeys(part for part in parts if part != NOTHING))
    return Either(possible) if len(possible) > 1 else possible[0] if possible else NOTHING


def unless(clause: Clause) -> Clause:
    """Return that the clause doesn't hold."""
    if clause == EVERYTHING:
        return NOTHING
    if clause == NOTHING:
        return EVERYTHING
    return clause.clause if isinstance(clause, Unless) else Unless(clause)


def grants(clause: Clause) -> Clause:
    """Return the clause as a whole policy; raises ValueError when a document without keys would pass it."""
    if not clause.is_positive:
        raise ValueError("a policy of exclusions would also show documents that have no access keys")
    return clause


def of_deletions(condition: Any) -> Any:
    """Return a filter as it has to be to find the deletions that it admits."""
    if isinstance(condition, Mapping):
        return {HOME_OF_DELETED if k == HOME else k: of_deletions(v) for k, v in condition.items()}
    return list(map(of_deletions, condition)) if isinstance(condition, list) else condition


def _numbers(document: Mapping[str, Any], field: str) -> Iterator[int]:
    # Large ones come from the database as a type of its own, below int; true and false are no numbers there.
    return (
        value
        for value in _held(document, field)
        if isinstance(value, int) and value is not True and value is not False
    )


def _held(document: Mapping[str, Any], field: str) -> tuple[Any, ...]:
    """Return the values of a dotted field; none when it is missing.

    The home patient of a deletion stands in ``_sec.own``, so that no index of living documents has it.
    """
    if field == HOME and field not in document:
        field = HOME_OF_DELETED
    value: Any = document
    for name in field.split("."):
        if not isinstance(value, Mapping) or name not in value:
            return ()
        value = value[name]
    return tuple(value) if isinstance(value, list | tuple) else (value,)
