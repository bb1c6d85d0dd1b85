"""Equality, order, membership, union, arithmetic and concatenation of generated expressions.

https://hl7.org/fhirpath/N1/#operations
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from fhir_server.datatypes.temporal import Temporal
from fhir_server.fhirpath.generation import paths
from fhir_server.fhirpath.generation.logic import unequal
from fhir_server.fhirpath.generation.paths import all_of, any_of
from fhir_server.fhirpath.generation.shapes import UNKNOWN, Alt, Bool, Coll, Shape, Unsupported, Val, family
from fhir_server.fhirpath.tree import Binary

if TYPE_CHECKING:
    from fhir_server.fhirpath.generation.emitter import Emitter

Operator = Callable[["Emitter", Binary, Alt], Shape]
_COMPARERS = {"date": "compare_dates", "time": "compare_times", "quantity": "compare_quantities"}


@dataclass(frozen=True, slots=True)
class _Single:
    """A single item: the condition that there is one, its value (None without) and its type."""

    exists: str
    value: str
    type: str

    @property
    def nullable(self) -> bool:
        """Tell whether the value can be None: there is no item, or a FHIR primitive without value."""
        return self.exists != "True" or self.type[:1].islower() or self.type == UNKNOWN


def system_type(value: Any) -> str:
    """Return the System type of a literal that isn't a plain Python value."""
    if isinstance(value, Decimal):
        return "Decimal"
    if isinstance(value, Temporal):
        return {"date": "Date", "dateTime": "DateTime", "time": "Time"}[value.kind]
    return "System.Quantity"


def _singles(emitter: Emitter, shape: Shape) -> list[_Single]:
    if isinstance(shape, Val):
        return [
            _Single(f"({shape.value} is not None)" if shape.nullable else "True", shape.value, shape.type)
        ]
    if isinstance(shape, Bool):
        raise Unsupported
    if shape.many:
        raise Unsupported
    found = []
    for alt in shape.alts:
        if alt.clauses:
            listed = paths.items_alt(emitter, alt)
            found.append(_Single(f"bool({listed})", f"first({listed})", alt.type))
        else:
            value = f"{alt.owner}.get({alt.key!r})" if alt.owner else alt.value
            found.append(_Single(paths.exists_alt(emitter, alt), value, alt.type))
    return found


def _pairs(left: list[_Single], right: list[_Single]) -> list[tuple[_Single, _Single]]:
    return [(a, b) for a in left for b in right]


def _equal_pair(left: _Single, right: _Single) -> tuple[str, str]:
    """Return the conditions that two items are equal and that they are not."""
    kinds = {family(left.type), family(right.type)}
    both = all_of(left.exists, right.exists)
    if len(kinds) > 1 and UNKNOWN not in kinds:
        return "False", both
    kind = kinds.pop() if len(kinds) == 1 else UNKNOWN
    if kind in _COMPARERS:
        compared = f"{_COMPARERS[kind]}({left.value}, {right.value})"
        return f"({compared} == 0)", all_of(both, f"({compared} in NOT_ZERO)")
    equal = f"({left.value} == {right.value})"
    literal = "True" in {left.exists, right.exists}
    return (equal if literal else all_of(both, equal)), all_of(both, f"(not {equal})")


def _equal(emitter: Emitter, tree: Binary, focus: Alt) -> Bool:
    left, right = emitter.compile(tree.left, focus), emitter.compile(tree.right, focus)
    if isinstance(left, Bool) and isinstance(right, Bool):
        differs = unequal(left, right)
        return Bool(differs.false, differs.true, differs.definite)
    if isinstance(left, Bool) or isinstance(right, Bool):
        truth, other = (left, right) if isinstance(left, Bool) else (right, left)
        assert isinstance(truth, Bool)
        return _equal_truth(emitter, truth, other)
    if (isinstance(left, Coll) and left.many) or (isinstance(right, Coll) and right.many):
        return _equal_lists(emitter, left, right)
    results = [_equal_pair(a, b) for a, b in _pairs(_singles(emitter, left), _singles(emitter, right))]
    return Bool(any_of(r[0] for r in results), any_of(r[1] for r in results))


def _equal_truth(emitter: Emitter, truth: Bool, other: Shape) -> Bool:
    """Compare a truth value with a path: an item that isn't boolean differs from it."""
    true, false = [], []
    for single in _singles(emitter, other):
        if family(single.type) == "boolean":
            value = Bool(f"({single.value} is True)", f"({single.value} is False)")
            differs = unequal(truth, value)
            true.append(differs.false)
            false.append(differs.true)
        else:
            false.append(all_of(single.exists, any_of([truth.true, truth.false])))
    return Bool(any_of(true), any_of(false))


def _equal_lists(emitter: Emitter, left: Shape, right: Shape) -> Bool:
    types = {a.type for s in (left, right) for a in paths.as_collection(emitter, s).alts}
    if {family(t) for t in types} not in ({"string"}, {"number"}, {"string", UNKNOWN}):
        raise Unsupported
    compared = f"lists_equal({paths.items(emitter, left)}, {paths.items(emitter, right)})"
    return Bool(f"({compared} is True)", f"({compared} is False)")


def _not_equal(emitter: Emitter, tree: Binary, focus: Alt) -> Bool:
    equal = _equal(emitter, tree, focus)
    return Bool(equal.false, equal.true, equal.definite)


def _ordered(operator: str) -> Operator:
    def compile_order(emitter: Emitter, tree: Binary, focus: Alt) -> Bool:
        left = _singles(emitter, emitter.compile(tree.left, focus))
        right = _singles(emitter, emitter.compile(tree.right, focus))
        true, false = [], []
        for a, b in _pairs(left, right):
            kinds = {family(a.type), family(b.type)}
            if len(kinds) > 1 or not kinds <= {"string", "number", *_COMPARERS}:
                raise Unsupported
            kind = kinds.pop()
            if kind in _COMPARERS:
                compared = f"{_COMPARERS[kind]}({a.value}, {b.value})"
                true.append(f"({compared} in {_RESULTS[operator]})")
                false.append(f"({compared} in {_RESULTS[_OPPOSITE[operator]]})")
                continue
            given = [f"{s.value} is not None" for s in (a, b) if s.nullable]
            true.append(all_of(*given, f"({a.value} {operator} {b.value})"))
            false.append(all_of(*given, f"(not {a.value} {operator} {b.value})"))
        return Bool(any_of(true), any_of(false))

    return compile_order


_OPPOSITE = {"<": ">=", ">=": "<", ">": "<=", "<=": ">"}
_RESULTS = {"<": "(-1,)", ">": "(1,)", "<=": "(-1, 0)", ">=": "(0, 1)"}


def _in(emitter: Emitter, tree: Binary, focus: Alt) -> Bool:
    return _membership(emitter, emitter.compile(tree.left, focus), emitter.compile(tree.right, focus))


def _contains(emitter: Emitter, tree: Binary, focus: Alt) -> Bool:
    return _membership(emitter, emitter.compile(tree.right, focus), emitter.compile(tree.left, focus))


def _membership(emitter: Emitter, wanted: Shape, among: Shape) -> Bool:
    """Several wanted items must all be there, as in the reference implementation."""
    if isinstance(wanted, Bool) or isinstance(among, Bool):
        raise Unsupported
    pool = paths.as_collection(emitter, among)
    families = {family(a.type) for a in pool.alts}
    if not families <= {"string", "number", UNKNOWN}:
        raise Unsupported
    literal = all(not a.clauses and not a.owner and a.value[:1] in {"'", '"'} for a in pool.alts)
    if literal:
        source = emitter.constant(frozenset(ast_string(a.value) for a in pool.alts))
    else:
        source = emitter.hoisted(paths.items(emitter, Coll(pool.alts)))
    if isinstance(wanted, Coll) and wanted.many:
        listed = paths.items(emitter, Coll(wanted.alts))
        fits = f"all([w in {source} for w in {listed}])"
        present = paths.exists(emitter, wanted).true
        return Bool(all_of(present, fits), all_of(present, f"(not {fits})"))
    true, false = [], []
    for single in _singles(emitter, wanted):
        if family(single.type) not in {"string", "number", UNKNOWN}:
            raise Unsupported
        true.append(all_of(single.exists, f"({single.value} in {source})"))
        false.append(all_of(single.exists, f"({single.value} not in {source})"))
    return Bool(any_of(true), any_of(false))


def ast_string(source: str) -> str:
    """Return the string whose repr is ``source``."""
    import ast  # noqa: PLC0415 - only while compiling

    return str(ast.literal_eval(source))


def _union(emitter: Emitter, tree: Binary, focus: Alt) -> Coll:
    left, right = emitter.collection(tree.left, focus), emitter.collection(tree.right, focus)
    return Coll((*left.alts, *right.alts), union=True, exclusive=False)


def _one_value(emitter: Emitter, shape: Shape) -> Val:
    singles = _singles(emitter, shape)
    if not singles:
        return Val("None", UNKNOWN)
    if len(singles) != 1:
        raise Unsupported
    [single] = singles
    return Val(single.value, single.type, single.nullable)


def _plus(emitter: Emitter, tree: Binary, focus: Alt) -> Val:
    left = _one_value(emitter, emitter.compile(tree.left, focus))
    right = _one_value(emitter, emitter.compile(tree.right, focus))
    kinds = {family(left.type), family(right.type)}
    if kinds not in ({"string"}, {"number"}, {"string", UNKNOWN}):
        raise Unsupported
    given = [f"{v.value} is None" for v in (left, right) if v.nullable]
    total = f"({left.value} + {right.value})"
    if not given:
        return Val(total, left.type, nullable=False)
    return Val(f"(None if {' or '.join(given)} else {total})", left.type)


def _concatenate(emitter: Emitter, tree: Binary, focus: Alt) -> Val:
    parts = []
    for operand in (tree.left, tree.right):
        value = _one_value(emitter, emitter.compile(operand, focus))
        if family(value.type) not in {"string", UNKNOWN}:
            raise Unsupported
        parts.append(f"({value.value} or '')" if value.nullable else value.value)
    return Val(f"({' + '.join(parts)})", "String", nullable=False)


OPERATORS: dict[str, Operator] = {
    "=": _equal, "!=": _not_equal, "in": _in, "contains": _contains, "|": _union,
    "+": _plus, "&": _concatenate,
    **{operator: _ordered(operator) for operator in _OPPOSITE},
}  # fmt: skip


def one_value(emitter: Emitter, shape: Shape) -> Val:
    """Return the only item of a shape; raises Unsupported when it may have several or several types."""
    return _one_value(emitter, shape)
