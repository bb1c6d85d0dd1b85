"""A StructureDefinition's snapshot as the compact nodes and elements that code is generated from.

https://hl7.org/fhir/R4/elementdefinition.html
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from fhir_server.messages import defined
from fhir_server.validation.element_tree import Element

_STRUCTURE = "http://hl7.org/fhir/StructureDefinition/"
_SYSTEM = "http://hl7.org/fhirpath/System."
_FHIR_TYPE = _STRUCTURE + "structuredefinition-fhir-type"
_MAX_VALUE_SET = _STRUCTURE + "elementdefinition-maxValueSet"
_PROFILE_ELEMENT = _STRUCTURE + "elementdefinition-profile-element"
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
    """One allowed type: a value must conform to one of the ``profiles``, if there are any.

    ``targets`` are what a Reference may point to, as base types or URLs of profiles; empty means anything.
    ``aggregation`` and ``versioning`` are the rules on how it refers, empty when there are none.
    """

    code: str
    profiles: tuple[str, ...]
    targets: tuple[str, ...]
    aggregation: tuple[str, ...] = ()
    versioning: str = ""

    @property
    def profile(self) -> str:
        """The first profile, or empty; R4 core demands one at most."""
        return self.profiles[0] if self.profiles else ""


@dataclass(frozen=True, slots=True)
class Facets:
    """What a profile demands of a value itself; each value is a tuple of one, or None."""

    fixed: tuple[Any] | None = None
    pattern: tuple[Any] | None = None
    minimum: tuple[Any] | None = None
    maximum: tuple[Any] | None = None
    max_length: int = 0


@dataclass(frozen=True, slots=True)
class Slicing:
    """How the items of an element are told apart: discriminators as (type, path), and the slices in order."""

    discriminators: tuple[tuple[str, str], ...]
    rules: str
    is_ordered: bool
    slices: tuple[ElementSchema, ...]


@dataclass(frozen=True, slots=True)
class ElementSchema:
    """One element.

    ``path`` is that of its definition (``Observation.value[x]``), ``name`` the FHIRPath name; ``maximum`` 0
    means no limit; ``value_set`` is the URL of a binding of strength ``strength`` (required or extensible) or
    empty; ``node`` is the key of the node that describes its children if they are defined inline or by
    contentReference, in the structure ``owner`` ("": in the same one); ``constraints`` are its own, without
    those of its type. The rest is for profiles: ``is_prohibited`` tells that it must not be there, ``element`` is
    the element of the snapshot, ``slice_name`` the name of a slice, ``sibling_node`` the node
    of a primitive's extensions, ``needs_value`` tells that extensions alone won't do.
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
    strength: str = "required"
    max_value_set: str = ""
    owner: str = ""
    is_prohibited: bool = False
    facets: Facets | None = None
    slicing: Slicing | None = None
    slice_name: str = ""
    element: Element | None = None
    sibling_node: str = ""
    needs_value: bool = False

    def json_keys(self) -> dict[str, ElementType | None]:
        """Return the JSON property names with the type behind each; None for children defined inline."""
        if self.is_choice:
            return {self.name + t.code[0].upper() + t.code[1:]: t for t in self.types}
        return {self.name: self.types[0] if self.types else None}


@dataclass(frozen=True, slots=True)
class NodeSchema:
    """One object of JSON: a resource, a datatype or a backbone element.

    ``type_name`` is the name in the type model, ``kind`` resource, complex-type or backbone; ``profile`` is the
    URL of the profile that it belongs to, if any.
    """

    path: str
    type_name: str
    kind: str
    elements: tuple[ElementSchema, ...]
    constraints: tuple[Constraint, ...]
    profile: str = ""


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
                constraints(definition),
            )
    return nodes


def _element(
    definition: dict[str, Any], children: dict[str, list[dict[str, Any]]], structure: dict[str, Any]
) -> ElementSchema:
    path = definition["path"]
    name = path.rpartition(".")[2]
    inline = path in children
    node = path if inline else definition.get("contentReference", "").rpartition("#")[2]
    value_set, strength, max_value_set = bound(definition)
    maximum = definition["max"]
    url = structure["url"]
    return ElementSchema(
        path,
        name.removesuffix("[x]"),
        definition["min"],
        0 if maximum == "*" else int(maximum),
        definition.get("base", {}).get("max", maximum) != "1",
        name.endswith("[x]"),
        () if node else tuple(read_type(t, path, structure) for t in definition.get("type", [])),
        value_set,
        node,
        () if inline else tuple(c for c in constraints(definition, url)),
        strength,
        max_value_set,
    )


#: R4 binds the values of the components of vital signs to these units by mistake: an inhaled oxygen flow in L/min
#: could not be sent. R4B and the reference implementation say extensible.
_MILDER = frozenset({"http://hl7.org/fhir/ValueSet/ucum-vitals-common"})


def bound(definition: dict[str, Any]) -> tuple[str, str, str]:
    """Return value set and strength of a binding that matters (required, extensible), and the largest set allowed."""
    binding = definition.get("binding", {})
    strength = binding.get("strength", "")
    if binding.get("valueSet", "").partition("|")[0] in _MILDER:
        strength = "extensible"
    value_set = binding.get("valueSet", "") if strength in {"required", "extensible"} else ""
    largest = next(
        (
            e.get("valueCanonical", e.get("valueUri", e.get("valueReference", {}).get("reference", "")))
            for e in binding.get("extension", [])
            if e["url"] == _MAX_VALUE_SET
        ),
        "",
    )
    return value_set, strength, largest if strength != "required" else ""


def read_type(type_: dict[str, Any], path: str, structure: dict[str, Any]) -> ElementType:
    """Return one ``type`` of an element definition."""
    code = type_["code"]
    if code.startswith(_SYSTEM):
        code = next((e["valueUrl"] for e in type_.get("extension", []) if e["url"] == _FHIR_TYPE), "string")
        # Resource.id has no lexical rule in the snapshots, Element.id only a sentence.
        if path.endswith(".id"):
            code = "id" if structure["kind"] == "resource" and path.count(".") == 1 else "element-id"
    profiles = type_profiles(type_)
    targets = tuple(target(t) for t in type_.get("targetProfile", []))
    return ElementType(
        code,
        tuple(profiles),
        () if "Resource" in targets else targets,
        tuple(type_.get("aggregation", ())),
        type_.get("versioning", ""),
    )


def type_profiles(type_: dict[str, Any]) -> list[str]:
    """Return the profiles of a type; one that means an element of a profile ends with ``#`` and the element's id."""
    found = []
    siblings = type_.get("_profile", [])
    for index, url in enumerate(type_.get("profile", [])):
        sibling = siblings[index] if index < len(siblings) else None
        extensions = sibling.get("extension", ()) if isinstance(sibling, dict) else ()
        element = next((e.get("valueString", "") for e in extensions if e["url"] == _PROFILE_ELEMENT), "")
        found.append(f"{url}#{element}" if element else url)
    return found


def target(url: str) -> str:
    """Return the name of a type by the URL of its own definition, any other URL as it is."""
    name = url.removeprefix(_STRUCTURE).partition("|")[0]
    return url if "/" in name or ":" in name else name


def constraints(definition: dict[str, Any], source: str = "") -> tuple[Constraint, ...]:
    """Return the invariants of a definition; with ``source``, only those that don't come from the type."""
    return tuple(
        Constraint(
            c["key"],
            c["severity"],
            defined(c["human"], c.get("_human")),
            c.get("expression", ""),
            any(e["url"] == BEST_PRACTICE and e.get("valueBoolean") for e in c.get("extension", [])),
        )
        for c in definition.get("constraint", [])
        if not source or c.get("source", source) == source
    )
