"""Which expressions may take far more time than their input is long: those that a budget of steps must guard."""

from __future__ import annotations

from fhir_server.fhirpath.tree import Binary, Call, Index, Member, Tree, TypeOperation, Unary, Variable

#: Functions that ask their argument once for each item.
_LOOPS = frozenset({"where", "select", "all", "exists", "repeat", "aggregate", "iif", "trace", "sort"})
#: Functions that return more than they were given.
_GROWING = frozenset({"descendants", "repeat"})
#: What compares all items with all others, and how often that may be in one expression.
_COMPARING = frozenset(
    {
        "union",
        "distinct",
        "isDistinct",
        "intersect",
        "exclude",
        "subsetOf",
        "supersetOf",
        "|",
        "in",
        "contains",
    }
)
_COMPARISONS = 6


def is_costly(tree: Tree) -> bool:
    """Tell whether an expression loops, inside a loop, over more than what is below the item.

    Paths below an item are looked at once in all. ``%resource`` for each item, or ``descendants()`` of
    ``descendants()``, grow with a power of the input; so do many comparisons of all items with all others.
    """
    return _is_nested(tree, is_inside=False) or _comparisons(tree) > _COMPARISONS


def _comparisons(tree: Tree) -> int:
    name = tree.name if isinstance(tree, Call) else tree.operator if isinstance(tree, Binary) else ""
    return (name in _COMPARING) + sum(map(_comparisons, _parts(tree)))


def _is_nested(tree: Tree, *, is_inside: bool) -> bool:
    if isinstance(tree, Variable):
        return is_inside and tree.name in {"resource", "rootResource", "context"}
    if isinstance(tree, Call):
        grows = tree.name in _GROWING
        if grows and (is_inside or (tree.source is not None and _grows(tree.source))):
            return True
        loops = tree.name in _LOOPS
        return any(_is_nested(a, is_inside=is_inside or loops) for a in tree.arguments) or (
            tree.source is not None and _is_nested(tree.source, is_inside=is_inside)
        )
    return any(_is_nested(part, is_inside=is_inside) for part in _parts(tree))


def _grows(tree: Tree) -> bool:
    return (isinstance(tree, Call) and tree.name in _GROWING) or any(map(_grows, _parts(tree)))


def _parts(tree: Tree) -> tuple[Tree, ...]:
    if isinstance(tree, Call):
        return tree.arguments if tree.source is None else (tree.source, *tree.arguments)
    if isinstance(tree, Member):
        return () if tree.source is None else (tree.source,)
    if isinstance(tree, Binary):
        return tree.left, tree.right
    if isinstance(tree, Index):
        return tree.source, tree.index
    return (tree.operand,) if isinstance(tree, Unary | TypeOperation) else ()
