"""Functions that generated code calls; each works on plain JSON values."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from fhir_server.datatypes import quantity, temporal
from fhir_server.datatypes.quantity import Quantity
from fhir_server.datatypes.temporal import Temporal, parse_date_time, parse_time
from fhir_server.fhirpath.protocols import Types

#: The children of an element that isn't there.
NOTHING: dict[str, Any] = {}


def primitives(owner: dict[str, Any], key: str) -> Sequence[Any]:
    """Return a repeating primitive's values with None for each that has only extensions."""
    values = owner.get(key, ())
    siblings = owner.get("_" + key, ())
    missing = len(siblings) - len(values)
    return [*values, *[None] * missing] if missing > 0 else values


def distinct(items: Iterable[Any]) -> list[Any]:
    """Return the items without repetitions, in order."""
    found: list[Any] = []
    for item in items:
        if item not in found:
            found.append(item)
    return found


def is_distinct(items: list[Any]) -> bool:
    """Tell whether no two items are equal."""
    try:
        return len(set(items)) == len(items)
    except TypeError:
        return len(distinct(items)) == len(items)


def intersect(left: list[Any], right: list[Any]) -> list[Any]:
    """Return the items that are in both, each once."""
    return distinct(item for item in left if item in right)


def first(items: Sequence[Any]) -> Any:
    """Return the first item or None."""
    return items[0] if items else None


def lists_equal(left: list[Any], right: list[Any]) -> bool | None:
    """Return whether two lists are equal item by item, None when one is empty."""
    return left == right if left and right else None


def _moment(value: Any) -> Temporal | None:
    return parse_date_time(value) if isinstance(value, str) else value


def compare_dates(left: Any, right: Any) -> int | None:
    """Return -1, 0, 1 or None for dates, dateTimes and instants as text or as Temporal."""
    if left is None or right is None:
        return None
    if (
        left.__class__ is str
        and right.__class__ is str
        and len(left) == len(right)
        and (len(left) <= 10 or left[19:] == right[19:])
    ):
        return (left > right) - (left < right)
    first_, second = _moment(left), _moment(right)
    return None if first_ is None or second is None else temporal.compare(first_, second)


def compare_times(left: Any, right: Any) -> int | None:
    """Return -1, 0, 1 or None for times as text or as Temporal."""
    first_ = parse_time(left) if isinstance(left, str) else left
    second = parse_time(right) if isinstance(right, str) else right
    return None if first_ is None or second is None else temporal.compare(first_, second)


def compare_quantities(left: Any, right: Any) -> int | None:
    """Return -1, 0, 1 or None for Quantities as JSON or as Quantity.

    Two JSON Quantities with the same system and code, or without codes and with the same unit text, compare
    by value.
    """
    if left.__class__ is dict and right.__class__ is dict:
        if "value" not in left or "value" not in right:
            return None
        same = all(left.get(k) == right.get(k) for k in ("system", "code")) and (
            "code" in left or left.get("unit") == right.get("unit")
        )
        if same:
            return bool(left["value"] > right["value"]) - bool(left["value"] < right["value"])
    first_, second = _quantity(left), _quantity(right)
    return None if first_ is None or second is None else quantity.compare(first_, second)


def _quantity(value: Any) -> Quantity | None:
    return quantity.from_json(value) if isinstance(value, dict) else value


def substring(value: str | None, start: int, length: int | None = None) -> str | None:
    """Return ``substring()``: None when there is no value or the start lies outside."""
    if value is None or not 0 <= start < len(value):
        return None
    return value[start:] if length is None else value[start : start + max(length, 0)]


def count_children(node: dict[str, Any]) -> int:
    """Return how many children an element or resource has, primitives with only extensions included."""
    total = 0
    for key, value in node.items():
        if key == "resourceType":
            continue
        if key[0] == "_":
            if key[1:] not in node:
                total += len(value) if value.__class__ is list else 1
        else:
            total += len(value) if value.__class__ is list else 1
    return total


def extension_values(extension: dict[str, Any], types: Types) -> list[tuple[str, Any]]:
    """Return the value of an extension with its type, as a list of none or one."""
    for key, (element, type_name) in types.type("Extension").json_elements.items():  # type: ignore[union-attr]
        if element.name == "value" and key in extension:
            return [(type_name, extension[key])]
    return []


Kids = Callable[[str, Any, str], list[tuple[str, Any]]]


def children_by_name(types: Types) -> Kids:
    """Return the function that lists an element's children with a name, and their types."""
    tables: dict[tuple[str, str], list[tuple[str, str, bool]]] = {}

    def table(type_name: str, name: str) -> list[tuple[str, str, bool]]:
        info = types.type(type_name)
        found = tables[type_name, name] = []
        element = info.elements.get(name) if info else None
        if element is not None:
            for key, child in element.json_keys().items():
                child_info = types.type(child)
                found.append((key, child, child_info is None or child_info.kind == "primitive-type"))
        return found

    def kids(type_name: str, node: Any, name: str) -> list[tuple[str, Any]]:
        if node.__class__ is not dict:
            return []
        type_name = node.get("resourceType", type_name)
        entries = tables.get((type_name, name))
        if entries is None:
            entries = table(type_name, name)
        out: list[tuple[str, Any]] = []
        for key, child, primitive in entries:
            if key in node:
                value = node[key]
                out += [(child, item) for item in value] if value.__class__ is list else [(child, value)]
            elif primitive and "_" + key in node:
                value = node["_" + key]
                out += [(child, None)] * (len(value) if value.__class__ is list else 1)
        return out

    return kids


#: What a JSON member holds: plain values, elements, or the ``_name`` objects of plain values.
PRIMITIVE, COMPLEX, SIBLING = range(3)

Walk = Callable[[Any, str], list[tuple[str, Any]]]


def walker(types: Types) -> Walk:
    """Return the function that lists all descendants of an element with their types, primitives included."""
    tables: dict[str, dict[str, tuple[str, int]]] = {}

    def table(type_name: str) -> dict[str, tuple[str, int]]:
        info = types.type(type_name)
        elements = info.json_elements if info else {}
        found = tables[type_name] = {}
        for key, (_, child) in elements.items():
            child_info = types.type(child)
            if child_info is not None and child_info.kind != "primitive-type":
                found[key] = (child, COMPLEX)
            else:
                found[key] = (child, PRIMITIVE)
                found["_" + key] = ("Element", SIBLING)
        return found

    def walk(node: Any, type_name: str) -> list[tuple[str, Any]]:
        out: list[tuple[str, Any]] = []
        if node.__class__ is dict:
            visit(node, type_name, out)
        return out

    def visit(node: dict[str, Any], type_name: str, out: list[tuple[str, Any]]) -> None:
        if "resourceType" in node:
            type_name = node["resourceType"]
        children = tables.get(type_name)
        if children is None:
            children = table(type_name)
        for key, value in node.items():
            entry = children.get(key)
            if entry is None:
                continue
            child, kind = entry
            if value.__class__ is list:
                for item in value:
                    if kind != SIBLING and (item is not None or kind == PRIMITIVE):
                        out.append((child, item))
                    if item.__class__ is dict:
                        visit(item, child, out)
            elif kind == PRIMITIVE:
                out.append((child, value))
            else:
                if kind == COMPLEX:
                    out.append((child, value))
                visit(value, child, out)

    return walk


def refers_to(reference: dict[str, Any], types: tuple[str, ...], resource: dict[str, Any]) -> bool:
    """Tell from text, ``type`` or contained resources whether a Reference means one of these types."""
    text = reference.get("reference")
    if text is None:
        return reference.get("type") in types
    if text[:1] == "#":
        return any(
            c.get("id") == text[1:] and c.get("resourceType") in types for c in resource.get("contained", ())
        )
    parts = text.split("?", 1)[0].split("/_history/", 1)[0].rsplit("/", 2)
    return (len(parts) > 1 and parts[-2] in types) or reference.get("type") in types
