"""Boolean operators: https://hl7.org/fhirpath/N1/#boolean-logic."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from fhir_server.fhirpath.generation.paths import all_of, any_of, exists, exists_alt, opened_item
from fhir_server.fhirpath.generation.shapes import Alt, Bool, Shape, Unsupported, Val, definite, family
from fhir_server.fhirpath.tree import Binary

if TYPE_CHECKING:
    from fhir_server.fhirpath.generation.emitter import Emitter

Operator = Callable[["Emitter", Binary, Alt], Shape]


def as_truth(emitter: Emitter, shape: Shape) -> Bool:
    """Return a shape as truth value: a single item that isn't boolean counts as true."""
    if isinstance(shape, Bool):
        return shape
    if isinstance(shape, Val):
        if family(shape.type) == "boolean":
            return Bool(f"({shape.value} is True)", f"({shape.value} is False)")
        return exists(emitter, shape) if shape.nullable else definite("True")
    if shape.many:
        raise Unsupported
    true, false = [], []
    for alt in shape.alts:
        if family(alt.type) != "boolean":
            true.append(exists_alt(emitter, alt))
        elif alt.clauses:
            raise Unsupported
        else:
            value = f"{alt.owner}.get({alt.key!r})" if alt.owner else opened_item(emitter, alt).value
            true.append(f"({value} is True)")
            false.append(f"({value} is False)")
    return Bool(any_of(true), any_of(false))


def _and(emitter: Emitter, tree: Binary, focus: Alt) -> Bool:
    left, right = emitter.truth(tree.left, focus), emitter.truth(tree.right, focus)
    return Bool(
        all_of(left.true, right.true), any_of([left.false, right.false]), left.definite and right.definite
    )


def _or(emitter: Emitter, tree: Binary, focus: Alt) -> Bool:
    left, right = emitter.truth(tree.left, focus), emitter.truth(tree.right, focus)
    return Bool(
        any_of([left.true, right.true]), all_of(left.false, right.false), left.definite and right.definite
    )


def _implies(emitter: Emitter, tree: Binary, focus: Alt) -> Bool:
    left, right = emitter.truth(tree.left, focus), emitter.truth(tree.right, focus)
    return Bool(
        any_of([left.false, right.true]), all_of(left.true, right.false), left.definite and right.definite
    )


def _xor(emitter: Emitter, tree: Binary, focus: Alt) -> Bool:
    return unequal(emitter.truth(tree.left, focus), emitter.truth(tree.right, focus))


def unequal(left: Bool, right: Bool) -> Bool:
    """Return whether two truth values differ."""
    if left.definite and right.definite and {left.true, right.true}.isdisjoint({"True", "False"}):
        return Bool(f"({left.true} != {right.true})", f"({left.true} == {right.true})", definite=True)
    return Bool(
        any_of([all_of(left.true, right.false), all_of(left.false, right.true)]),
        any_of([all_of(left.true, right.true), all_of(left.false, right.false)]),
    )


OPERATORS: dict[str, Operator] = {"and": _and, "or": _or, "implies": _implies, "xor": _xor}
