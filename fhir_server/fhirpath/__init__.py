"""FHIRPath (N1) with the additions of FHIR R4; see README.md."""

from __future__ import annotations

from fhir_server.fhirpath.env import Env
from fhir_server.fhirpath.errors import FhirPathError
from fhir_server.fhirpath.generation.extraction import Extraction, generate_extraction
from fhir_server.fhirpath.generation.invariant import Invariant, generate_invariant
from fhir_server.fhirpath.parser import parse
from fhir_server.fhirpath.protocols import Types

__all__ = ["Env", "Extraction", "FhirPathError", "Invariant", "compile_extraction", "compile_invariant", "parse"]


def compile_invariant(expression: str, type_name: str, types: Types) -> Invariant:
    """Return a constraint on elements of a type as function ``(node, env[, sibling]) -> bool``.

    Raises FhirPathError when the expression is malformed.
    """
    return generate_invariant(expression, type_name, types, None)


def compile_extraction(expression: str, type_name: str, types: Types) -> Extraction:
    """Return a search expression on a type as function ``(node[, resource]) -> [(type, value), ...]``.

    Raises FhirPathError when the expression is malformed or can't be used for search.
    """
    return generate_extraction(expression, type_name, types)
