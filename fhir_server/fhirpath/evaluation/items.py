"""The items of a collection: FHIR elements, and values of the System types.

System values are plain Python: bool, int, Decimal, str, Temporal, Quantity. https://hl7.org/fhir/R4/fhirpath.html#types
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from fhir_server.datatypes import quantity
from fhir_server.datatypes.quantity import Quantity
from fhir_server.datatypes.temporal import Temporal, parse_date, parse_date_time, parse_time
from fhir_server.fhirpath.errors import FhirPathError
from fhir_server.fhirpath.protocols import Types

System = bool | int | Decimal | str | Temporal | Quantity


@dataclass(frozen=True, slots=True, eq=False)
class Node:
    """A FHIR element: its JSON value (None for a primitive with only extensions), type and sibling."""

    value: Any
    type: str
    sibling: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class ClassInfo:
    """What ``type()`` returns."""

    namespace: str
    name: str


Item = System | Node | ClassInfo
Items = list[Any]

QUANTITIES = {"Quantity", "Age", "Count", "Distance", "Duration", "MoneyQuantity", "SimpleQuantity"}
_INTEGERS = {"integer", "positiveInt", "unsignedInt"}


def system(item: Any) -> Any:
    """Return an item's System value: itself, that of a FHIR primitive or Quantity, or None."""
    if item.__class__ is not Node:
        return item
    value, type_ = item.value, item.type
    if value is None:
        return None
    if isinstance(value, str):
        if type_ in {"dateTime", "instant"}:
            return parse_date_time(value)
        if type_ == "date":
            return parse_date(value)
        return parse_time(value) if type_ == "time" else value
    if isinstance(value, bool) or type_ in _INTEGERS:
        return value
    if type_ == "decimal":
        number = value if isinstance(value, Decimal) else Decimal(str(value))
        if not quantity.in_range(number):
            raise FhirPathError("execution", "a number is out of range")
        return number
    if type_ in QUANTITIES:
        return quantity.from_json(value)
    return None


_NAMES: list[tuple[type, str]] = [
    (bool, "Boolean"),
    (int, "Integer"),
    (Decimal, "Decimal"),
    (str, "String"),
    (Quantity, "Quantity"),
]
_TEMPORAL = {"date": "Date", "dateTime": "DateTime", "time": "Time"}


def class_of(item: Any) -> ClassInfo:
    """Return the namespace and name of an item's type."""
    if isinstance(item, Node):
        return ClassInfo("FHIR", item.type)
    if isinstance(item, Temporal):
        return ClassInfo("System", _TEMPORAL[item.kind])
    return ClassInfo("System", next((name for kind, name in _NAMES if isinstance(item, kind)), "Any"))


def nodes(value: Any, type_name: str, sibling: Any) -> Items:
    """Return the nodes of one JSON member with its ``_name`` sibling."""
    if value.__class__ is list or sibling.__class__ is list:
        values = value or []
        siblings = sibling or []
        count = max(len(values), len(siblings))
        return [
            Node(v, _concrete(v, type_name), s)
            for v, s in zip(_padded(values, count), _padded(siblings, count), strict=True)
        ]
    if value is None and sibling is None:
        return []
    return [Node(value, _concrete(value, type_name), sibling)]


def _padded(items: list[Any], count: int) -> list[Any]:
    return items if len(items) == count else [*items, *[None] * (count - len(items))]


def _concrete(value: Any, type_name: str) -> str:
    if value.__class__ is dict and "resourceType" in value and type_name in {"Resource", "DomainResource"}:
        return str(value["resourceType"])
    return type_name


def children_named(item: Any, name: str, types: Types) -> Items:
    """Return the children of an item by FHIRPath name."""
    if item.__class__ is not Node:
        return [getattr(item, name)] if isinstance(item, ClassInfo) and name in {"namespace", "name"} else []
    owner, primitive = item.value, is_primitive(item.type, types)
    if primitive:
        owner = item.sibling
        if name not in {"id", "extension"}:
            return []
    if owner.__class__ is not dict:
        return []
    info = types.type("Element" if primitive and types.type(item.type) is None else item.type)
    element = info.elements.get(name) if info else None
    if element is None:
        return []
    found: Items = []
    for key, type_name in json_keys(info, element).items():
        if key in owner or "_" + key in owner:
            found += nodes(owner.get(key), type_name, owner.get("_" + key))
    return found


def json_keys(info: Any, element: Any) -> Mapping[str, str]:
    """Return an element's JSON names and types; the R4 snapshots don't say that a resource's id is an id."""
    if element.name == "id" and info.kind == "resource":
        return {"id": "id"}
    keys: Mapping[str, str] = element.json_keys()
    return keys


def children(item: Any, types: Types) -> Items:
    """Return all children of an item, in the order of the JSON members."""
    if item.__class__ is not Node:
        return []
    owner = item.sibling if is_primitive(item.type, types) else item.value
    info = types.type(item.type)
    if owner.__class__ is not dict or info is None:
        return []
    found: Items = []
    for member, value in owner.items():
        key = member.removeprefix("_")
        entry = info.json_elements.get(key)
        if entry is None or (key != member and key in owner):
            continue
        type_name = "id" if key == "id" and info.kind == "resource" else entry[1]
        found += nodes(value if key == member else None, type_name, owner.get("_" + key))
    return found


def is_primitive(type_name: str, types: Types) -> bool:
    """Tell whether a FHIR type is a primitive."""
    info = types.type(type_name)
    return info is None or info.kind == "primitive-type"
