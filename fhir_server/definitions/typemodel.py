"""The types of FHIR R4 and their elements, as the engines ask for them.

https://hl7.org/fhir/R4/datatypes.html, https://hl7.org/fhir/R4/resourcelist.html
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any


@dataclass(frozen=True, slots=True)
class ElementInfo:
    """One element of a type.

    ``name`` is the FHIRPath name (``value`` for ``value[x]``); ``types`` the allowed types (a backbone element has the
    type of its path, ``Patient.contact``); ``maximum`` 0 means no limit; ``targets`` are the allowed reference target
    types (``Resource`` means any).
    """

    name: str
    types: tuple[str, ...]
    minimum: int
    maximum: int
    is_choice: bool
    targets: tuple[str, ...]
    is_summary: bool

    @property
    def is_list(self) -> bool:
        """Tell whether JSON holds the element as an array."""
        return self.maximum != 1

    def json_keys(self) -> dict[str, str]:
        """Return the JSON property names of the element, each with its type: ``{"valueQuantity": "Quantity"}``."""
        if not self.is_choice:
            return {self.name: self.types[0]}
        return {self.name + type_[0].upper() + type_[1:]: type_ for type_ in self.types}


@dataclass(frozen=True)
class TypeInfo:
    """One type: ``kind`` is resource, complex-type, primitive-type or backbone; elements include inherited ones."""

    name: str
    kind: str
    base: str
    is_abstract: bool
    elements: Mapping[str, ElementInfo] = field(repr=False)

    @cached_property
    def json_elements(self) -> dict[str, tuple[ElementInfo, str]]:
        """Return the element and the type behind each JSON property name."""
        return {key: (e, type_) for e in self.elements.values() for key, type_ in e.json_keys().items()}


class TypeModel:
    """All types by name; built from the artefact's table ``types``, each type when it is first asked for."""

    def __init__(self, table: Mapping[str, Any]) -> None:
        self._table = table
        self._types: dict[str, TypeInfo] = {}
        #: The names of the concrete resource types, sorted (146 in R4 with Parameters and Bundle).
        self.resource_types: tuple[str, ...] = tuple(
            sorted(n for n, row in table.items() if row["kind"] == "resource" and not row["abstract"])
        )
        #: The same as a set.
        self.resource_type_names: frozenset[str] = frozenset(self.resource_types)

    def type(self, name: str) -> TypeInfo | None:
        """Return a type by its name (``Patient``, ``Quantity``, ``Patient.contact``) or None."""
        known = self._types.get(name)
        if known is None:
            row = self._table.get(name)
            if row is None:
                return None
            elements = {}
            for raw, types, minimum, maximum, targets, summary in row["elements"]:
                element = raw.removesuffix("[x]")
                elements[element] = ElementInfo(
                    element, tuple(types), minimum, maximum, raw.endswith("[x]"), tuple(targets), summary
                )
            known = self._types[name] = TypeInfo(name, row["kind"], row["base"], row["abstract"], elements)
        return known

    def names(self) -> list[str]:
        """Return the names of all types, backbone elements included."""
        return list(self._table)

    def is_subtype(self, name: str, ancestor: str) -> bool:
        """Tell whether a type is ``ancestor`` or derives from it (``Age`` from ``Quantity``)."""
        while name:
            if name == ancestor:
                return True
            row = self._table.get(name)
            name = row["base"] if row else ""
        return False
