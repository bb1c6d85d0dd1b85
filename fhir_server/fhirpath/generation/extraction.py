"""SearchParameter expressions: one Python function each, which returns typed values.

https://hl7.org/fhir/R4/searchparameter-definitions.html#SearchParameter.expression
"""

from __future__ import annotations

from typing import Any, Protocol, cast

from fhir_server.fhirpath.errors import FhirPathError
from fhir_server.fhirpath.generation import paths, runtime
from fhir_server.fhirpath.generation.emitter import Emitter
from fhir_server.fhirpath.generation.shapes import UNKNOWN, Alt, Bool, Coll, Shape, Unsupported, Val
from fhir_server.fhirpath.parser import parse
from fhir_server.fhirpath.protocols import Types
from fhir_server.fhirpath.tree import Binary, Call, Tree, TypeOperation, type_specifier


class Extraction(Protocol):
    """A compiled search expression.

    Call it with a resource, or with an element and its resource for the components of composites. Returns
    (type, value)     pairs in document order of each branch: values are JSON; primitives without value are
    left out; an
    Extension gives its
    value.
    """

    #: Paths of the expression that the types don't have, as ``Type.name``; they give no values.
    unknown_paths: tuple[str, ...]
    #: The types that values can have, as far as they are known before (``?`` when they aren't).
    value_types: tuple[str, ...]
    #: The generated source, for tests and for reading.
    source: str

    def __call__(
        self, node: dict[str, Any], resource: dict[str, Any] | None = None, /
    ) -> list[tuple[str, Any]]:
        """Return the values."""


class _ExtractionEmitter(Emitter):
    """Also decides ``resolve() is Type`` from the text of the reference."""

    def compile(self, tree: Tree, focus: Alt) -> Shape:
        match tree:
            case TypeOperation("is", Call(source, "resolve", ()), type_name):
                return self._refers_to(source, type_name, focus)
            case Call(Call(source, "resolve", ()), "is", (argument,)):
                return self._refers_to(source, type_specifier(argument) or "", focus)
        return super().compile(tree, focus)

    def _refers_to(self, source: Tree | None, type_name: str, focus: Alt) -> Bool:
        collection = self.collection(source, focus)
        if len(collection.alts) != 1 or collection.many or collection.alts[0].clauses:
            raise Unsupported
        [alt] = collection.alts
        if alt.type != "Reference":
            return Bool("False", "False")
        value = f"{alt.owner}.get({alt.key!r}, NOTHING)" if alt.owner else alt.value
        wanted = tuple(t for t in self.types.resource_types if self.types.is_subtype(t, type_name))
        condition = f"refers_to({value}, {self.constant(wanted)}, r)"
        self.prologue["r"] = "resource"
        return Bool(condition, f"(not {condition})", definite=True)


def generate_extraction(expression: str, type_name: str, types: Types) -> Extraction:
    """Return the function of a search expression for nodes of a type; raises FhirPathError."""
    emitter = _ExtractionEmitter(types, type_name)
    emitter.namespace["extension_values"] = runtime.extension_values
    emitter.prologue["r"] = "resource"
    lines: list[str] = []
    kinds: list[str] = []
    for branch in _branches(parse(expression)):
        try:
            _write(emitter, emitter.compile(branch, emitter.root), lines, kinds)
        except Unsupported:
            raise FhirPathError("semantic", f"{expression!r} can't be used for search", -1) from None
    body = "".join(f"    {line}\n" for line in lines)
    source = (
        f"def extract(n, r=None):\n    if r is None:\n        r = n\n    out = []\n{body}    return out\n"
    )
    exec(compile(source, f"<{type_name}: {expression[:60]}>", "exec"), emitter.namespace)  # noqa: S102 - literals enter only by repr or as constants
    function = emitter.namespace["extract"]
    function.unknown_paths = tuple(dict.fromkeys(emitter.unknown))
    function.value_types = tuple(dict.fromkeys(kinds))
    function.source = source
    return cast("Extraction", function)


def _branches(tree: Tree) -> list[Tree]:
    if isinstance(tree, Binary) and tree.operator == "|":
        return [*_branches(tree.left), *_branches(tree.right)]
    return [tree]


def _write(emitter: Emitter, shape: Shape, lines: list[str], kinds: list[str]) -> None:
    if isinstance(shape, Bool):
        kinds.append("boolean")
        lines.append(f"if {shape.true}: out.append(('boolean', True))")
        lines.append(f"elif {shape.false}: out.append(('boolean', False))")
        return
    collection = paths.as_collection(emitter, shape) if isinstance(shape, Val) else shape
    for alt in collection.alts:
        _write_alt(emitter, alt, lines, kinds)


def _write_alt(emitter: Emitter, alt: Alt, lines: list[str], kinds: list[str]) -> None:
    kinds.append(UNKNOWN if alt.type == "Extension" else alt.type)
    if alt.owner and not alt.is_list and not alt.clauses:
        if alt.type == "Extension":
            raise Unsupported
        lines.append(f"if {alt.key!r} in {alt.owner}: out.append(({alt.type!r}, {alt.owner}[{alt.key!r}]))")
        return
    item = paths.opened_item(emitter, alt)
    added = f"({item.dynamic or repr(item.type)}, {item.value})"
    if item.type == "Extension":
        lines.append(f"for {item.value} in {paths.comprehension(item.value, item.clauses)}:")
        lines.append(f"    out += extension_values({item.value}, types)")
        return
    clauses = list(item.clauses)
    if paths.is_primitive(emitter, item.type):
        clauses.append(f"if {item.value} is not None")
    listed = paths.comprehension(added, clauses)
    lines.append(f"if {alt.guard}: out += {listed}" if alt.guard else f"out += {listed}")


__all__ = ["Coll", "Extraction", "generate_extraction"]
