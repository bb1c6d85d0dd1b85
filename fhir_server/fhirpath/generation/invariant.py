"""Constraints: one Python function each, true or not."""

from __future__ import annotations

from typing import Any, Protocol, cast

from fhir_server.fhirpath.corrections import corrected
from fhir_server.fhirpath.env import Env
from fhir_server.fhirpath.errors import FhirPathError
from fhir_server.fhirpath.generation.emitter import Emitter, Fallback
from fhir_server.fhirpath.generation.shapes import Unsupported
from fhir_server.fhirpath.parser import parse
from fhir_server.fhirpath.protocols import Types


class Invariant(Protocol):
    """A compiled constraint.

    Call it with the JSON value of the element (None for a primitive without value), the surroundings and,
    for a
    primitive,     its ``_name`` object if there is one. Returns whether the result is true; empty is not.
    """

    #: Paths of the expression that the types don't have, as ``Type.name``; they evaluate to empty.
    unknown_paths: tuple[str, ...]
    #: The generated source, for tests and for reading.
    source: str

    def __call__(self, node: Any, env: Env, sibling: dict[str, Any] | None = None, /) -> bool:
        """Evaluate the constraint."""


def generate_invariant(expression: str, type_name: str, types: Types, fallback: Fallback | None) -> Invariant:
    """Return the function of a constraint; raises FhirPathError."""
    emitter = Emitter(types, type_name, fallback)
    try:
        truth = emitter.truth(parse(corrected(expression)), emitter.root)
    except Unsupported:
        raise FhirPathError("semantic", f"{expression!r} is not supported yet") from None
    prologue = "".join(f"    {k} = env.{v} or NOTHING\n" for k, v in emitter.prologue.items())
    source = f"def invariant(n, env, s=None):\n{prologue}    return {truth.true}\n"
    namespace = emitter.namespace
    exec(compile(source, f"<{type_name}: {expression[:60]}>", "exec"), namespace)  # noqa: S102 - literals enter only by repr or as constants
    function = namespace["invariant"]
    function.unknown_paths = tuple(dict.fromkeys(emitter.unknown))
    function.source = source
    return cast("Invariant", function)
