"""What an operation of FHIRPath Patch puts in, typed by the place where it goes.

https://hl7.org/fhir/R4/fhirpatch.html: the value is a value[x], or where the type has no name (a backbone element)
parts that are named like its elements.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from fhir_server.definitions import ElementInfo, TypeInfo, TypeModel
from fhir_server.interactions.patching.budget import copied
from fhir_server.interactions.patching.elements import Content
from fhir_server.outcome import FhirError, error

_PARAMETER = "Parameters.parameter"


@dataclass(frozen=True, slots=True)
class Slot:
    """An element of a type; ``key`` is the JSON name if it was given with its type, else ""."""

    element: ElementInfo
    key: str = ""


def slot(info: TypeInfo | None, name: str) -> Slot | None:
    """Return the element of a type by its FHIRPath name, or by its JSON name with the type (``valueString``)."""
    if info is None:
        return None
    if name in info.elements and not (info.kind == "primitive-type" and name == "value"):
        return Slot(info.elements[name])
    known = info.json_elements.get(name)
    return Slot(known[0], name) if known is not None and known[0].is_choice else None


def content(part: dict[str, Any], place: Slot, types: TypeModel, where: str) -> tuple[str, Content]:
    """Return the JSON name and the content of a part for an element.

    Raises FhirError 422 when the types don't go together; ``where`` begins its sentence.
    """
    found = next((key for key in part if key.lstrip("_").startswith("value")), None)
    element = place.element
    if found is None:
        return _without_value(part, place, types, where)
    key = found.removeprefix("_")
    given = _type_of_value(key, types)
    made = Content(copied(part.get(key)), copied(part.get("_" + key)))
    for name, wanted in element.json_keys().items():
        if place.key in ("", name) and _fits(given, wanted, element, types):
            return name, made
    raise _wrong_type(place, where, f"a {given} was sent")


def _without_value(part: dict[str, Any], place: Slot, types: TypeModel, where: str) -> tuple[str, Content]:
    element = place.element
    keys = {place.key: element.json_keys()[place.key]} if place.key else element.json_keys()
    if len(keys) != 1:
        raise _wrong_type(place, where, "parts don't say which of them is meant")
    [(key, type_)] = keys.items()
    if "resource" in part:
        resource = part["resource"]
        if not types.is_subtype(resource["resourceType"], type_):
            raise _wrong_type(place, where, f"a {resource['resourceType']} was sent")
        return key, Content(copied(resource))
    info = types.type(type_)
    if "part" not in part:
        raise error("required", f"{where}: the part value is empty; give it a value[x] or parts.")
    if info is None or info.kind not in ("complex-type", "backbone"):
        raise _wrong_type(place, where, "parts were sent")
    return key, Content(_assembled(part["part"], info, types, where))


def _assembled(parts: list[dict[str, Any]], info: TypeInfo, types: TypeModel, where: str) -> dict[str, Any]:
    """Return the value of a type from parts that are named like its elements; a list's parts repeat."""
    made: dict[str, Any] = {}
    for part in parts:
        place = slot(info, part["name"])
        if place is None:
            raise error("value", f"{where}: a part of the value is no element of {info.name}.", status=422)
        key, item = content(part, place, types, where)
        if place.element.is_list:
            _append(made, key, item)
        elif key in made or "_" + key in made:
            raise error("value", f"{where}: {place.element.name} occurs once only.", status=422)
        else:
            if item.value is not None:
                made[key] = item.value
            if item.sibling is not None:
                made["_" + key] = item.sibling
    return made


def _append(made: dict[str, Any], key: str, item: Content) -> None:
    values = made.setdefault(key, [])
    values.append(item.value)
    if item.sibling is not None or "_" + key in made:
        siblings = made.setdefault("_" + key, [])
        siblings += [None] * (len(values) - 1 - len(siblings))
        siblings.append(item.sibling)


def _type_of_value(key: str, types: TypeModel) -> str:
    parameter = types.type(_PARAMETER)
    assert parameter is not None
    return parameter.json_elements[key][1]


def _fits(given: str, wanted: str, element: ElementInfo, types: TypeModel) -> bool:
    """Tell whether a value of one type may stand where another is wanted.

    A choice takes its own types only. Elsewhere a primitive goes for a primitive (there is no value[x] for xhtml; a
    string is sent), and a special kind of Quantity for a Quantity; the validator judges the result.
    """
    if given == wanted:
        return True
    if element.is_choice:
        return False
    if _is_primitive(given, types) or _is_primitive(wanted, types):
        return _is_primitive(given, types) and _is_primitive(wanted, types)
    return types.is_subtype(given, wanted)


def _is_primitive(name: str, types: TypeModel) -> bool:
    info = types.type(name)
    return info is None or info.kind == "primitive-type"


def _wrong_type(place: Slot, where: str, found: str) -> FhirError:
    element = place.element
    names = [name for name in element.types if "." not in name]
    allowed = f"takes {' or '.join(names)}" if names else "is given by parts that are named like its elements"
    return error("value", f"{where}: {element.name} {allowed}; {found}.", status=422)
