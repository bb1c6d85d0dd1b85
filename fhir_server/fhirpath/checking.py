"""Refuses names that the types don't have: https://hl7.org/fhirpath/N1/#type-safety-and-strict-evaluation."""

from __future__ import annotations

from dataclasses import dataclass

from fhir_server.fhirpath.errors import FhirPathError
from fhir_server.fhirpath.protocols import Types
from fhir_server.fhirpath.tree import (
    Binary,
    Call,
    Index,
    Literal,
    Member,
    Special,
    Tree,
    TypeOperation,
    Unary,
    Variable,
    type_specifier,
)

#: Functions whose result has the types of their source.
_KEEPING = {
    "where",
    "first",
    "last",
    "tail",
    "skip",
    "take",
    "single",
    "trace",
    "distinct",
    "exclude",
    "intersect",
    "sort",
}
#: Functions that need an order, which the result of children() and descendants() doesn't have.
_ORDERED = {"first", "last", "tail", "skip", "take"}
#: Functions that evaluate their arguments on each item of the source.
_ON_ITEMS = {"where", "select", "all", "exists", "repeat", "aggregate", "iif", "sort", "trace"}


@dataclass(frozen=True, slots=True)
class _Static:
    """What is known of a collection: the possible types (None for unknown) and whether it has an order."""

    types: frozenset[str] | None
    ordered: bool = True


_ANYTHING = _Static(None)


def check(tree: Tree, type_name: str, types: Types) -> None:
    """Raise FhirPathError (semantic) for an element that can't exist on a focus of the type."""
    focus = _Static(frozenset({type_name}))
    _Checker(types, focus).infer(tree, focus)


class _Checker:
    def __init__(self, types: Types, root: _Static) -> None:
        self._types = types
        self._root = root

    def infer(self, tree: Tree, focus: _Static) -> _Static:
        match tree:
            case Special("this"):
                return focus
            case Variable("context"):
                return self._root
            case Literal():
                return _ANYTHING
            case Member(None, name):
                return self._start(tree, name, focus)
            case Member(source, name) if source is not None:
                return self._member(tree, self.infer(source, focus), name)
            case Call():
                return self._call(tree, focus)
            case Index(source, index):
                self.infer(index, focus)
                return self._needs_order(self.infer(source, focus), tree)
            case Unary(_, operand):
                self.infer(operand, focus)
            case Binary(operator, left, right):
                first, second = self.infer(left, focus), self.infer(right, focus)
                return _joined(first, second) if operator == "|" else _ANYTHING
            case TypeOperation(operator, operand, name):
                self.infer(operand, focus)
                return self._narrowed(name) if operator == "as" else _ANYTHING
        return _ANYTHING

    def _start(self, tree: Member, name: str, focus: _Static) -> _Static:
        if not name[:1].isupper() or focus.types is None:
            return self._member(tree, focus, name)
        if not any(
            self._types.is_subtype(t, name) or t in {"Resource", "DomainResource"} for t in focus.types
        ):
            raise FhirPathError(
                "semantic", f"it is evaluated on {_list(focus.types)}, not {name}", tree.position
            )
        return focus

    def _member(self, tree: Member, source: _Static, name: str) -> _Static:
        if source.types is None:
            return _ANYTHING
        found: set[str] = set()
        for type_name in source.types:
            info = self._types.type(type_name)
            if info is None or info.is_abstract:
                return _ANYTHING
            element = info.elements.get(name)
            if element is not None:
                found.update(element.json_keys().values())
        if not found:
            raise FhirPathError("semantic", f"{_list(source.types)} has no element {name}", tree.position)
        return _Static(frozenset(found), source.ordered)

    def _call(self, call: Call, focus: _Static) -> _Static:
        source = focus if call.source is None else self.infer(call.source, focus)
        if call.name in {"is", "as", "ofType"}:
            name = type_specifier(call.arguments[0])
            return self._narrowed(name) if name is not None and call.name != "is" else _ANYTHING
        inner = source if call.name in _ON_ITEMS else focus
        results = [self.infer(argument, inner) for argument in call.arguments]
        if call.name in _ORDERED:
            self._needs_order(source, call)
        if call.name in _KEEPING:
            return source
        if call.name in {"children", "descendants"}:
            return _Static(None, ordered=False)
        if call.name == "select":
            return results[0]
        if call.name in {"union", "combine"}:
            return _joined(source, results[0])
        if call.name == "iif" and len(results) == 3:
            return _joined(results[1], results[2])
        return _Static(frozenset({"Extension"})) if call.name == "extension" else _ANYTHING

    def _narrowed(self, name: str) -> _Static:
        plain = name.removeprefix("FHIR.")
        return _Static(frozenset({plain})) if self._types.type(plain) is not None else _ANYTHING

    def _needs_order(self, source: _Static, tree: Call | Index) -> _Static:
        if not source.ordered:
            raise FhirPathError("semantic", "children() and descendants() have no order", tree.position)
        return source


def _joined(first: _Static, second: _Static) -> _Static:
    both = None if first.types is None or second.types is None else first.types | second.types
    return _Static(both, first.ordered and second.ordered)


def _list(types: frozenset[str]) -> str:
    return " or ".join(sorted(types))
