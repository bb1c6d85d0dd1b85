"""Questions that a query can't answer from its own text, and the query again with the answers.

Pure search asks, it does not call: an ``Open`` criterion stands where the codes of a value set, the ids of
another search or the branches of a hierarchy belong. Whoever runs the search answers all questions of a round
and puts the answers in; a closed expression has no ``Open`` in it.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from typing import Any

from fhir_server.outcome import error
from fhir_server.search.combining import And, Never, Not, Or, all_of, any_of
from fhir_server.search.expression import Document, Elements, Expression, Filter

Question = Hashable
"""A frozen dataclass; its type says how it is answered and what the answer looks like."""


@dataclass(frozen=True, slots=True)
class ValueSetCodes:
    """Which codes are in a value set? Answer: (system, code) pairs, of large sets those that are in use.

    ``type`` and ``field`` tell where: the index entries ``code|hash of the system`` of a parameter.
    """

    parameter: str
    url: str
    type: str
    field: str


@dataclass(frozen=True, slots=True)
class RelatedCodes:
    """Which codes does a code subsume (below), or which subsume it (above), itself included?

    Answer: codes, of large hierarchies those that are in use in ``type`` and ``field``.
    """

    parameter: str
    system: str
    code: str
    #: "above" or "below".
    direction: str
    type: str
    field: str


@dataclass(frozen=True, slots=True)
class RelatedResources:
    """Which resources of a type are above or below one, by the reference parameter that names the parent?

    Answer: ids, the resource's own included.
    """

    type: str
    id: str
    parent: str
    #: "above" or "below".
    direction: str


@dataclass(frozen=True, slots=True)
class ListedResources:
    """Which resources of a type does a List hold? Answer: ids."""

    list_id: str
    type: str


@dataclass(frozen=True, slots=True)
class TypesOfId:
    """Of which of these types does a resource with this id exist? Answer: type names."""

    parameter: str
    id: str
    types: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Open(Expression):
    """A criterion that waits for an answer; ``close`` makes the expression from it."""

    question: Question
    close: Callable[[Any], Expression]

    def filter(self) -> Filter:
        """Refuse: without an answer there is no filter (a caller that answers no questions)."""
        raise error("not-supported", f"A {self._kind} can't be looked up in this interaction.", status=400)

    def matches(self, document: Document) -> bool:  # noqa: ARG002 (no document has the answer)
        """Refuse, as ``filter`` does."""
        raise error("not-supported", f"A {self._kind} can't be looked up in this interaction.", status=400)

    @property
    def _kind(self) -> str:
        return type(self.question).__name__


def questions(expression: Expression) -> tuple[Question, ...]:
    """Return the questions of an expression, each once."""
    found: dict[Question, None] = {}
    waiting = [expression]
    while waiting:
        node = waiting.pop()
        if isinstance(node, Open):
            found[node.question] = None
        elif isinstance(node, And | Or):
            waiting += node.operands
        elif isinstance(node, Not):
            waiting.append(node.operand)
        elif isinstance(node, Elements):
            waiting.append(node.inner)
    return tuple(found)


def closed(expression: Expression, answers: Mapping[Question, Any]) -> Expression:
    """Return the expression with the answers in it; those may raise further questions."""
    if isinstance(expression, Open):
        return expression.close(answers[expression.question])
    if isinstance(expression, And):
        return all_of(closed(operand, answers) for operand in expression.operands)
    if isinstance(expression, Or):
        return any_of(closed(operand, answers) for operand in expression.operands)
    if isinstance(expression, Not):
        return Not(closed(expression.operand, answers))
    if isinstance(expression, Elements):
        inner = closed(expression.inner, answers)
        return inner if isinstance(inner, Never) else Elements(expression.field, inner)
    return expression
