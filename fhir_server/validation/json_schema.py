"""JSON Schema (draft 2020-12) of the base types of R4 and of profiles, generated from their snapshots.

For those who validate offline in another language. A schema says what JSON Schema can say: properties, types,
cardinality, one type of each choice, lexical forms, fixed values and patterns, slices, codes of required bindings. It
can't say invariants, what references point to, whether a date exists; for those there is ``$validate``.

https://json-schema.org/draft/2020-12, https://hl7.org/fhir/R4/json.html
"""

from __future__ import annotations

import re
from difflib import get_close_matches
from typing import Any

from fhir_server.datatypes.primitives import MAX_INTEGER, PRIMITIVES
from fhir_server.definitions import Definitions
from fhir_server.outcome import error
from fhir_server.validation.compiler import Compiler
from fhir_server.validation.json_schema_slices import sliced
from fhir_server.validation.json_schema_values import both, bound, facets
from fhir_server.validation.policy import Policy
from fhir_server.validation.protocols import CodeSets
from fhir_server.validation.schema import ElementSchema, ElementType, NodeSchema

DRAFT = "https://json-schema.org/draft/2020-12/schema"

Schema = dict[str, Any]

_STRUCTURE = "http://hl7.org/fhir/StructureDefinition/"

_DAY = r"[0-9]{4}(-(0[1-9]|1[0-2])(-(0[1-9]|[12][0-9]|3[01])"
_TIME = r"([01][0-9]|2[0-3]):[0-5][0-9]:([0-5][0-9]|60)(\.[0-9]+)?"
_ZONE = r"(Z|[+-](0[0-9]|1[0-4]):[0-5][0-9])"
_NO_SPACE = r"^\S+$"
_INTEGER = {"type": "integer", "minimum": -MAX_INTEGER - 1, "maximum": MAX_INTEGER}


def _text(pattern: str) -> Schema:
    return {"type": "string", "pattern": pattern}


_PRIMITIVES: dict[str, Schema] = {
    "boolean": {"type": "boolean"},
    "string": _text(r"\S"),
    "markdown": _text(r"\S"),
    "code": _text(r"^\S+( \S+)*$"),
    "id": _text(r"^[A-Za-z0-9\-.]{1,64}$"),
    "element-id": _text(_NO_SPACE),
    "uri": _text(_NO_SPACE),
    "url": _text(_NO_SPACE),
    "canonical": _text(_NO_SPACE),
    "oid": _text(r"^urn:oid:[0-2](\.(0|[1-9][0-9]*))+$"),
    "uuid": _text(r"^urn:uuid:[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$"),
    "date": _text(f"^{_DAY})?)?$"),
    "dateTime": _text(f"^{_DAY}(T{_TIME}{_ZONE})?)?)?$"),
    "instant": _text(f"^[0-9]{{4}}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])T{_TIME}{_ZONE}$"),
    "time": _text(f"^{_TIME}$"),
    "decimal": {"type": "number"},
    "integer": _INTEGER,
    "unsignedInt": {**_INTEGER, "minimum": 0},
    "positiveInt": {**_INTEGER, "minimum": 1},
    "base64Binary": _text(r"^(\s*[A-Za-z0-9+/=])+\s*$"),
    "xhtml": _text("^\\s*<"),
}


def json_schema(definitions: Definitions, code_sets: CodeSets, name: str, *, full: bool = False) -> Schema:
    """Return the schema of a base type (by its name or URL) or of a profile (by ``url`` or ``url|version``).

    Resources inside resources may be anything with a known resourceType, unless ``full``: then they are described too.
    Raises FhirError 404 for a name that is none, 422 for a profile that can't be used.
    """
    name = name.removeprefix(_STRUCTURE) if definitions.types.type(name.removeprefix(_STRUCTURE)) else name
    structure = definitions.structure(name, exact=True) if "." not in name or ":" in name else None
    if structure is None:
        near = get_close_matches(name[:64], [n for n in definitions.types.names() if "." not in n], 1)
        hint = f": did you mean {near[0]}?" if near else "."
        raise error("not-found", f"There is no type of this name in R4, and no profile of this address{hint}")
    generator = _Generator(definitions, code_sets, full=full)
    is_profile = structure.get("derivation") == "constraint"
    source = definitions.package
    if is_profile:
        source = f"{structure['url']}|{structure.get('version', '')}"
    try:
        reference = generator.reference(name, "" if is_profile else structure["type"])
        described = generator.finished()
    except (LookupError, ValueError) as reason:
        raise error("not-supported", f"The profile can't be used: {reason}.", status=422) from None
    return {
        "$schema": DRAFT,
        "title": structure.get("name", name) if is_profile else structure["type"],
        "description": source if is_profile else f"{source}, {structure['url']}",
        "$ref": reference,
        "$defs": described,
    }


class _Generator:
    """Collects the definitions of a type or profile and of all that it refers to."""

    def __init__(self, definitions: Definitions, code_sets: CodeSets, *, full: bool) -> None:
        self._compiler = Compiler(definitions, code_sets, Policy())
        self._definitions = definitions
        self._code_sets = code_sets
        self._full = full
        self._done: dict[str, Schema] = {}
        #: What is to be described: structure and node by the name of its definition.
        self._waiting: dict[str, tuple[str, str]] = {}
        self._names: dict[tuple[str, str], str] = {}

    def reference(self, structure: str, node: str) -> str:
        """Return the reference to a node of a type or profile ("" is the profile's root), which is described later."""
        key = (structure, node)
        name = self._names.get(key)
        if name is None:
            name = self._names[key] = self._name(structure, node)
            self._waiting[name] = key
        return f"#/$defs/{name}"

    def _name(self, structure: str, node: str) -> str:
        if "/" not in structure and ":" not in structure:
            return node
        url = structure.partition("|")[0].partition("#")[0]
        name = re.sub(
            r"[^A-Za-z0-9.-]+", "_", f"{url.rpartition('/')[2]}:{node}" if node else url.rpartition("/")[2]
        )
        taken = set(self._names.values())
        return next(n for n in (name, *(f"{name}_{i}" for i in range(2, 1000))) if n not in taken)

    def finished(self) -> dict[str, Schema]:
        """Return all definitions, by name; raises LookupError if one can't be had."""
        while self._waiting:
            name, (structure, node) = self._waiting.popitem()
            self._done[name] = self._definition(structure, node)
        return dict(sorted(self._done.items()))

    def _definition(self, structure: str, node: str) -> Schema:
        if node in _PRIMITIVES:
            return _PRIMITIVES[node]
        if node == "Resource":
            return self._any_resource()
        if not node and (base := self._compiler.base_of(structure)) in PRIMITIVES:
            return {"$ref": self.reference(base, base)}
        return self._object(structure, self._compiler.schema(structure, node))

    def _any_resource(self) -> Schema:
        names = list(self._definitions.types.resource_types)
        schema: Schema = {
            "type": "object",
            "required": ["resourceType"],
            "properties": {"resourceType": {"enum": names}},
        }
        if self._full:
            schema["allOf"] = [
                {
                    "if": {"properties": {"resourceType": {"const": name}}},
                    "then": {"$ref": self.reference(name, name)},
                }
                for name in names
            ]
        return schema

    def _object(self, structure: str, node: NodeSchema) -> Schema:
        properties: dict[str, Schema] = {}
        required: list[str] = []
        conditions: list[Schema] = []
        if node.kind == "resource":
            properties["resourceType"] = {"const": node.type_name}
            required.append("resourceType")
        for element in node.elements:
            if element.is_prohibited:
                continue
            keys: list[str] = []
            for key, type_ in element.json_keys().items():
                properties[key] = self._property(structure, element, type_)
                keys.append(key)
                if type_ is not None and _is_primitive(type_) and type_.code != "xhtml":
                    properties[f"_{key}"] = self._sibling(structure, element)
            if element.is_choice:
                conditions.append(_one_of(keys, properties, needed=element.minimum > 0))
                conditions += _needed_types(element, properties)
            elif element.minimum and f"_{keys[0]}" in properties and not element.needs_value:
                conditions.append(_either(keys[0]))
            elif element.minimum:
                required += keys
        return {
            "type": "object",
            "properties": properties,
            "additionalProperties": False,
            "minProperties": 1,
            **({"required": required} if required else {}),
            **({"allOf": conditions} if conditions else {}),
        }

    def _property(self, structure: str, element: ElementSchema, type_: ElementType | None) -> Schema:
        if element.slicing is not None and not element.is_list:
            own = [
                s
                for s in element.slicing.slices
                if [t.code for t in s.types] == [type_.code if type_ else ""]
            ]
            return both(
                self._item(structure, element, type_), *(self._item(structure, s, s.types[0]) for s in own)
            )
        item = self._item(structure, element, type_)
        if not element.is_list:
            return item
        if type_ is not None and _is_primitive(type_):
            item = {"anyOf": [item, {"type": "null"}]}
        listed: Schema = {"type": "array", "items": item, "minItems": max(element.minimum, 1)}
        if element.maximum:
            listed["maxItems"] = element.maximum
        if element.slicing is None:
            return listed
        slices = sliced(
            element.slicing,
            lambda s: self._item(structure, s, s.types[0] if s.types else None),
            self._compiler,
        )
        return both(listed, slices)

    def _item(self, structure: str, element: ElementSchema, type_: ElementType | None) -> Schema:
        limits = facets(element.facets)
        if type_ is None or element.node:
            return both({"$ref": self.reference(element.owner or structure, element.node)}, limits)
        url = element.value_set if element.strength == "required" else element.max_value_set
        binding = bound(self._code_sets, url, type_.code)
        if "enum" in binding:
            return both(binding, limits)
        profiles = [p for p in type_.profiles if "#" not in p and self._is_usable(p)]
        if profiles:
            known = len(profiles) == len(type_.profiles)
            described: list[Schema] = [{"$ref": self.reference(p, "")} for p in profiles]
            value: Schema = {"anyOf": described} if len(described) > 1 else described[0]
            return both(value if known else {"$ref": self._type(type_.code)}, binding, limits)
        return both({"$ref": self._type(type_.code)}, binding, limits)

    def _type(self, code: str) -> str:
        name = "Resource" if code == "DomainResource" else code
        return self.reference(name, name)

    def _is_usable(self, profile: str) -> bool:
        try:
            self._compiler.schema(profile, "")
        except (LookupError, ValueError):
            return False
        return True

    def _sibling(self, structure: str, element: ElementSchema) -> Schema:
        node = element.sibling_node
        beside = {"$ref": self.reference(structure, node) if node else self.reference("Element", "Element")}
        if not element.is_list:
            return beside
        return {"type": "array", "items": {"anyOf": [beside, {"type": "null"}]}, "minItems": 1}


def _needed_types(element: ElementSchema, properties: dict[str, Schema]) -> list[Schema]:
    """Return the types that a choice must have because a slice of it must be there."""
    found: list[Schema] = []
    for slice_ in element.slicing.slices if element.slicing is not None else ():
        if slice_.minimum and len(slice_.types) == 1:
            [key] = slice_.json_keys()
            if key in properties:
                found.append(_either(key) if f"_{key}" in properties else {"required": [key]})
    return found


def _is_primitive(type_: ElementType) -> bool:
    return type_.code in PRIMITIVES or type_.code in _PRIMITIVES


def _either(key: str) -> Schema:
    """Return that a primitive element is there, with a value or with what stands beside it."""
    return {"anyOf": [{"required": [key]}, {"required": [f"_{key}"]}]}


def _one_of(keys: list[str], properties: dict[str, Schema], *, needed: bool) -> Schema:
    """Return that a choice has one type: exactly one, or at most one."""
    present = [_either(key) if f"_{key}" in properties else {"required": [key]} for key in keys]
    if needed:
        return {"oneOf": present}
    return {"oneOf": [{"not": {"anyOf": present}}, *present]}
