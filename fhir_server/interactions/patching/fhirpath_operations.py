"""The operations of a FHIRPath Patch, read from its Parameters resource.

https://hl7.org/fhir/R4/fhirpatch.html
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from fhir_server.interactions.patching.budget import check_number
from fhir_server.outcome import error

LONGEST_PATH = 2000

_NEEDED = {
    "add": ("path", "name", "value"),
    "insert": ("path", "index", "value"),
    "delete": ("path",),
    "replace": ("path", "value"),
    "move": ("path", "source", "destination"),
}
_TEXTS = ("valueCode", "valueString")
_NUMBERS = ("valueInteger", "valueUnsignedInt", "valuePositiveInt")


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation; parts that its type has not are empty. ``where`` names it to the sender."""

    type: str
    path: str
    name: str
    value: dict[str, Any]
    numbers: dict[str, int]
    where: str


def read_operations(parameters: dict[str, Any]) -> tuple[Operation, ...]:
    """Return the operations of a valid Parameters resource; raise FhirError 400 when one is malformed."""
    rows = parameters.get("parameter", [])
    check_number(len(rows))
    return tuple(_operation(row, number) for number, row in enumerate(rows))


def _operation(row: dict[str, Any], number: int) -> Operation:
    place = f"Parameters.parameter[{number}]"
    where = f"Operation {number + 1}"
    if row.get("name") != "operation":
        raise error(
            "value", 'Each parameter of a FHIRPath Patch is named "operation".', expression=f"{place}.name"
        )
    parts: dict[str, dict[str, Any]] = {}
    for part in row.get("part", ()):
        name = part["name"]
        if name in parts:
            raise error("structure", f"{where} has two parts of the same name.", expression=place)
        parts[name] = part
    type_ = _text(parts, "type", where, place)
    needed = _NEEDED.get(type_)
    if needed is None:
        raise error("value", f"{where}: type is one of {', '.join(_NEEDED)}.", expression=place)
    where = f"{where} ({type_})"
    if parts.keys() - {"type", *needed}:
        allowed = ", ".join(("type", *needed))
        raise error("value", f"{where} takes the parts {allowed} and no others.", expression=place)
    if "value" in needed and "value" not in parts:
        raise error("required", f"{where} has no part value.", expression=place)
    path = _text(parts, "path", where, place)
    if len(path) > LONGEST_PATH:
        raise error("too-long", f"{where}: the path is too long.", expression=place, status=400)
    return Operation(
        type_,
        path,
        _text(parts, "name", where, place) if "name" in needed else "",
        parts.get("value", {}),
        {name: _number(parts, name, where, place) for name in needed if name in _POSITIONS},
        where,
    )


_POSITIONS = ("index", "source", "destination")


def _text(parts: dict[str, dict[str, Any]], name: str, where: str, place: str) -> str:
    part = parts.get(name, {})
    text = next((part[key] for key in _TEXTS if key in part), None)
    if not isinstance(text, str):
        kind = "valueCode" if name == "type" else "valueString"
        raise error("required", f"{where} needs a part {name} with a {kind}.", expression=place)
    return text


def _number(parts: dict[str, dict[str, Any]], name: str, where: str, place: str) -> int:
    part = parts.get(name, {})
    number = next((part[key] for key in _NUMBERS if key in part), None)
    if not isinstance(number, int) or isinstance(number, bool) or number < 0:
        raise error(
            "required", f"{where} needs a part {name} with a valueInteger of 0 or more.", expression=place
        )
    return number
