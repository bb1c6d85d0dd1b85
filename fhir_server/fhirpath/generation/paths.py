"""Steps along a path, and the questions that can be asked about a collection."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from fhir_server.fhirpath.evaluation.items import json_keys
from fhir_server.fhirpath.generation.shapes import UNKNOWN, Alt, Bool, Coll, Shape, Unsupported, Val, definite

if TYPE_CHECKING:
    from fhir_server.fhirpath.generation.emitter import Emitter

_ABSTRACT = {"Resource", "DomainResource"}
_LOOP_VARIABLE = re.compile(r"\bv\d+\b")
_BOUND = re.compile(r"\bfor (v\d+)(?:, (v\d+))? in\b")


def is_primitive(emitter: Emitter, type_name: str) -> bool:
    """Tell whether a FHIR type is held in JSON as a plain value with a ``_name`` sibling."""
    info = emitter.types.type(type_name)
    return info is None or info.kind == "primitive-type"


def step(emitter: Emitter, source: Coll, name: str) -> Coll:
    """Return the children with a name; a name that no type has gives the empty collection and is recorded."""
    found: list[Alt] = []
    known = False
    for alt in source.alts:
        if alt.type == UNKNOWN:
            found.append(_step_unknown(emitter, alt, name))
            known = True
            continue
        element = _element(emitter, alt.type, name)
        if element is None:
            continue
        known = True
        owner = opened(emitter, alt)
        found += [
            Alt(
                type_,
                owner.clauses,
                owner.value,
                key,
                element.is_list,
                many=alt.many or element.is_list,
                guard=owner.guard,
            )
            for key, type_ in json_keys(emitter.types.type(alt.type), element).items()
            if type_
        ]
    if not known and source.alts:
        emitter.unknown.append(f"{'|'.join(dict.fromkeys(a.type for a in source.alts))}.{name}")
    return Coll(tuple(found), source.union, source.exclusive)


def _element(emitter: Emitter, type_name: str, name: str) -> Any | None:
    info = emitter.types.type(type_name)
    if info is None:
        return None
    if info.kind == "primitive-type" and name not in {"id", "extension"}:
        return None
    element = info.elements.get(name)
    if element is not None or type_name not in _ABSTRACT:
        return element
    # Any resource may stand here: the step is static only if all types that have the element hold it alike.
    known = [e for t in emitter.types.resource_types if (e := emitter.types.type(t).elements.get(name))]  # type: ignore[union-attr]
    if not known:
        return None
    if len({(e.is_list, tuple(e.json_keys().items())) for e in known}) > 1:
        raise Unsupported
    return known[0]


def _step_unknown(emitter: Emitter, alt: Alt, name: str) -> Alt:
    if not alt.dynamic:
        raise Unsupported
    item = opened_item(emitter, alt)
    kind, variable = emitter.variable(), emitter.variable()
    clause = f"for {kind}, {variable} in kids({item.dynamic}, {item.value}, {name!r})"
    return Alt(
        UNKNOWN,
        (*item.clauses, f"if {item.value}.__class__ is dict", clause),
        value=variable,
        many=True,
        guard=alt.guard,
        dynamic=kind,
    )


def opened(emitter: Emitter, alt: Alt) -> Alt:
    """Return the alternative with ``value`` the expression of the object whose children come next."""
    primitive = is_primitive(emitter, alt.type)
    if not alt.owner:
        if not primitive:
            return alt
        if not alt.sibling:
            raise Unsupported
        return replace(alt, value=alt.sibling)
    key = "_" + alt.key if primitive else alt.key
    if not alt.is_list:
        return replace(alt, owner="", key="", value=f"{alt.owner}.get({key!r}, NOTHING)")
    variable = emitter.variable()
    clause = f"for {variable} in {alt.owner}.get({key!r}, ())" + (f" if {variable}" if primitive else "")
    return Alt(
        alt.type,
        (*alt.clauses, clause),
        value=variable,
        many=True,
        guard=alt.guard or ("" if alt.clauses else f"({key!r} in {alt.owner})"),
    )


def opened_item(emitter: Emitter, alt: Alt) -> Alt:
    """Return the alternative with ``value`` a variable that is bound to each item in turn."""
    if not alt.owner:
        return alt
    primitive = is_primitive(emitter, alt.type)
    variable = emitter.variable()
    sibling = ""
    if alt.is_list:
        source = f"{alt.owner}.get({alt.key!r}, ())"
        if primitive:
            bare = f"{'_' + alt.key!r} not in {alt.owner}"
            source = f"({source} if {bare} else primitives({alt.owner}, {alt.key!r}))"
        clause = f"for {variable} in {source}"
    elif primitive:
        sibling = f"{alt.owner}.get({'_' + alt.key!r}, NOTHING)"
        clause = f"for {variable} in ({alt.owner}.get({alt.key!r}),) if {_present(emitter, alt)}"
    else:
        clause = f"for {variable} in ({alt.owner}.get({alt.key!r}),) if {variable} is not None"
    guard = alt.guard or ("" if alt.clauses else _present(emitter, alt))
    return Alt(alt.type, (*alt.clauses, clause), value=variable, sibling=sibling, many=alt.many, guard=guard)


def _present(emitter: Emitter, alt: Alt) -> str:
    here = f"({alt.key!r} in {alt.owner})"
    if is_primitive(emitter, alt.type):
        return f"({here} or {'_' + alt.key!r} in {alt.owner})"
    return here


def comprehension(result: str, clauses: Iterable[str]) -> str:
    """Return a list comprehension; clauses may begin with a condition."""
    parts = list(clauses)
    if parts and not parts[0].startswith("for "):
        parts.insert(0, "for _ in ONE")
    return f"[{result} {' '.join(parts)}]" if parts else f"[{result}]"


def any_of(conditions: Iterable[str]) -> str:
    """Return a condition that holds when one of these does."""
    kept = [c for c in conditions if c != "False"]
    if "True" in kept:
        return "True"
    return f"({' or '.join(kept)})" if len(kept) > 1 else (kept[0] if kept else "False")


def all_of(*conditions: str) -> str:
    """Return a condition that holds when all of these do."""
    kept = [c for c in dict.fromkeys(conditions) if c != "True"]
    if "False" in kept:
        return "False"
    return f"({' and '.join(kept)})" if len(kept) > 1 else (kept[0] if kept else "True")


def exists_alt(emitter: Emitter, alt: Alt) -> str:
    """Return the condition that an alternative has items."""
    here = _present(emitter, alt) if alt.owner else "True"
    if not alt.clauses:
        return here
    clauses = alt.clauses if here == "True" else (*alt.clauses, f"if {here}")
    return all_of(alt.guard or "True", f"bool({comprehension('1', clauses)})")


def exists(emitter: Emitter, shape: Shape) -> Bool:
    """Return whether there are items; never empty."""
    if isinstance(shape, Val):
        return definite(f"({shape.value} is not None)" if shape.nullable else "True")
    if isinstance(shape, Bool):
        return definite("True" if shape.definite else any_of([shape.true, shape.false]))
    return definite(any_of(exists_alt(emitter, alt) for alt in shape.alts))


def items(emitter: Emitter, shape: Shape) -> str:
    """Return the expression of the list of all items."""
    collection = as_collection(emitter, shape)
    lists = [items_alt(emitter, alt) for alt in collection.alts]
    joined = lists[0] if len(lists) == 1 else f"[{', '.join('*' + part for part in lists)}]"
    return f"distinct({joined})" if collection.union and collection.alts else joined


def items_alt(emitter: Emitter, alt: Alt) -> str:
    """Return the expression of the list of an alternative's items."""
    item = opened_item(emitter, alt)
    return comprehension(item.value, item.clauses)


def count(emitter: Emitter, shape: Shape) -> Val:
    """Return the number of items; never empty."""
    if isinstance(shape, Bool | Val):
        return Val(f"int({exists(emitter, shape).true})", "Integer", nullable=False)
    if shape.union:
        return Val(f"len({items(emitter, shape)})", "Integer", nullable=False)
    return Val(
        f"({' + '.join(_count_alt(emitter, a) for a in shape.alts) or '0'})", "Integer", nullable=False
    )


def _count_alt(emitter: Emitter, alt: Alt) -> str:
    if alt.clauses:
        return f"len({items_alt(emitter, alt)})"
    if not alt.owner:
        return "1"
    if not alt.is_list:
        return f"({_present(emitter, alt)})"
    if is_primitive(emitter, alt.type):
        return f"len(primitives({alt.owner}, {alt.key!r}))"
    return f"len({alt.owner}.get({alt.key!r}, ()))"


def as_collection(emitter: Emitter, shape: Shape) -> Coll:
    """Return any shape as collection."""
    if isinstance(shape, Coll):
        return shape
    if isinstance(shape, Bool):
        clauses = () if shape.definite else (f"if {any_of([shape.true, shape.false])}",)
        return Coll((Alt("Boolean", clauses, value=f"bool({shape.true})"),))
    if not shape.nullable:
        return Coll((Alt(shape.type, value=shape.value),))
    variable = emitter.variable()
    clause = f"for {variable} in ({shape.value},) if {variable} is not None"
    return Coll((Alt(shape.type, (clause,), value=variable),))


def mentions_loop(source: str) -> bool:
    """Tell whether source uses a loop variable that it doesn't bind itself."""
    bound = {name for match in _BOUND.finditer(source) for name in match.groups()}
    return any(match.group() not in bound for match in _LOOP_VARIABLE.finditer(source))
