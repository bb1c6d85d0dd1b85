"""AND, OR and NOT of criteria, and what matches nothing: https://hl7.org/fhir/R4/search.html#combining."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from fhir_server.search.expression import Document, Equal, Expression, Filter


@dataclass(frozen=True, slots=True)
class Never(Expression):
    """Matches nothing: a well-formed value that can't be in the store."""

    def filter(self) -> Filter:
        """Return a filter that no document passes."""
        return {"_id": {"$in": []}}

    def matches(self, document: Document) -> bool:  # noqa: ARG002 (the answer is the same for all)
        """Return False."""
        return False


@dataclass(frozen=True, slots=True)
class And(Expression):
    """All operands; none at all means every document."""

    operands: tuple[Expression, ...] = ()

    def filter(self) -> Filter:
        """Return the conjunction; operands on different fields share one level."""
        filters = [operand.filter() for operand in self.operands]
        merged: Filter = {}
        for one in filters:
            if merged.keys() & one.keys():
                return {"$and": filters}
            merged.update(one)
        return merged

    def matches(self, document: Document) -> bool:
        """Tell whether all operands match."""
        return all(operand.matches(document) for operand in self.operands)


@dataclass(frozen=True, slots=True)
class Or(Expression):
    """At least one of two or more operands."""

    operands: tuple[Expression, ...]

    def filter(self) -> Filter:
        """Return the disjunction."""
        return {"$or": [operand.filter() for operand in self.operands]}

    def matches(self, document: Document) -> bool:
        """Tell whether one operand matches."""
        return any(operand.matches(document) for operand in self.operands)


@dataclass(frozen=True, slots=True)
class Not(Expression):
    """The complement, documents without a value included."""

    operand: Expression

    def filter(self) -> Filter:
        """Return the negation."""
        return {"$nor": [self.operand.filter()]}

    def matches(self, document: Document) -> bool:
        """Tell whether the operand does not match."""
        return not self.operand.matches(document)


def any_of(operands: Iterable[Expression]) -> Expression:
    """Return the disjunction without operands that never match; equalities on one field become one."""
    operands = tuple(operands)
    if len(operands) == 1:
        return operands[0]
    equal: dict[str, tuple[str, ...]] = {}
    others: list[Expression] = []
    for operand in operands:
        if isinstance(operand, Equal):
            equal[operand.field] = (*equal.get(operand.field, ()), *operand.values)
        elif not isinstance(operand, Never):
            others.append(operand)
    merged = [Equal(field, tuple(dict.fromkeys(values))) for field, values in equal.items()]
    kept = tuple(dict.fromkeys([*merged, *others]))
    return kept[0] if len(kept) == 1 else Or(kept) if kept else Never()


def all_of(operands: Iterable[Expression]) -> Expression:
    """Return the conjunction, flat and without repetition; Never when an operand never matches."""
    flat: list[Expression] = []
    for operand in operands:
        flat += operand.operands if isinstance(operand, And) else (operand,)
    kept = tuple(dict.fromkeys(flat))
    if any(isinstance(operand, Never) for operand in kept):
        return Never()
    return kept[0] if len(kept) == 1 else And(kept)
