"""A profile's snapshot as nodes, each of them whole: what the snapshot leaves out comes from the base type.

So one pass over a profile's nodes checks the base definition as well.
https://hl7.org/fhir/R4/profiling.html
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from fhir_server.definitions import TypeModel
from fhir_server.validation.element_tree import Element, tree
from fhir_server.validation.schema import (
    Constraint,
    ElementSchema,
    ElementType,
    Facets,
    NodeSchema,
    Slicing,
    bound,
    constraints,
    read_type,
)

#: An element of R5, as R4 writes it: extensions alone won't do.
_MUST_HAVE_VALUE = "http://hl7.org/fhir/5.0/StructureDefinition/extension-ElementDefinition.mustHaveValue"
_SYSTEM = "http://hl7.org/fhirpath/System."
#: Returns the node of a base type or backbone element by its name in the type model, or None.
BaseNode = Callable[[str], NodeSchema | None]


class ProfileReader:
    """Reads one profile."""

    def __init__(self, structure: dict[str, Any], types: TypeModel, base_node: BaseNode) -> None:
        self._structure = structure
        self._types = types
        self._base_node = base_node
        self._profile: str = structure["url"]
        self._nodes: dict[str, NodeSchema] = {}

    def read(self) -> dict[str, NodeSchema]:
        """Return the nodes by key; the key of the root comes first."""
        root = tree(self._structure, self._types)
        self._nodes[root.path] = NodeSchema(root.path, root.path, self._structure["kind"], (), ())
        self._node(root, root.path)
        return self._nodes

    def _node(self, element: Element, key: str) -> bool:
        """Read the node of an element with children; return whether it has one."""
        name = element.type_name
        info = self._types.type(name)
        if info is not None and info.kind == "primitive-type":
            name = "Element"  # its extensions stand beside its value
        base = self._base_node(name) if name else None
        if base is None or info is None or (info.is_abstract and info.kind == "resource"):
            return False
        elements = []
        for known in base.elements:
            child = element.children.get(known.name)
            owner = known.owner or name.partition(".")[0]
            if child is None:
                elements.append(replace(known, owner=owner))
            else:
                elements.append(self._element(child, replace(known, owner=owner), child.id))
        own = {c.key: c for c in (*base.constraints, *constraints(element.definition))}
        self._nodes[key] = NodeSchema(
            element.path, base.type_name, base.kind, tuple(elements), tuple(own.values()), self._profile
        )
        return True

    def _element(self, element: Element, base: ElementSchema, key: str) -> ElementSchema:
        definition = element.definition
        info = self._types.type(element.type_name)
        is_primitive = info is not None and info.kind == "primitive-type"
        is_inline = bool(element.children) and definition.get("max") != "0" and self._node(element, key)
        must_have = any(
            e["url"] == _MUST_HAVE_VALUE and e.get("valueBoolean") for e in definition.get("extension", ())
        )
        needs_value = (
            is_primitive
            and "value" in element.children
            and bool(element.children["value"].definition.get("min"))
        )
        maximum = definition.get("max", str(base.maximum) if base.maximum else "*")
        types = self._element_types(element, base)
        slicing = self._slicing(element, base)
        minimum = definition.get("min", base.minimum)
        if slicing is not None:
            minimum = max(minimum, sum(s.minimum for s in slicing.slices))
            types = _of_closed(types, slicing, is_choice=base.is_choice)
        value_set, strength, largest = bound(definition)
        if "binding" not in definition:
            value_set, strength, largest = base.value_set, base.strength, base.max_value_set
        return replace(
            base,
            path=element.path,
            minimum=minimum,
            maximum=0 if maximum == "*" else int(maximum),
            types=types,
            value_set=value_set,
            strength=strength,
            max_value_set=largest,
            node=key if is_inline and not is_primitive else base.node,
            owner="" if is_inline and not is_primitive else base.owner,
            sibling_node=key if is_inline and is_primitive else "",
            needs_value=needs_value or (is_primitive and must_have),
            constraints=() if is_inline and not is_primitive else self._added(definition, types, base),
            is_prohibited=maximum == "0",
            facets=read_facets(element),
            slicing=slicing,
            slice_name=element.slice_name,
            element=element,
        )

    def _element_types(self, element: Element, base: ElementSchema) -> tuple[ElementType, ...]:
        if not base.types:
            return ()
        definitions = element.definition.get("type", [])
        if not definitions or any(t["code"].startswith(_SYSTEM) for t in definitions):
            return base.types
        return tuple(read_type(t, element.path, self._structure) for t in definitions)

    def _added(
        self, definition: dict[str, Any], types: tuple[ElementType, ...], base: ElementSchema
    ) -> tuple[Constraint, ...]:
        """Return the constraints of an element that don't come from its type."""
        inherited = {"ele-1", "ext-1"}
        for name in [t.code for t in types] or [base.node]:
            node = self._base_node(name) if not name.startswith("element-") else None
            inherited |= {c.key for c in node.constraints} if node is not None else set()
        return tuple(c for c in constraints(definition) if c.key not in inherited)

    def _slicing(self, element: Element, base: ElementSchema) -> Slicing | None:
        if not element.slices:
            return None
        definition = element.definition.get("slicing", {})
        discriminators = tuple((d["type"], d["path"]) for d in definition.get("discriminator", ()))
        if not discriminators and element.name in {"extension", "modifierExtension"}:
            discriminators = (("value", "url"),)
        return Slicing(
            discriminators,
            definition.get("rules", "open"),
            bool(definition.get("ordered", False)),
            tuple(
                self._element(other, replace(base, minimum=0, slicing=None), other.id)
                for other in element.slices
            ),
        )


def _of_closed(
    types: tuple[ElementType, ...], slicing: Slicing, *, is_choice: bool
) -> tuple[ElementType, ...]:
    """Return the types of a choice that its closed slicing by type leaves."""
    if (
        not is_choice
        or slicing.rules != "closed"
        or any(path != "$this" for _, path in slicing.discriminators)
    ):
        return types
    left = {t.code for s in slicing.slices for t in s.types}
    return tuple(t for t in types if t.code in left) or types


def read_facets(element: Element) -> Facets | None:
    """Return what an element's definition demands of a value itself, None if nothing."""
    facets = Facets(
        element.value("fixed"),
        element.value("pattern"),
        element.value("minValue"),
        element.value("maxValue"),
        element.definition.get("maxLength", 0),
    )
    return None if facets == Facets() else facets
