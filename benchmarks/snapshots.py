"""Published snapshots, as a reader of their own asks them: children, types and targets of elements, by their ids.

Shares no code with the validator, so that what is derived from it can judge the validator.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from fhir_server.definitions import Definitions
from fhir_server.terminology import CodeSets

#: A definition of an element, with the StructureDefinition that it is in.
Placed = tuple[dict[str, Any], dict[str, Any]]


class Snapshots:
    """The snapshots of a set of definitions, asked by the ids of elements."""

    def __init__(self, definitions: Definitions) -> None:
        self._definitions = definitions
        self._code_sets = CodeSets(definitions)
        self.types = definitions.types
        self._children: dict[int, dict[str, dict[str, list[dict[str, Any]]]]] = {}
        self.structure = cache(definitions.structure)

    def root(self, url: str) -> Placed | None:
        """Return the root of a type or profile that has a snapshot."""
        structure = self.structure(url)
        if structure is None or not structure.get("snapshot", {}).get("element"):
            return None
        return structure["snapshot"]["element"][0], structure

    def children(self, placed: Placed) -> tuple[dict[str, Any], dict[str, list[dict[str, Any]]]] | None:
        """Return the structure of an element's children, and these by name: the element, then its slices."""
        element, structure = placed
        known = self._children.get(id(structure))
        if known is None:
            known = self._children[id(structure)] = {}
            for definition in structure["snapshot"]["element"][1:]:
                above, _, last = definition["id"].rpartition(".")
                known.setdefault(above, {}).setdefault(last.partition(":")[0], []).append(definition)
        own = known.get(element["id"])
        if own is not None:
            return structure, own
        if "contentReference" in element:
            id_ = element["contentReference"].rpartition("#")[2]
            target = next((e for e in structure["snapshot"]["element"] if e["id"] == id_), None)
            return self.children((target, structure)) if target is not None else None
        roots = self.of_types(element)
        return self.children(roots[0]) if len(roots) == 1 and roots[0][0] is not element else None

    def of_types(self, element: dict[str, Any]) -> list[Placed]:
        """Return the root of the one type, or of the one profile on it, of an element."""
        types = element.get("type", [])
        if len(types) != 1 or "/System." in types[0]["code"] or "fhirpath" in types[0]["code"]:
            return []
        profiles = types[0].get("profile", [])
        root = self.root(profiles[0]) if len(profiles) == 1 and "_profile" not in types[0] else None
        root = root or self.root(types[0]["code"])
        return [root] if root is not None else []

    def targets(self, type_: dict[str, Any]) -> set[str] | None:
        """Return the resource types that a Reference may point to; None for any, or if they aren't known."""
        found = set()
        for url in type_.get("targetProfile", ()):
            structure = self.structure(url)
            if structure is None:
                return None
            found.add(structure["type"])
        return None if not found or found & {"Resource", "DomainResource"} else found

    def is_outside(self, value_set: str, system: str, code: str) -> bool:
        """Tell whether a code surely isn't in a value set."""
        members = self._code_sets.codes(value_set)
        return members is not None and bool(members.codes) and not members.has_concept(system, code)

    def extension_context(self, url: str) -> list[str] | None:
        """Return the expressions of an extension's contexts, None if one isn't an element's path."""
        structure = self.structure(url) if ":" in url else None
        contexts = structure.get("context", []) if structure is not None else []
        plain_ones = [c["expression"] for c in contexts if c["type"] == "element"]
        return plain_ones if plain_ones and len(plain_ones) == len(contexts) else None
