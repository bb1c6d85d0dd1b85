"""A StructureDefinition's snapshot as the compact nodes and elements that code is generated from.

https://hl7.org/fhir/R4/elementdefinition.html
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

_STRUCTURE = "http://hl7.org/fhir/StructureDefinition/"
_SYSTEM = "http://hl7.org/fhirpath/System."
_FHIR_TYPE = _STRUCTURE + "structuredefinition-fhir-type"
#: Marks constraints that are evaluated only on request.
BEST_PRACTICE = _STRUCTURE + "elementdefinition-bestpractice"


@dataclass(frozen=True, slots=True)
class Constraint:
    """One invariant of an element."""

    key: str
    severity: str
    human: str
    expression: str
    is_best_practice: bool


@dataclass(frozen=True, slots=True)
class ElementType:
    """One allowed type: ``profile`` is the URL of the one profile on it that R4 core demands, or empty.

    ``targets`` are the base types that a Reference may point to; empty means any.
    """

    code: str
    profile: str
    targets: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ElementSchema:
    """One element.

    ``path`` is that of its definition (``Observation.value[x]``), ``name`` the FHIRPath name; ``maximum`` 0
    means no limit; ``value_set`` is the URL of a required binding or empty; ``node`` is the path of the
    node that describes its children if they are defined inline or by contentReference; ``constraints`` are
    its own, without those of its type.
    """

    path: str
    name: str
    minimum: int
    maximum: int
    is_list: bool
    is_choice: bool
    types: tuple[ElementType, ...]
    value_set: str
    node: str
    constraints: tuple[Constraint, ...]

    def json_keys(self) -> dict[str, ElementType | None]:
        """Return the JSON property names with the type behind each; None for children defined inline."""
        if self.is_choice:
            return {self.name + t.code[0].upper() + t.code[1:]: t for t in self.types}
        return {self.name: self.types[0] if self.types else None}


@dataclass(frozen=True, slots=True)
class NodeSchema:
    """One object of JSON: a resource, a datatype or a backbone element.

    ``type_name`` is the name in the type model, ``kind`` resource, complex-type or backbone.
    """

    path: str
    type_name: str
    kind: str
    elements: tuple[ElementSchema, ...]
    constraints: tuple[Constraint, ...]


def read(structure: dict[str, Any]) -> dict[str, NodeSchema]:
    """Return the nodes of a StructureDefinition with snapshot, by path; the root's is the type's name."""
    definitions = [e for e in structure["snapshot"]["element"] if ":" not in e["id"]]
    children: dict[str, list[dict[str, Any]]] = {}
    for definition in definitions[1:]:
        children.setdefault(definition["path"].rpartition(".")[0], []).append(definition)
    nodes = {}
    for definition in definitions:
        path = definition["path"]
        if path in children:
            root = "." not in path
            nodes[path] = NodeSchema(
                path,
                path,
                structure["kind"] if root else "backbone",
                tuple(
                    _element(child, children, structure) for child in children[path] if child["max"] != "0"
                ),
                _constraints(definition),
            )
    return nodes


def _element(
    definition: dict[str, Any], children: dict[str, list[dict[str, Any]]], structure: dict[str, Any]
) -> ElementSchema:
    path = definition["path"]
    name = path.rpartition(".")[2]
    inline = path in children
    node = path if inline else definition.get("contentReference", "").rpartition("#")[2]
    binding = definition.get("binding", {})
    is_required = binding.get("strength") == "required"
    maximum = definition["max"]
    url = structure["url"]
    return ElementSchema(
        path,
        name.removesuffix("[x]"),
        definition["min"],
        0 if maximum == "*" else int(maximum),
        definition.get("base", {}).get("max", maximum) != "1",
        name.endswith("[x]"),
        () if node else tuple(_type(t, path, structure) for t in definition.get("type", [])),
        binding.get("valueSet", "").partition("|")[0] if is_required else "",
        node,
        () if inline else tuple(c for c in _constraints(definition, url)),
    )


def _type(type_: dict[str, Any], path: str, structure: dict[str, Any]) -> ElementType:
    code = type_["code"]
    if code.startswith(_SYSTEM):
        code = next((e["valueUrl"] for e in type_.get("extension", []) if e["url"] == _FHIR_TYPE), "string")
        # Resource.id has no lexical rule in the snapshots, Element.id only a sentence.
        if path.endswith(".id"):
            code = "id" if structure["kind"] == "resource" and path.count(".") == 1 else "element-id"
    profiles = type_.get("profile", [])
    targets = tuple(t.removeprefix(_STRUCTURE) for t in type_.get("targetProfile", []))
    return ElementType(
        code, profiles[0] if len(profiles) == 1 else "", () if "Resource" in targets else targets
    )


def _constraints(definition: dict[str, Any], source: str = "") -> tuple[Constraint, ...]:
    """Return the invariants of a definition; with ``source``, only those that don't come from the type."""
    return tuple(
        Constraint(
            c["key"],
            c["severity"],
            c["human"],
            c.get("expression", ""),
            any(e["url"] == BEST_PRACTICE and e.get("valueBoolean") for e in c.get("extension", [])),
        )
        for c in definition.get("constraint", [])
        if not source or c.get("source", source) == source
    )
