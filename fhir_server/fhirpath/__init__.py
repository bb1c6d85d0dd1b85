"""FHIRPath (N1) with the additions of FHIR R4; see README.md."""

from __future__ import annotations

from collections.abc import Callable

from fhir_server.fhirpath.checking import check
from fhir_server.fhirpath.corrections import corrected
from fhir_server.fhirpath.costs import is_costly
from fhir_server.fhirpath.env import Env
from fhir_server.fhirpath.errors import FhirPathError
from fhir_server.fhirpath.evaluation.compiler import compile_tree
from fhir_server.fhirpath.evaluation.expression import Expression, fallback
from fhir_server.fhirpath.evaluation.items import Node
from fhir_server.fhirpath.generation.extraction import Extraction, generate_extraction
from fhir_server.fhirpath.generation.invariant import Invariant, generate_invariant
from fhir_server.fhirpath.parser import parse
from fhir_server.fhirpath.protocols import Types

__all__ = [
    "Env",
    "Expression",
    "Extraction",
    "FhirPathError",
    "Invariant",
    "Node",
    "compile_bounded",
    "compile_expression",
    "compile_extraction",
    "compile_invariant",
    "parse",
]


def compile_invariant(expression: str, type_name: str, types: Types) -> Invariant:
    """Return a constraint on elements of a type as function ``(node, env[, sibling]) -> bool``.

    Raises FhirPathError when the expression is malformed.
    """
    return generate_invariant(expression, type_name, types, fallback(types))


def compile_bounded(expression: str, type_name: str, types: Types) -> Callable[..., bool] | None:
    """Return a constraint that keeps to ``env.steps`` and counts them down; None if its cost is bounded by its input.

    It is called as one of ``compile_invariant``, which is much faster.
    """
    tree = parse(corrected(expression))
    if not is_costly(tree):
        return None
    part = fallback(types)(tree, type_name)
    return lambda node, env, sibling=None: part(node, sibling, env) is True


def compile_extraction(expression: str, type_name: str, types: Types) -> Extraction:
    """Return a search expression on a type as function ``(node[, resource]) -> [(type, value), ...]``.

    Raises FhirPathError when the expression is malformed or can't be used for search.
    """
    return generate_extraction(expression, type_name, types)


def compile_expression(
    expression: str,
    types: Types,
    type_name: str | None = None,
    *,
    published: bool = False,
    checked: bool = False,
) -> Expression:
    """Return any expression, ready for ``evaluate(node, env)``.

    ``type_name`` is the type of foci that aren't resources.
    ``published`` evaluates it as published definitions are meant (see README.md). ``checked`` refuses names
    that the types
    don't have, given the type of the focus. Raises FhirPathError when the expression is malformed or names a
    function or
    type that doesn't exist.
    """
    tree = parse(expression)
    closure = compile_tree(tree, types, published=published)
    if checked and type_name is not None:
        check(tree, type_name, types)
    return Expression(expression, type_name, types, closure, published)
