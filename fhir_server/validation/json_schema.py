"""JSON Schema (draft 2020-12) of the base types of R4, generated from their snapshots.

For those who validate offline in another language. A schema says what JSON Schema can say: properties, types,
cardinality, one type of each choice, lexical forms, codes of required bindings. It can't say invariants, the systems of
codings, what references point to, whether a date exists; for those there is ``$validate``.

https://json-schema.org/draft/2020-12, https://hl7.org/fhir/R4/json.html
"""

from __future__ import annotations

from difflib import get_close_matches
from typing import Any

from fhir_server.datatypes.primitives import MAX_INTEGER, PRIMITIVES
from fhir_server.definitions import Definitions
from fhir_server.outcome import error
from fhir_server.validation.protocols import CodeSets
from fhir_server.validation.schema import ElementSchema, ElementType, NodeSchema, read

DRAFT = "https://json-schema.org/draft/2020-12/schema"

Schema = dict[str, Any]

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


def json_schema(definitions: Definitions, code_sets: CodeSets, type_: str, *, full: bool = False) -> Schema:
    """Return the schema of a base type; raise FhirError 404 for a name that is none.

    Resources inside resources may be anything with a known resourceType, unless ``full``: then they are described too.
    """
    names = definitions.types.names()
    if type_ not in names or "." in type_:
        near = get_close_matches(type_[:64], names, 1)
        hint = f": did you mean {near[0]}?" if near else "."
        raise error("not-found", f"There is no type of this name in R4{hint}")
    generator = _Generator(definitions, code_sets, full=full)
    return {
        "$schema": DRAFT,
        "title": type_,
        "description": f"{definitions.package}, http://hl7.org/fhir/StructureDefinition/{type_}",
        "$ref": generator.reference(type_),
        "$defs": generator.finished(),
    }


class _Generator:
    """Collects the definitions of a type and of all that it refers to."""

    def __init__(self, definitions: Definitions, code_sets: CodeSets, *, full: bool) -> None:
        self._definitions = definitions
        self._code_sets = code_sets
        self._full = full
        self._done: dict[str, Schema] = {}
        self._waiting: list[str] = []
        self._nodes: dict[str, dict[str, NodeSchema]] = {}

    def reference(self, name: str) -> str:
        """Return the reference to a type or a node (``Patient.contact``), which is described later."""
        if name not in self._done and name not in self._waiting:
            self._waiting.append(name)
        return f"#/$defs/{name}"

    def finished(self) -> dict[str, Schema]:
        """Return all definitions, by name."""
        while self._waiting:
            name = self._waiting.pop()
            self._done[name] = self._definition(name)
        return dict(sorted(self._done.items()))

    def _definition(self, name: str) -> Schema:
        if name in _PRIMITIVES:
            return _PRIMITIVES[name]
        if name == "Resource":
            return self._any_resource()
        root = name.partition(".")[0]
        if root not in self._nodes:
            structure = self._definitions.structure(root)
            assert structure is not None, "the type model knows it"
            self._nodes[root] = read(structure)
        return self._object(self._nodes[root][name])

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
                    "then": {"$ref": self.reference(name)},
                }
                for name in names
            ]
        return schema

    def _object(self, node: NodeSchema) -> Schema:
        properties: dict[str, Schema] = {}
        required: list[str] = []
        conditions: list[Schema] = []
        if node.kind == "resource":
            properties["resourceType"] = {"const": node.type_name}
            required.append("resourceType")
        for element in node.elements:
            keys: list[str] = []
            for key, type_ in element.json_keys().items():
                properties[key] = self._property(element, type_)
                keys.append(key)
                if type_ is not None and _is_primitive(type_) and type_.code != "xhtml":
                    properties[f"_{key}"] = self._sibling(element)
            if element.is_choice:
                conditions.append(_one_of(keys, properties, needed=element.minimum > 0))
            elif element.minimum and f"_{keys[0]}" in properties:
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

    def _property(self, element: ElementSchema, type_: ElementType | None) -> Schema:
        item = self._item(element, type_)
        if not element.is_list:
            return item
        if type_ is not None and _is_primitive(type_):
            item = {"anyOf": [item, {"type": "null"}]}
        listed: Schema = {"type": "array", "items": item, "minItems": max(element.minimum, 1)}
        return {**listed, "maxItems": element.maximum} if element.maximum else listed

    def _item(self, element: ElementSchema, type_: ElementType | None) -> Schema:
        if type_ is None or element.node:
            return {"$ref": self.reference(element.node)}
        if element.value_set and type_.code in {"code", "string", "uri"}:
            code_set = self._code_sets.codes(element.value_set)
            if code_set is not None and code_set.codes:
                return {"enum": sorted(code_set.codes)}
        return {"$ref": self.reference(type_.code)}

    def _sibling(self, element: ElementSchema) -> Schema:
        beside = {"$ref": self.reference("Element")}
        if not element.is_list:
            return beside
        return {"type": "array", "items": {"anyOf": [beside, {"type": "null"}]}, "minItems": 1}


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
