"""From node schemas to generated Python: one function per node, made when it is first needed.

The function of a node loops over the properties that are present, sets each element's bit in the presence
mask and calls the property's handler; then the mask answers what is missing and most invariants. It returns
None for a valid node. Handlers are closures of ``rules``, made when a property is first met: what no resource
uses costs nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fhir_server.definitions import Definitions
from fhir_server.validation.claims import Claims
from fhir_server.validation.element_tree import Element, tree
from fhir_server.validation.elements import Elements
from fhir_server.validation.handlers import with_questionnaire
from fhir_server.validation.invariants import Invariants
from fhir_server.validation.node_writer import NodeWriter, Rows, Segments
from fhir_server.validation.policy import Policy
from fhir_server.validation.profile_schema import ProfileReader
from fhir_server.validation.protocols import CodeSets, Handler
from fhir_server.validation.repetition import Repetitions
from fhir_server.validation.report import Run, has_errors
from fhir_server.validation.rows import always_right, forbidden, lazy
from fhir_server.validation.schema import ElementType, NodeSchema, read
from fhir_server.validation.snapshot import Snapshots
from fhir_server.validation.unevaluated import Unevaluated


class Compiler:
    """Makes and keeps the functions of types and profiles, and of their backbone elements."""

    def __init__(self, definitions: Definitions, code_sets: CodeSets, policy: Policy) -> None:
        self.definitions = definitions
        self.code_sets = code_sets
        self.types = definitions.types
        self.policy = policy
        self._schemas: dict[str, dict[str, NodeSchema]] = {}
        self._functions: dict[tuple[str, str], Handler] = {}
        self._trees: dict[str, Element | None] = {}
        self._pending: dict[tuple[str, str], list[Callable[[], None]]] = {}
        self._snapshots = Snapshots(definitions)
        self.resource_types = frozenset(definitions.types.resource_types)
        self.invariants = Invariants(definitions.types, self, best_practices=policy.best_practices)
        self.claims = Claims(self)
        self.elements = Elements(self)
        self.repetitions = Repetitions(code_sets)
        self.unevaluated = Unevaluated(self)
        #: Bindings that no code set answers: path and value set.
        self.unbound: list[tuple[str, str]] = []

    def function(self, structure: str) -> Handler:
        """Return the function of a base type (by name) or a profile (by canonical URL).

        Raises LookupError when there is no such definition, or it can't be used.
        """
        found = self._functions.get((structure, ""))
        return found if found is not None else self.node(structure, "")

    def forget(self) -> None:
        """Drop all that was made from definitions outside R4 core, because they changed."""
        self._functions = {k: f for k, f in self._functions.items() if self._is_base(k[0])}
        self._schemas = {k: s for k, s in self._schemas.items() if self._is_base(k)}
        self._pending.clear()
        self._trees.clear()
        self.claims.forget()
        self.repetitions.forget()
        self.unevaluated.forget()
        self.elements.extensions.forget()

    def _is_base(self, structure: str) -> bool:
        return "/" not in structure and ":" not in structure

    def preload(self, structure: str) -> None:
        """Compile a type with all that it refers to, but without the contents of contained resources."""
        self.function(structure)
        while self._pending:
            _, fills = self._pending.popitem()
            for fill in fills:
                fill()

    def source(self, structure: str, path: str = "") -> str:
        """Return the generated Python of a node, for tests and readers."""
        schema = self.schema(structure, path)
        return NodeWriter(schema, self.invariants, self.resource_types).write()

    def schema(self, structure: str, path: str) -> NodeSchema:
        """Return the schema of a node; "" is the root's path. Raises LookupError."""
        nodes = self._schemas.get(structure)
        if nodes is None:
            definition = self.definitions.structure(structure)
            if definition is None:
                raise LookupError(f"there is no StructureDefinition {structure}")
            if definition.get("derivation") == "constraint":
                definition = self._snapshots.complete(definition)
                nodes = ProfileReader(definition, self.types, self._base_node).read()
            else:
                nodes = read(definition)
            self._schemas[structure] = nodes
        if path and path not in nodes:
            raise LookupError(f"{structure} has no element {path} with children")
        return nodes[path] if path else next(iter(nodes.values()))

    def _base_node(self, name: str) -> NodeSchema | None:
        info = self.types.type(name)
        if info is None:
            return None
        return self.schema(name.partition(".")[0], name) if info.kind == "backbone" else self.schema(name, "")

    def profile_tree(self, url: str) -> Element | None:
        """Return the snapshot of a profile as a tree, or None."""
        canonical, _, id_ = url.partition("#")
        if id_:
            root = self.profile_tree(canonical)
            return next((e for e in root.walk() if e.id == id_), None) if root is not None else None
        if url not in self._trees:
            definition = self._completed(url)
            self._trees[url] = tree(definition, self.types) if definition is not None else None
        return self._trees[url]

    def is_known(self, url: str) -> bool:
        """Tell whether there is a profile that can be used, and in it the element that is named behind ``#``."""
        return self._completed(url.partition("#")[0]) is not None

    def _completed(self, url: str) -> dict[str, Any] | None:
        """Return a StructureDefinition with its snapshot; None if it isn't known, or none can be made."""
        definition = self.definitions.structure(url)
        try:
            return self._snapshots.complete(definition) if definition is not None else None
        except LookupError:
            return None

    def extension_definition(self, url: str) -> dict[str, Any] | None:
        """Return the StructureDefinition of an extension with its snapshot, or None."""
        definition = self._completed(url)
        if (
            definition is None
            or definition["type"] != "Extension"
            or definition["url"].endswith("/Extension")
        ):
            return None
        return definition

    def base_of(self, url: str) -> str:
        """Return the type that a profile constrains, or the name itself when it is a type's; "" if unknown."""
        if "/" not in url and self.types.type(url) is not None:
            return url
        definition = self.definitions.structure(url)
        return str(definition["type"]) if definition is not None else ""

    def is_subtype(self, name: str, ancestor: str) -> bool:
        """Tell whether a type is or derives from another."""
        return self.types.is_subtype(name, ancestor)

    def conforms(self, value: Any, profile: str, run: Run) -> bool:
        """Tell whether a value conforms to a profile or type; one that isn't known, or is just being asked, does."""
        key = (id(value), profile)
        if key in run.checking:
            return True
        base = self.base_of(profile)
        actual = value.get("resourceType") if type(value) is dict else None
        if actual is not None and base and not self.types.is_subtype(actual, base):
            return False
        try:
            check = self.function(profile)
        except LookupError:
            return True
        inner = run.inner()
        if actual is not None:
            inner.resource = value
        run.checking.add(key)
        try:
            found = check(value, {}, inner)
        finally:
            run.checking.discard(key)
        return found is None or not has_errors(found)

    @staticmethod
    def resolved(reference: Any, run: Run) -> dict[str, Any] | None:
        """Return the target of a Reference (or of its text) if it is contained or in the Bundle."""
        text = reference.get("reference") if type(reference) is dict else reference
        return run.target(text) if type(text) is str else None

    def has_member(self, value: Any, value_set: str) -> bool:
        """Tell whether a code, Coding or CodeableConcept is in a value set."""
        return self.elements.has_member(value, value_set) is True

    def selects(self, expression: str, holder: dict[str, Any], run: Run) -> bool:
        """Tell whether a FHIRPath on the resource selects this element."""
        return self.invariants.selects(expression, holder, run)

    def allows(
        self, rule: str, holder: dict[str, Any], type_name: str, extension: dict[str, Any], run: Run
    ) -> bool:
        """Tell whether a context invariant is true of the element that holds an extension."""
        return self.invariants.allows(rule, holder, type_name, extension, run)

    def types_of(self, path: str) -> set[str]:
        """Return the types of the element with this path, and those that they derive from."""
        parent, _, name = path.rpartition(".")
        info = self.types.type(parent)
        element = info.elements.get(name.removesuffix("[x]")) if info is not None else None
        found: set[str] = set()
        for type_ in element.types if element is not None else ():
            known = type_
            while known and known not in found:
                found.add(known)
                above = self.types.type(known)
                known = above.base if above is not None else ""
        return found

    def node(self, structure: str, path: str) -> Handler:
        """Return the function of a node of a type or profile; "" is the root's path. Raises LookupError."""
        url, _, id_ = structure.partition("#")
        if id_:
            structure, path = url, id_
        key = (structure, path)
        known = self._functions.get(key)
        if known is not None:
            return known
        if not path and self.is_primitive_type(self.base_of(structure)):
            function = self._functions[key] = self.elements.primitive_profile(structure)
            return function
        schema = self.schema(structure, path)
        writer = NodeWriter(schema, self.invariants, self.resource_types)
        rows: Rows = {}
        segments: Segments = {}
        fills: list[Callable[[], None]] = []
        for element in schema.elements:
            bit = writer.bits[element.name]
            for name, type_ in element.json_keys().items():
                segment = (
                    f".{element.name}.ofType({type_.code})" if element.is_choice and type_ else f".{name}"
                )
                segments[name] = (segment, element.path)
                build = self.elements.builder(structure, schema, element, type_, name)
                if schema.kind == "resource" and not self.is_primitive(type_):
                    build = self.repetitions.of(element, build)
                fills.append(lazy(rows, name, bit, build))
                if self.is_primitive(type_):
                    segments[f"_{name}"] = (segment, element.path)
                    sibling = self.elements.sibling_builder(structure, element, name)
                    fills.append(lazy(rows, f"_{name}", bit, sibling))
        if schema.profile:
            forbidden(schema, self.types.type(schema.type_name), rows, segments, writer.bits)
        if schema.kind == "resource":
            rows["resourceType"] = (writer.resource_bit, always_right)
        self._pending[key] = fills
        function = writer.compiled(rows, segments)
        if schema.kind == "resource" and schema.type_name == "QuestionnaireResponse":
            function = with_questionnaire(
                function, self.definitions.questionnaire, self.code_sets.membership, self.invariants.holds
            )
        self._functions[key] = function
        return function

    def is_primitive_type(self, name: str) -> bool:
        """Tell whether a type is a primitive one."""
        info = self.types.type(name) if name else None
        return info is not None and info.kind == "primitive-type"

    def is_primitive(self, type_: ElementType | None) -> bool:
        """Tell whether the values of a type are primitives of JSON."""
        return type_ is not None and type_.code != "element-id" and self.is_primitive_type(type_.code)
