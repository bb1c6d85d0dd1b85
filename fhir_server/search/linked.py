"""What a chain or a ``_has`` asks another search, and how the question is narrowed to resources that are known.

https://hl7.org/fhir/R4/search.html#chaining, https://hl7.org/fhir/R4/search.html#has
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from fhir_server.search.combining import And, Never, Or, all_of, any_of
from fhir_server.search.containment import holding
from fhir_server.search.expression import Equal, Expression, texts
from fhir_server.search.lookups import Open
from fhir_server.search.search_parameter import Parameter

if TYPE_CHECKING:  # sorting knows queries, which know this
    from fhir_server.search.sorting import Row


@dataclass(frozen=True, slots=True)
class Inside:
    """The same question to contained resources: which resources of ``holder`` have a match inside themselves?

    ``parameter`` is the name of the reference that leads there. ``among`` are the only holders asked about, None: all.
    """

    holder: str
    parameter: str
    among: tuple[str, ...] | None = None

    def criterion(self, type_: str, inner: Expression) -> Expression:
        """Return the expression on the holder."""
        held = holding(type_, inner, self.parameter)
        return held if self.among is None else all_of([Equal("_id", self.among), held])


@dataclass(frozen=True, slots=True)
class Back:
    """The way of a ``_has``: from the resources of ``outer`` back to the inner matches by their reference."""

    outer: str
    parameter: Parameter


@dataclass(frozen=True, slots=True)
class Linked:
    """Which values do the matches of an inner search have in ``field``?

    ``is_canonical``: ``field`` holds canonicals, or belongs to resources that are found by theirs; values are then
    arrays as they stand, (url, version) for the fields URL_AND_VERSION. ``clause`` names the parameter in refusals.
    ``back`` is there for a ``_has``, ``reference`` for a chain along references. ``among`` are the only resources
    asked about, None: all.
    """

    clause: str
    type: str
    expression: Expression = field(repr=False)
    field: str
    is_canonical: bool = False
    inside: Inside | None = None
    back: Back | None = None
    reference: Parameter | None = None
    among: tuple[str, ...] | None = None

    @property
    def criterion(self) -> Expression:
        """The expression on the inner search's type."""
        return self.expression if self.among is None else all_of([Equal("_id", self.among), self.expression])


@dataclass(frozen=True, slots=True)
class Answer:
    """The distinct values, and the ids of resources that hold a match inside themselves."""

    values: tuple[Any, ...] = ()
    holders: tuple[str, ...] = ()


#: What a canonical reference points to: the fields of the inner search's matches.
URL_AND_VERSION = "url,version"


def refers_to(parameter: Parameter, type_: str, ids: Sequence[str]) -> Expression:
    """Return the expression of references to one of these resources of this server."""
    if not ids:
        return Never()
    if parameter.at_home and type_ == "Patient":
        return Equal("p", tuple(ids))
    return Equal(parameter.field, tuple(f"{type_}/{id_}" for id_ in ids))


def narrowed(expression: Expression) -> Expression:
    """Return the criteria with each ``_has`` asked only about the resources that ``_id`` names anyway."""
    operands = expression.operands if isinstance(expression, And) else (expression,)
    named = [one.values for one in operands if isinstance(one, Equal) and one.field == "_id"]
    if not named:
        return expression
    return all_of(_narrow(operand, named[0]) for operand in operands)


def _narrow(operand: Expression, ids: Sequence[str]) -> Expression:
    if not isinstance(operand, Open) or not isinstance(operand.question, Linked):
        return operand
    return replace(operand, question=_back_to(operand.question, ids))


def _back_to(question: Linked, ids: Sequence[str]) -> Linked:
    """Return the question of a ``_has`` about the resources with these ids only."""
    if question.back is None:
        return question
    reference = refers_to(question.back.parameter, question.back.outer, ids)
    return replace(question, expression=all_of([reference, question.expression]), back=None)


def can_be_asked_about(expression: Expression) -> bool:
    """Tell whether ``asked_about`` narrows every question of an expression."""
    if isinstance(expression, And | Or):
        return all(can_be_asked_about(operand) for operand in expression.operands)
    if not isinstance(expression, Open):
        return True
    question = expression.question
    return (
        isinstance(question, Linked)
        and not question.is_canonical
        and (question.back is not None or question.reference is not None)
    )


def asked_about(expression: Expression, rows: Sequence[Row]) -> Expression:
    """Return the expression with each question asked only about these rows, which have the fields ``i`` and ``p``."""
    if isinstance(expression, And):
        return all_of(asked_about(operand, rows) for operand in expression.operands)
    if isinstance(expression, Or):
        return any_of(asked_about(operand, rows) for operand in expression.operands)
    if not isinstance(expression, Open) or not isinstance(expression.question, Linked):
        return expression
    question, ids = expression.question, tuple(row.id for row in rows)
    if question.reference is not None:
        targets = tuple(dict.fromkeys(_targets(question.reference, question.type, rows)))
        inside = question.inside and replace(question.inside, among=ids)
        return replace(expression, question=replace(question, among=targets, inside=inside, reference=None))
    return replace(expression, question=_back_to(question, ids))


def _targets(reference: Parameter, type_: str, rows: Sequence[Row]) -> Iterable[str]:
    """Yield the ids of the resources of a type that rows refer to."""
    prefix = f"{type_}/"
    for row in rows:
        if reference.at_home and type_ == "Patient" and "p" in row.fields:
            yield row.fields["p"]
        for text in texts(row.fields, reference.field):
            if text.startswith(prefix):
                yield text[len(prefix) :]
