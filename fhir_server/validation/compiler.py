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
from fhir_server.validation.invariants import Invariants
from fhir_server.validation.node_writer import NodeWriter, Rows
from fhir_server.validation.protocols import CodeSets, Handler
from fhir_server.validation.report import Findings, Run
from fhir_server.validation.rules import binding, cardinality, contained, primitive
from fhir_server.validation.rules.reference import References
from fhir_server.validation.schema import ElementSchema, ElementType, NodeSchema, read


class Compiler:
    """Makes and keeps the functions of types, profiles on datatypes, and their backbone elements."""

    def __init__(
        self, definitions: Definitions, code_sets: CodeSets, *, best_practices: bool = False
    ) -> None:
        self._definitions = definitions
        self._code_sets = code_sets
        self._schemas: dict[str, dict[str, NodeSchema]] = {}
        self._functions: dict[tuple[str, str], Handler] = {}
        self._pending: dict[tuple[str, str], list[Callable[[], None]]] = {}
        self.resource_types = frozenset(definitions.types.resource_types)
        self._references = References(self.resource_types)
        self.invariants = Invariants(definitions.types, best_practices=best_practices)
        self._resource = contained.resource(self.resource_types, self.function, is_contained=False)
        self._contained = contained.resource(self.resource_types, self.function, is_contained=True)
        #: Bindings that no code set answers: path and value set.
        self.unbound: list[tuple[str, str]] = []

    def function(self, structure: str) -> Handler:
        """Return the function of a base type (by name) or a profile on a datatype (by URL)."""
        found = self._functions.get((structure, ""))
        return found if found is not None else self._node(structure, "")

    def preload(self, structure: str) -> None:
        """Compile a type with all that it refers to, but without the contents of contained resources."""
        self.function(structure)
        while self._pending:
            _, fills = self._pending.popitem()
            for fill in fills:
                fill()

    def source(self, structure: str, path: str = "") -> str:
        """Return the generated Python of a node, for tests and readers."""
        schema = self._schema(structure, path)
        return NodeWriter(schema, self.invariants, self.resource_types).write()

    def _schema(self, structure: str, path: str) -> NodeSchema:
        nodes = self._schemas.get(structure)
        if nodes is None:
            definition = self._definitions.structure(structure)
            if definition is None:
                raise LookupError(f"there is no StructureDefinition {structure}")
            nodes = self._schemas[structure] = read(definition)
        return nodes[path] if path else next(iter(nodes.values()))

    def _node(self, structure: str, path: str) -> Handler:
        key = (structure, path)
        known = self._functions.get(key)
        if known is not None:
            return known
        schema = self._schema(structure, path)
        writer = NodeWriter(schema, self.invariants, self.resource_types)
        rows: Rows = {}
        segments: dict[str, tuple[str, str]] = {}
        fills: list[Callable[[], None]] = []
        for element in schema.elements:
            bit = writer.bits[element.name]
            for name, type_ in element.json_keys().items():
                segment = (
                    f".{element.name}.ofType({type_.code})" if element.is_choice and type_ else f".{name}"
                )
                segments[name] = (segment, element.path)
                fills.append(_lazy(rows, name, bit, self._builder(structure, element, type_)))
                if self._is_primitive(type_):
                    segments[f"_{name}"] = (segment, element.path)
                    fills.append(_lazy(rows, f"_{name}", bit, self._sibling_builder(element, name)))
        if schema.kind == "resource":
            rows["resourceType"] = (writer.resource_bit, _always_right)
        self._pending[key] = fills
        function = writer.compiled(rows, segments)
        self._functions[key] = function
        return function

    def _is_primitive(self, type_: ElementType | None) -> bool:
        if type_ is None:
            return False
        if type_.code == "element-id":
            return False
        info = self._definitions.types.type(type_.code)
        return info is not None and info.kind == "primitive-type"

    def _builder(
        self, structure: str, element: ElementSchema, type_: ElementType | None
    ) -> Callable[[], Handler]:
        if type_ is None:
            return lambda: self._objects(element, self._node(structure, element.node), element.node)
        if self._is_primitive(type_) or type_.code == "element-id":
            return lambda: self._scalars(element, type_)
        return lambda: self._objects(element, self._typed(element, type_), type_.code)

    def _scalars(self, element: ElementSchema, type_: ElementType) -> Handler:
        if type_.code in primitive.SPECIAL and element.path != "ElementDefinition.id":
            return primitive.SPECIAL[type_.code]
        test, fast = primitive.scalar(type_.code), type_.code
        if element.value_set:
            code_set = self._code_set(element)
            if code_set is not None:
                test, fast = binding.bound_code(type_.code, code_set, element.value_set), ""
        own = self.invariants.on_element(element.constraints, type_.code)
        if not element.is_list:
            return self._constrained(primitive.single(test, fast), own)
        return self._constrained(cardinality.list_of_scalars(test, element), own)

    def _objects(self, element: ElementSchema, item: Handler, type_name: str) -> Handler:
        own = self.invariants.on_element(element.constraints, type_name)
        if not element.is_list:
            return self._constrained(item, own)
        listed = cardinality.list_of(item, element)
        # On a repeated element, R4's own constraints speak of each item but for the where() of org-2 and
        # org-3, which give the same answer either way.
        return cardinality.list_of(self._constrained(item, own), element) if own else listed

    def _constrained(self, handler: Handler, own: Handler | None) -> Handler:
        if own is None:
            return handler

        def constrained(value: Any, parent: dict[str, Any], run: Run) -> Findings | None:
            found = handler(value, parent, run)
            return own(value, parent, run) if found is None else found

        return constrained

    def _typed(self, element: ElementSchema, type_: ElementType) -> Handler:
        """Return the handler of one object of a datatype or resource."""
        if type_.code == "Resource":
            return self._contained if element.path.endswith(".contained") else self._resource
        function = self.function(type_.profile or type_.code)
        if type_.code == "Reference" and type_.targets:
            function = self._references.limited(function, type_.targets)
        if element.value_set:
            code_set = self._code_set(element)
            if code_set is not None:
                bound = binding.bound_concept if type_.code == "CodeableConcept" else binding.bound_coding
                function = bound(function, code_set, element.value_set)
        return function

    def _code_set(self, element: ElementSchema) -> Any:
        code_set = self._code_sets.codes(element.value_set)
        if code_set is None:
            self.unbound.append((element.path, element.value_set))
        return code_set

    def _sibling_builder(self, element: ElementSchema, key: str) -> Callable[[], Handler]:
        if element.is_list:
            return lambda: cardinality.sibling_of_list(self.function("Element"), element)
        return lambda: cardinality.sibling_of_single(self.function("Element"), key)


def _always_right(*_: object) -> None:
    """Accept resourceType: it was looked at when the function was chosen."""


def _lazy(rows: Rows, key: str, bit: int, build: Callable[[], Handler]) -> Callable[[], None]:
    """Put a handler into ``rows`` that replaces itself when first used; return what replaces it at once."""

    def fill() -> None:
        if rows[key][1] is handler:
            rows[key] = (bit, build())

    def handler(value: Any, parent: dict[str, Any], run: Run) -> Findings | None:
        fill()
        return rows[key][1](value, parent, run)

    rows[key] = (bit, handler)
    return fill
