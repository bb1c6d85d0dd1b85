"""Snapshots of profiles that are published as differential only.

The base's snapshot is read as a tree; each element of the differential is found in it, unfolding types, profiles of
types and content references on the way, and merged. https://hl7.org/fhir/R4/profiling.html#snapshot
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from fhir_server.definitions import Definitions

_STRUCTURE = "http://hl7.org/fhir/StructureDefinition/"
#: Lists that a differential adds to, with the member that tells their items apart ("": the whole item).
_ADDED = {"constraint": "key", "condition": "", "alias": "", "mapping": "map", "example": "label"}
#: Members of an element that its slices don't take over.
_NOT_OF_SLICES = {"slicing", "id", "condition"}
#: Profiles on profiles on profiles: deeper than any that is published.
_DEEPEST = 20


@dataclass(slots=True, eq=False)
class _Node:
    name: str
    definition: dict[str, Any]
    children: list[_Node] = field(default_factory=list)
    slices: list[_Node] = field(default_factory=list)

    def copy(self) -> _Node:
        return _Node(
            self.name,
            dict(self.definition),
            [c.copy() for c in self.children],
            [s.copy() for s in self.slices],
        )

    def child(self, name: str) -> _Node | None:
        return next((c for c in self.children if c.name == name), None)


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
        walker = _Walker(self, root, structure["url"])
        for definition in differential:
            walker.apply(definition)
        found: list[dict[str, Any]] = []
        _write(root, root.name, root.name, found)
        return found

    def _root(self, url: str) -> _Node:
        base = self._definitions.structure(url) if url else None
        if base is None:
            raise LookupError(f"its base {url or '(none)'} isn't known here")
        return read_tree(self.complete(base)["snapshot"]["element"])

    def unfolded(self, url: str) -> _Node | None:
        """Return the tree of a type or profile, or None if it isn't known."""
        try:
            return self._root(url)
        except LookupError:
            return None


def read_tree(elements: list[dict[str, Any]]) -> _Node:
    """Return a snapshot as a tree."""
    root = _Node(elements[0]["path"], dict(elements[0]))
    latest = {root.name: root}
    for definition in elements[1:]:
        path = definition["path"]
        above, _, name = path.rpartition(".")
        parent = latest.get(above)
        if parent is None:
            continue
        node = _Node(name, dict(definition))
        known = parent.child(name)
        if known is not None and "sliceName" in definition:
            known.slices.append(node)
        else:
            parent.children.append(node)
        latest[path] = node
    return root


def _write(node: _Node, path: str, id_: str, found: list[dict[str, Any]]) -> None:
    found.append({**node.definition, "id": id_, "path": path})
    for child in node.children:
        _write(child, f"{path}.{child.name}", f"{id_}.{child.name}", found)
        for other in child.slices:
            _write(
                other, f"{path}.{child.name}", f"{id_}.{child.name}:{other.definition['sliceName']}", found
            )


class _Walker:
    """Applies a differential to the tree of its base, element by element."""

    def __init__(self, snapshots: Snapshots, root: _Node, url: str) -> None:
        self._snapshots = snapshots
        self._root = root
        self._base = root.copy()
        self._url = url
        self._latest: dict[str, _Node] = {root.name: root}

    def apply(self, definition: dict[str, Any]) -> None:
        """Merge one element of the differential."""
        path = definition["path"]
        if "." not in path:
            self._merge(self._root, definition)
            return
        above, _, name = path.rpartition(".")
        parent = self._latest.get(above) or self._find(above)
        if parent is None:
            return
        node = self._child(parent, name, definition)
        if node is None:
            return
        # What was below the same path before belongs to another slice.
        self._latest = {p: n for p, n in self._latest.items() if not p.startswith(path + ".")}
        self._latest[path] = node
        self._merge(node, definition)

    def _find(self, path: str) -> _Node | None:
        """Return the element at a path that the differential doesn't name."""
        node: _Node | None = self._root
        done = self._root.name
        for name in path.split(".")[1:]:
            done = f"{done}.{name}"
            node = self._latest.get(done) or (self._child(node, name, {}) if node is not None else None)
            if node is not None:
                self._latest[done] = node
        return node

    def _child(self, parent: _Node, name: str, definition: dict[str, Any]) -> _Node | None:
        """Return the child, or its slice, that a differential's element means."""
        if not parent.children:
            self._unfold(parent)
        child = parent.child(name)
        slice_name = definition.get("sliceName")
        if child is None:
            child = next((c for c in parent.children if _is_choice_of(c, name)), None)
            if child is None:
                return None
            slice_name = slice_name or (name if not name.endswith("[x]") else None)
            if slice_name == name:
                self._slice_by_type(child, name)
        if slice_name is None:
            return child
        known = next((s for s in child.slices if s.definition["sliceName"] == slice_name), None)
        return known or self._new_slice(child, slice_name)

    @staticmethod
    def _slice_by_type(child: _Node, name: str) -> None:
        child.definition.setdefault(
            "slicing",
            {"discriminator": [{"type": "type", "path": "$this"}], "ordered": False, "rules": "open"},
        )
        stem = child.name.removesuffix("[x]")
        if not any(s.definition["sliceName"] == name for s in child.slices):
            code = name[len(stem) :]
            types = [t for t in child.definition.get("type", []) if t["code"].lower() == code.lower()]
            kept = {k: v for k, v in child.definition.items() if k not in _NOT_OF_SLICES}
            child.slices.append(
                _Node(child.name, {**kept, "type": types or [{"code": code}], "sliceName": name, "min": 0})
            )

    @staticmethod
    def _new_slice(child: _Node, slice_name: str) -> _Node:
        above = slice_name.rpartition("/")[0]
        origin = (
            next((s for s in child.slices if s.definition["sliceName"] == above), child) if above else child
        )
        kept = {k: v for k, v in origin.definition.items() if k not in _NOT_OF_SLICES}
        node = _Node(child.name, {**kept, "sliceName": slice_name, "min": 0})
        node.children = [c.copy() for c in origin.children]
        if origin is child:
            child.slices.append(node)
        else:
            place = max(
                i for i, s in enumerate(child.slices)
                if (s.definition["sliceName"] + "/").startswith(above + "/")
            )  # fmt: skip
            child.slices.insert(place + 1, node)
        return node

    def _unfold(self, node: _Node) -> None:
        """Give an element the children of its type, of the profile on its type, or of what it refers to."""
        reference = node.definition.get("contentReference")
        if reference is not None:
            target = self._at(reference.rpartition("#")[2])
            if target is not None:
                node.children = [c.copy() for c in target.children]
                del node.definition["contentReference"]
                node.definition["type"] = target.definition.get("type", [])
            return
        types = node.definition.get("type", [])
        codes = {t["code"] for t in types}
        if len(codes) != 1:
            url = _STRUCTURE + "Element" if codes else ""
        else:
            profiles = [p for t in types for p in t.get("profile", [])]
            url = (
                profiles[0]
                if len(profiles) == 1 and self._snapshots.unfolded(profiles[0])
                else types[0]["code"]
            )
        origin = (
            self._snapshots.unfolded(url) if url and not url.startswith("http://hl7.org/fhirpath/") else None
        )
        if origin is not None:
            node.children = [c.copy() for c in origin.children]

    def _at(self, id_: str) -> _Node | None:
        node: _Node | None = self._base
        for name in id_.split(".")[1:]:
            node = node.child(name.partition(":")[0]) if node is not None else None
        return node

    def _merge(self, node: _Node, definition: dict[str, Any]) -> None:
        target = node.definition
        base_types = target.get("type", [])
        for key, value in definition.items():
            if key in {"id", "path", "base"}:
                continue
            if key in _ADDED:
                target[key] = _added(target.get(key, []), value, _ADDED[key], self._url)
            else:
                if key.startswith(("fixed", "pattern")):
                    for other in [k for k in target if k.startswith(key[:5]) and k != key]:
                        del target[other]
                target[key] = value
        if "type" in definition:
            target["type"] = [_typed(t, base_types) for t in definition["type"]]
        if node.name == "extension" and node.children and "type" in definition:
            node.children = []


def _added(present: list[Any], more: list[Any], name: str, url: str) -> list[Any]:
    if not name:
        return [*present, *(m for m in more if m not in present)]
    if name == "key":
        more = [{"source": url, **m} for m in more]
        keys = {m["key"] for m in more}
        return [*(p for p in present if p["key"] not in keys), *more]
    return [*present, *(m for m in more if m not in present)]


def _typed(type_: dict[str, Any], base_types: list[dict[str, Any]]) -> dict[str, Any]:
    """Return a type of the differential; extensions that say what a primitive is stay."""
    same = next((b for b in base_types if b["code"] == type_["code"]), None)
    kept = {k: v for k, v in same.items() if k == "extension"} if same is not None else {}
    return {**kept, **type_}


def _is_choice_of(node: _Node, name: str) -> bool:
    stem = node.name.removesuffix("[x]")
    return node.name.endswith("[x]") and name.startswith(stem) and name[len(stem) : len(stem) + 1].isupper()
