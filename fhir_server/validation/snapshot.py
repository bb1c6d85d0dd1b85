"""Snapshots of profiles that are published as differential only.

The base's snapshot is read as a tree; each element of the differential is found in it, unfolding types, profiles of
types and content references on the way, and merged. https://hl7.org/fhir/R4/profiling.html#snapshot
"""

from __future__ import annotations

from typing import Any

from fhir_server.definitions import Definitions
from fhir_server.validation.differential import Node, Walker

#: Profiles on profiles on profiles: deeper than any that is published.
_DEEPEST = 20


class Snapshots:
    """Completes StructureDefinitions; keeps those that it made."""

    def __init__(self, definitions: Definitions) -> None:
        self._definitions = definitions
        self._made: dict[str, dict[str, Any]] = {}
        self._at_work: list[str] = []

    def complete(self, structure: dict[str, Any]) -> dict[str, Any]:
        """Return the definition with a snapshot: itself if it has one.

        Raises LookupError when its base isn't known, or when it builds on itself.
        """
        if structure.get("snapshot", {}).get("element"):
            return structure
        key = f"{structure['url']}|{structure.get('version', '')}"
        known = self._made.get(key)
        if known is not None and known["differential"] is structure.get("differential"):
            return known
        if key in self._at_work or len(self._at_work) > _DEEPEST:
            raise LookupError(f"{key} builds on itself")
        self._at_work.append(key)
        try:
            made = {**structure, "snapshot": {"element": self._elements(structure)}}
        finally:
            self._at_work.pop()
        made.setdefault("differential", None)
        self._made[key] = made
        return made

    def _elements(self, structure: dict[str, Any]) -> list[dict[str, Any]]:
        differential = structure.get("differential", {}).get("element", [])
        root = self._root(structure.get("baseDefinition", ""))
        if differential and differential[0]["path"].partition(".")[0] != root.name:
            raise LookupError(
                f"{structure['url']} isn't about {root.name}, which its baseDefinition is about"
            )
        walker = Walker(root, structure["url"], self.unfolded)
        for definition in differential:
            walker.apply(definition)
        found: list[dict[str, Any]] = []
        _write(root, root.name, root.name, found)
        return found

    def _root(self, url: str) -> Node:
        base = self._definitions.structure(url) if url else None
        if base is None:
            raise LookupError(f"its base {url or '(none)'} isn't known here")
        return read_tree(self.complete(base)["snapshot"]["element"])

    def unfolded(self, url: str) -> Node | None:
        """Return the tree of a type or profile, or None if it isn't known."""
        try:
            return self._root(url)
        except LookupError:
            return None


def read_tree(elements: list[dict[str, Any]]) -> Node:
    """Return a snapshot as a tree."""
    root = Node(elements[0]["path"], dict(elements[0]))
    latest = {root.name: root}
    for definition in elements[1:]:
        path = definition["path"]
        above, _, name = path.rpartition(".")
        parent = latest.get(above)
        if parent is None:
            continue
        node = Node(name, dict(definition))
        known = parent.child(name)
        if known is not None and "sliceName" in definition:
            known.slices.append(node)
        else:
            parent.children.append(node)
        latest[path] = node
    return root


def _write(node: Node, path: str, id_: str, found: list[dict[str, Any]]) -> None:
    found.append({**node.definition, "id": id_, "path": path})
    for child in node.children:
        for one in (child, *child.slices):
            name = one.definition.get("sliceName")
            _write(one, f"{path}.{child.name}", f"{id_}.{child.name}" + (f":{name}" if name else ""), found)
