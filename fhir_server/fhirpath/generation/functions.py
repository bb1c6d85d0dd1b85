"""Functions of generated expressions, by name and number of arguments; all others go to the interpreter."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from fhir_server.fhirpath.generation import paths, strings
from fhir_server.fhirpath.generation.paths import any_of, as_collection, exists, opened_item
from fhir_server.fhirpath.generation.shapes import (
    UNKNOWN,
    Alt,
    Bool,
    Coll,
    Shape,
    Unsupported,
    Val,
    definite,
    family,
)
from fhir_server.fhirpath.generation.types import is_type, of_type
from fhir_server.fhirpath.tree import Call, Literal, Tree, type_specifier

if TYPE_CHECKING:
    from fhir_server.fhirpath.generation.emitter import Emitter

Function = Callable[["Emitter", Call, Alt], Shape]


def _source(emitter: Emitter, call: Call, focus: Alt) -> Coll:
    return emitter.collection(call.source, focus)


def _exists(emitter: Emitter, call: Call, focus: Alt) -> Bool:
    if call.source is None:
        return exists(emitter, Coll((focus,)))
    return exists(emitter, emitter.compile(call.source, focus))


def _empty(emitter: Emitter, call: Call, focus: Alt) -> Bool:
    there = _exists(emitter, call, focus)
    return Bool(there.false, there.true, definite=True)


def _exists_where(emitter: Emitter, call: Call, focus: Alt) -> Bool:
    return exists(emitter, _where(emitter, call, focus))


def _not(emitter: Emitter, call: Call, focus: Alt) -> Bool:
    if call.source is None:
        raise Unsupported
    truth = emitter.truth(call.source, focus)
    return Bool(truth.false, truth.true, truth.definite)


def _count(emitter: Emitter, call: Call, focus: Alt) -> Val:
    if isinstance(call.source, Call) and call.source.name == "children":
        source = emitter.collection(call.source.source, focus)
        if len(source.alts) == 1 and not source.many:
            owner = paths.opened(emitter, source.alts[0])
            if not owner.clauses:
                return Val(f"count_children({owner.value})", "Integer", nullable=False)
    return paths.count(emitter, _source(emitter, call, focus))


def _where(emitter: Emitter, call: Call, focus: Alt) -> Coll:
    return _filtered(emitter, _source(emitter, call, focus), call.arguments[0], lambda truth: truth.true)


def _filtered(emitter: Emitter, source: Coll, criterion: Tree, wanted: Callable[[Bool], str]) -> Coll:
    found = []
    for alt in source.alts:
        item = opened_item(emitter, alt)
        scope = emitter.scope()
        try:
            condition = wanted(emitter.truth(criterion, replace(item, clauses=(), guard="", many=False)))
        finally:
            emitter.close()
        hoists = [f"for {name} in ({expression},)" for expression, name in scope.items()]
        if condition != "False":
            clauses = (*hoists, *item.clauses, *([f"if {condition}"] if condition != "True" else []))
            found.append(replace(item, clauses=clauses))
    return Coll(tuple(found), source.union, source.exclusive)


def _all(emitter: Emitter, call: Call, focus: Alt) -> Bool:
    source = _source(emitter, call, focus)
    failing = _filtered(emitter, source, call.arguments[0], lambda truth: f"(not {truth.true})")
    there = exists(emitter, failing)
    return Bool(there.false, there.true, definite=True)


def _select(emitter: Emitter, call: Call, focus: Alt) -> Coll:
    source = _source(emitter, call, focus)
    found: list[Alt] = []
    for alt in source.alts:
        item = opened_item(emitter, alt)
        projected = emitter.collection(call.arguments[0], replace(item, clauses=(), guard="", many=False))
        found += [
            replace(p, clauses=(*item.clauses, *p.clauses), many=item.many or p.many, guard=item.guard)
            for p in projected.alts
        ]
    if len(source.alts) > 1 and len(found) > len(source.alts):
        raise Unsupported
    return Coll(tuple(found), source.union, source.exclusive and len(found) <= 1)


def _first(emitter: Emitter, call: Call, focus: Alt) -> Coll:
    return nth(emitter, _source(emitter, call, focus), 0)


def nth(emitter: Emitter, source: Coll, index: int) -> Coll:
    """Return the item at a position."""
    if not source.many:
        return source if index == 0 else Coll(())
    return _sliced(emitter, source, f"[{index}:{index + 1}]", many=False)


def _sliced(emitter: Emitter, source: Coll, cut: str, *, many: bool) -> Coll:
    if len(source.alts) != 1 or source.union:
        raise Unsupported
    [alt] = source.alts
    variable = emitter.variable()
    if alt.owner and alt.is_list and not alt.clauses and not paths.is_primitive(emitter, alt.type):
        listed = f"{alt.owner}.get({alt.key!r}, ()){cut}"
        guard = f"({alt.key!r} in {alt.owner})"
    else:
        listed, guard = f"{paths.items_alt(emitter, alt)}{cut}", alt.guard
    clause = f"for {variable} in {listed}"
    return Coll(
        (Alt(alt.type, (clause,), value=variable, many=many, guard=guard, dynamic=alt.dynamic and UNKNOWN),)
    )


def _tail(emitter: Emitter, call: Call, focus: Alt) -> Coll:
    source = _source(emitter, call, focus)
    return _sliced(emitter, source, "[1:]", many=True) if source.many else Coll(())


def _is_distinct(emitter: Emitter, call: Call, focus: Alt) -> Bool:
    source = _source(emitter, call, focus)
    if not source.many or source.union:
        return definite("True")
    listed = paths.items(emitter, source)
    guards = {a.guard for a in source.alts}
    if len(source.alts) == 1 and guards != {""}:
        return definite(f"(not {guards.pop()} or is_distinct({listed}))")
    return definite(f"is_distinct({listed})")


def _combine(emitter: Emitter, call: Call, focus: Alt) -> Coll:
    left = _source(emitter, call, focus)
    right = emitter.collection(call.arguments[0], focus)
    if left.union or right.union:
        raise Unsupported
    return Coll((*left.alts, *right.alts), exclusive=False)


def _intersect(emitter: Emitter, call: Call, focus: Alt) -> Coll:
    left = _source(emitter, call, focus)
    right = emitter.collection(call.arguments[0], focus)
    types = {a.type for a in (*left.alts, *right.alts)}
    if len(types) != 1 or family(next(iter(types))) not in {"string", "complex"}:
        raise Unsupported
    variable = emitter.variable()
    other = emitter.hoisted(paths.items(emitter, right))
    clause = f"for {variable} in intersect({paths.items(emitter, left)}, {other})"
    return Coll((Alt(types.pop(), (clause,), value=variable, many=True),))


def _trace(emitter: Emitter, call: Call, focus: Alt) -> Shape:
    return emitter.compile(call.source, focus) if call.source is not None else Coll((focus,))


def _has_value(emitter: Emitter, call: Call, focus: Alt) -> Bool:
    source = _source(emitter, call, focus)
    if source.many:
        raise Unsupported
    conditions = []
    for alt in source.alts:
        if alt.type == UNKNOWN:
            raise Unsupported
        if not paths.is_primitive(emitter, alt.type):
            continue
        if alt.clauses:
            raise Unsupported
        conditions.append(f"({alt.key!r} in {alt.owner})" if alt.owner else f"({alt.value} is not None)")
    return definite(any_of(conditions))


def _is(emitter: Emitter, call: Call, focus: Alt) -> Bool:
    name = type_specifier(call.arguments[0])
    if name is None:
        raise Unsupported
    return is_type(emitter, _source(emitter, call, focus), name)


def _of_type(emitter: Emitter, call: Call, focus: Alt) -> Coll:
    name = type_specifier(call.arguments[0])
    if name is None:
        raise Unsupported
    return of_type(emitter, _source(emitter, call, focus), name)


def _children(emitter: Emitter, call: Call, focus: Alt) -> Coll:
    found: list[Alt] = []
    source = _source(emitter, call, focus)
    for alt in source.alts:
        info = emitter.types.type(alt.type)
        if info is None or info.is_abstract or info.kind == "primitive-type":
            raise Unsupported
        for name in info.elements:
            found += paths.step(emitter, Coll((alt,)), name).alts
    return Coll(tuple(found), exclusive=False)


def _descendants(emitter: Emitter, call: Call, focus: Alt) -> Coll:
    source = _source(emitter, call, focus)
    found = []
    for alt in source.alts:
        if alt.type == UNKNOWN or paths.is_primitive(emitter, alt.type):
            raise Unsupported
        item = opened_item(emitter, alt)
        walk = emitter.hoisted(f"walk({item.value}, {alt.type!r})")
        kind, variable = emitter.variable(), emitter.variable()
        clause = f"for {kind}, {variable} in {walk}"
        found.append(
            Alt(UNKNOWN, (*item.clauses, clause), value=variable, many=True, guard=item.guard, dynamic=kind)
        )
    return Coll(tuple(found), exclusive=False)


def _extension(emitter: Emitter, call: Call, focus: Alt) -> Coll:
    [argument] = call.arguments
    if not (isinstance(argument, Literal) and isinstance(argument.value, str)):
        raise Unsupported
    found = []
    for alt in paths.step(emitter, _source(emitter, call, focus), "extension").alts:
        item = opened_item(emitter, alt)
        found.append(item.with_clauses(f"if {item.value}.get('url') == {argument.value!r}"))
    return Coll(tuple(found), exclusive=False)


def _has_extension(emitter: Emitter, call: Call, focus: Alt) -> Bool:
    return exists(emitter, _extension(emitter, call, focus))


def _iif(emitter: Emitter, call: Call, focus: Alt) -> Bool:
    if call.source is not None:
        raise Unsupported
    condition = emitter.truth(call.arguments[0], focus)
    then = emitter.truth(call.arguments[1], focus)
    otherwise = emitter.truth(call.arguments[2], focus) if len(call.arguments) > 2 else Bool("False", "False")
    return Bool(
        f"({then.true} if {condition.true} else {otherwise.true})",
        f"({then.false} if {condition.true} else {otherwise.false})",
    )


FUNCTIONS: dict[tuple[str, int], Function] = {
    ("exists", 0): _exists,
    ("exists", 1): _exists_where,
    ("empty", 0): _empty,
    ("not", 0): _not,
    ("count", 0): _count,
    ("where", 1): _where,
    ("all", 1): _all,
    ("select", 1): _select,
    ("first", 0): _first,
    ("tail", 0): _tail,
    ("isDistinct", 0): _is_distinct,
    ("combine", 1): _combine,
    ("intersect", 1): _intersect,
    ("trace", 1): _trace,
    ("trace", 2): _trace,
    ("hasValue", 0): _has_value,
    ("is", 1): _is,
    ("as", 1): _of_type,
    ("ofType", 1): _of_type,
    ("children", 0): _children,
    ("descendants", 0): _descendants,
    ("extension", 1): _extension,
    ("hasExtension", 1): _has_extension,
    ("iif", 2): _iif,
    ("iif", 3): _iif,
    **strings.FUNCTIONS,
}

__all__ = ["FUNCTIONS", "as_collection", "is_type", "nth", "of_type"]
