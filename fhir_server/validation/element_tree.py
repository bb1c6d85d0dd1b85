"""A snapshot as a tree: elements with their children and slices.

https://hl7.org/fhir/R4/elementdefinition.html#path, https://hl7.org/fhir/R4/profiling.html#slicing
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from fhir_server.definitions import TypeModel


@dataclass(slots=True, eq=False)
class Element:
    """One element of a snapshot.

    ``name`` is the FHIRPath name (``value`` for ``value[x]``) and ``type_name`` that of its one type in the
    type model (of a backbone element its path there), or "" if it has several. ``children`` are by name, without
    slices; ``slices`` are those directly below it: a re-slice ``a/b`` is a slice of the slice ``a``.
    """

    definition: dict[str, Any]
    name: str
    path: str
    type_name: str
    is_choice: bool
    is_list: bool
    id: str = ""
    children: dict[str, Element] = field(default_factory=dict)
    slices: list[Element] = field(default_factory=list)

    @property
    def slice_name(self) -> str:
        """The name of the slice, "" if it is none."""
        return str(self.definition.get("sliceName", ""))

    def value(self, prefix: str) -> tuple[Any] | None:
        """Return ``fixed[x]``, ``pattern[x]``, ``minValue[x]`` or ``maxValue[x]`` as a tuple of one, or None."""
        for key, value in self.definition.items():
            if key.startswith(prefix) and key[len(prefix) : len(prefix) + 1].isupper():
                return (value,)
        return None

    def walk(self) -> Iterator[Element]:
        """Yield the element, and all below it, slices included."""
        yield self
        for other in (*self.slices, *self.children.values()):
            yield from other.walk()


def tree(structure: dict[str, Any], types: TypeModel) -> Element:
    """Return the root of a StructureDefinition's snapshot."""
    definitions = structure["snapshot"]["element"]
    root = Element(
        definitions[0],
        definitions[0]["path"],
        definitions[0]["path"],
        structure["type"],
        False,
        False,
        definitions[0]["path"],
    )
    latest: dict[str, Element] = {root.path: root}
    for definition in definitions[1:]:
        raw = definition["path"]
        parent = latest.get(raw.rpartition(".")[0])
        if parent is None:
            continue  # a snapshot that isn't in order
        element = _element(definition, parent, types)
        _attach(element, parent)
        latest[raw] = latest[element.path] = element
    return root


def _element(definition: dict[str, Any], parent: Element, types: TypeModel) -> Element:
    """Return an element; ``valueQuantity`` as a path is read as a slice of ``value[x]``."""
    name = definition["path"].rpartition(".")[2]
    info = types.type(parent.type_name)
    model = info.elements.get(name.removesuffix("[x]")) if info is not None else None
    if model is None and info is not None and name in info.json_elements:
        model, code = info.json_elements[name]
        definition = {"sliceName": name, **definition}
        definition.setdefault("type", [{"code": code}])
        name = model.name + "[x]"
    is_choice = name.endswith("[x]")
    codes = [t["code"] for t in definition.get("type", [])]
    if model is not None and model.types and _is_backbone(model.types[0], types):
        type_name = model.types[0]
    elif len(codes) == 1:
        type_name = codes[0] if "/" not in codes[0] or model is None else model.types[0]
    else:
        type_name = ""
    base_maximum = definition.get("base", {}).get("max", definition.get("max", "1"))
    is_list = model.is_list if model is not None else base_maximum != "1"
    path = f"{parent.path}.{name}"
    slice_name = definition.get("sliceName", "")
    id_ = f"{parent.id}.{name}" + (f":{slice_name}" if slice_name else "")
    return Element(definition, name.removesuffix("[x]"), path, type_name, is_choice, is_list, id_)


def _is_backbone(name: str, types: TypeModel) -> bool:
    info = types.type(name)
    return info is not None and info.kind == "backbone"


def _attach(element: Element, parent: Element) -> None:
    known = parent.children.get(element.name)
    slice_name = element.slice_name
    if known is None:
        parent.children[element.name] = element
    elif slice_name:
        _slice_holder(known, slice_name).slices.append(element)


def _slice_holder(element: Element, slice_name: str) -> Element:
    """Return the slice that ``slice_name`` slices again, or the element itself."""
    for other in element.slices:
        if slice_name.startswith(other.slice_name + "/"):
            return _slice_holder(other, slice_name)
    return element
