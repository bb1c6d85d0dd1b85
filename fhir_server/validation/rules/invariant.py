"""Invariants: which of them the presence mask decides, which need an evaluation and when, which are native.

A node's generated code knows the bits of the elements that are present. ``a.exists() or b.exists()`` is
answered by the mask alone; of ``a.empty() or b.c = 'x'`` the mask tells that nothing needs evaluation while
``a`` is absent.

https://hl7.org/fhir/R4/conformance-rules.html#constraints
"""

from __future__ import annotations

from collections.abc import Mapping

from fhir_server.fhirpath.tree import Binary, Call, Member, Tree

#: Constraints that hand-written rules of this package check, and where.
NATIVE = {
    "ele-1": "the presence mask of every node, and the siblings of primitives in rules/cardinality.py",
    "ref-1": "rules/reference.py",
    "dom-2": "rules/contained.py",
    "dom-3": "rules/contained.py",
    "dom-4": "rules/contained.py",
    "dom-5": "rules/contained.py",
    "txt-1": "datatypes/xhtml.py",
    "txt-2": "datatypes/xhtml.py",
}

_COMPARISON = {"xor": "!=", "!=": "!=", "=": "=="}
#: Functions that are true of an empty collection, and those that keep an empty collection empty.
_TRUE_OF_EMPTY = frozenset({"empty", "all", "isDistinct"})
_KEEP_EMPTY = frozenset(
    {"where", "select", "first", "last", "tail", "trace", "descendants", "children", "ofType"}
)


class Presence:
    """Translates expressions on one node to tests of its mask; ``bits`` are those of its elements by name."""

    def __init__(self, root: str, bits: Mapping[str, int], plain: frozenset[str]) -> None:
        self._root = root
        self._bits = bits
        #: Elements whose value is there when their key is: primitives that are neither repeated nor a choice.
        self._plain = plain

    def test(self, tree: Tree) -> str | None:
        """Return Python that is true when the expression is, or None if the mask can't decide it."""
        if isinstance(tree, Call) and not tree.arguments and tree.source is not None:
            return self._call(tree.source, tree.name)
        if isinstance(tree, Binary):
            left, right = self.test(tree.left), self.test(tree.right)
            if left is None or right is None:
                return None
            if tree.operator in {"and", "or"}:
                return f"({left} {tree.operator} {right})"
            if tree.operator == "implies":
                return f"(not {left} or {right})"
            if tree.operator in _COMPARISON:
                return f"({left} {_COMPARISON[tree.operator]} {right})"
        return None

    def _call(self, source: Tree, function: str) -> str | None:
        if function == "not":
            inner = self.test(source)
            return None if inner is None else f"(not {inner})"
        name = self._name(source)
        if name is None:
            return None
        if function == "exists":
            return f"(mask & {self._bits[name]:#x} != 0)"
        if function == "empty":
            return f"(mask & {self._bits[name]:#x} == 0)"
        if function == "hasValue" and name in self._plain:
            return f"({name!r} in node)"
        return None

    def guard(self, tree: Tree) -> str:
        """Return Python that is false only when the expression is surely true."""
        test = self.test(tree)
        if test is not None:
            return f"not {test}"
        if isinstance(tree, Binary):
            guards = [self.guard(tree.left), self.guard(tree.right)]
            if tree.operator == "or":
                guards = [g for g in guards if g != "True"]
                return " and ".join(f"({g})" for g in guards) or "True"
            if tree.operator == "and" and "True" not in guards:
                return " or ".join(f"({g})" for g in guards)
            if tree.operator == "implies" and (left := self.test(tree.left)) is not None:
                return left
        if isinstance(tree, Call) and tree.name in _TRUE_OF_EMPTY and tree.source is not None:
            name = self._start(tree.source)
            if name is not None:
                return f"mask & {self._bits[name]:#x} != 0"
        return "True"

    def _name(self, tree: Tree) -> str | None:
        """Return the element of this node that a path of one step names."""
        if not isinstance(tree, Member):
            return None
        is_first = tree.source is None or (
            isinstance(tree.source, Member) and tree.source.source is None and tree.source.name == self._root
        )
        return tree.name if is_first and tree.name in self._bits else None

    def _start(self, tree: Tree) -> str | None:
        """Return the element that a path starts with, if the path is empty whenever the element is absent."""
        name = self._name(tree)
        if name is not None:
            return name
        if isinstance(tree, Member) and tree.source is not None:
            return self._start(tree.source)
        if isinstance(tree, Call) and tree.name in _KEEP_EMPTY and tree.source is not None:
            return self._start(tree.source)
        return None
