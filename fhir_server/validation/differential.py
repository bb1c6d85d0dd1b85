"""A differential, applied to the tree of its base element by element.

https://hl7.org/fhir/R4/elementdefinition.html#path, https://hl7.org/fhir/R4/profiling.html#snapshot
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

_STRUCTURE = "http://hl7.org/fhir/StructureDefinition/"
#: Lists that a differential adds to, with the member that tells their items apart ("": the whole item).
_ADDED = {"constraint": "key", "condition": "", "alias": "", "mapping": "map", "example": "label"}
#: Members of an element that its slices don't take over.
_NOT_OF_SLICES = {"slicing", "id", "condition"}
#: How a slicing may be open, the tightest last.
_RULES = ("open", "openAtEnd", "closed")
_BY_TYPE = {"discriminator": [{"type": "type", "path": "$this"}], "ordered": False}


@dataclass(slots=True, eq=False)
class Node:
    """One element of a snapshot, with its children in order, each with its slices."""

    name: str
    definition: dict[str, Any]
    children: list[Node] = field(default_factory=list)
    slices: list[Node] = field(default_factory=list)

    def copy(self) -> Node:
        """Return a copy that can be changed, down to the definitions of elements, whose values are shared."""
        return Node(
            self.name,
            dict(self.definition),
            [c.copy() for c in self.children],
            [s.copy() for s in self.slices],
        )

    def child(self, name: str) -> Node | None:
        """Return the child of this name (``value[x]``), or None."""
        return next((c for c in self.children if c.name == name), None)


class Walker:
    """Applies a differential to the tree of its base, element by element.

    ``unfolded`` returns the tree of a type or profile, None if it isn't known.
    """

    def __init__(self, root: Node, url: str, unfolded: Callable[[str], Node | None]) -> None:
        self._root = root
        self._base = root.copy()
        self._url = url
        self._unfolded = unfolded
        #: The ids of the latest elements by path: what a path without id means.
        self._ids: dict[str, str] = {}
        #: The types that a choice had before it was narrowed to those that shorthands name.
        self._before: dict[int, list[dict[str, Any]]] = {}

    def apply(self, definition: dict[str, Any]) -> None:
        """Merge one element of the differential; raises LookupError if its base has no such element."""
        path = definition["path"]
        id_ = self._id(definition)
        # What was below the same path before belongs to another slice.
        self._ids = {p: i for p, i in self._ids.items() if not p.startswith(path + ".")}
        self._ids[path] = id_
        node = self._root
        for part in id_.split(".")[1:]:
            name, _, slice_name = part.partition(":")
            found = self._child(node, name, slice_name)
            if found is None:
                raise LookupError(f"{self._url} constrains {path}, but its base has no such element")
            node = found
        self._merge(node, definition)

    def _id(self, definition: dict[str, Any]) -> str:
        """Return the id of an element, made of its path and of what came before if it has none that can be used."""
        path, slice_name = str(definition["path"]), definition.get("sliceName", "")
        id_ = str(definition.get("id", ""))
        parts = [part.partition(":") for part in id_.split(".")]
        if len(parts) == path.count(".") + 1 and (not slice_name or parts[-1][2] == slice_name):
            return id_
        above, _, name = path.rpartition(".")
        return (f"{self._latest(above)}." if above else "") + name + (f":{slice_name}" if slice_name else "")

    def _latest(self, path: str) -> str:
        """Return the id of the latest element at a path, or what it must be if the differential doesn't name it."""
        above, _, name = path.rpartition(".")
        return self._ids.get(path) or (f"{self._latest(above)}.{name}" if above else path)

    def _child(self, parent: Node, name: str, slice_name: str) -> Node | None:
        """Return the child, or its slice, that a part of an id means."""
        if not parent.children:
            self._unfold(parent)
        child = parent.child(name)
        if child is None:
            child = next((c for c in parent.children if _is_choice_of(c, name)), None)
            if child is None:
                return None
            slice_name = slice_name or name
            if slice_name == name:
                self._narrow(child, name)
        if not slice_name:
            return child
        known = next((s for s in child.slices if s.definition["sliceName"] == slice_name), None)
        if known is not None:
            return known
        if "slicing" not in child.definition and name not in {"extension", "modifierExtension"}:
            if not _types_named(child, child.definition.get("type", []), slice_name):
                return child  # nothing tells items apart: the name is one of the element itself
            child.definition["slicing"] = {**_BY_TYPE, "rules": "open"}
        return self._new_slice(child, slice_name)

    def _narrow(self, child: Node, name: str) -> None:
        """Read ``valueQuantity`` as the only type of ``value[x]``, or as one of those that are named so.

        That is what the published snapshots of such differentials say. A choice that is sliced already stays open.
        """
        if "slicing" not in child.definition:
            self._before[id(child)] = child.definition.get("type", [])
            child.definition["slicing"] = {**_BY_TYPE, "rules": "closed"}
            child.definition["type"] = []
        types = _types_named(child, self._before.get(id(child), []), name)
        child.definition["type"] = [
            *child.definition.get("type", []), *(t for t in types if t not in child.definition["type"])
        ]  # fmt: skip

    @staticmethod
    def _new_slice(child: Node, slice_name: str) -> Node:
        above = slice_name.rpartition("/")[0]
        origin = (
            next((s for s in child.slices if s.definition["sliceName"] == above), child) if above else child
        )
        kept = {k: v for k, v in origin.definition.items() if k not in _NOT_OF_SLICES}
        node = Node(child.name, {**kept, "sliceName": slice_name, "min": 0})
        types = _types_named(child, kept.get("type", []), slice_name)
        if types:
            node.definition["type"] = types
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

    def _unfold(self, node: Node) -> None:
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
            url = profiles[0] if len(profiles) == 1 and self._unfolded(profiles[0]) else types[0]["code"]
        origin = self._unfolded(url) if url and not url.startswith("http://hl7.org/fhirpath/") else None
        if origin is not None:
            node.children = [c.copy() for c in origin.children]

    def _at(self, id_: str) -> Node | None:
        node: Node | None = self._base
        for name in id_.split(".")[1:]:
            node = node.child(name.partition(":")[0]) if node is not None else None
        return node

    def _merge(self, node: Node, definition: dict[str, Any]) -> None:
        target = node.definition
        base_types = target.get("type", [])
        for key, value in definition.items():
            if key in {"id", "path", "base"}:
                continue
            if key in _ADDED:
                target[key] = _added(target.get(key, []), value, _ADDED[key], self._url)
            elif key == "slicing":
                target[key] = _tightened(target.get(key), value)
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


def _tightened(present: dict[str, Any] | None, slicing: dict[str, Any]) -> dict[str, Any]:
    """Return the slicing of a differential, which can't open what the base closed."""
    if present is None:
        return slicing
    rules = max(present.get("rules", "open"), slicing.get("rules", "open"), key=_RULES.index)
    is_ordered = present.get("ordered", False) or slicing.get("ordered", False)
    return {**present, **slicing, "rules": rules, "ordered": is_ordered}


def _typed(type_: dict[str, Any], base_types: list[dict[str, Any]]) -> dict[str, Any]:
    """Return a type of the differential; extensions that say what a primitive is stay."""
    same = next((b for b in base_types if b["code"] == type_["code"]), None)
    kept = {k: v for k, v in same.items() if k == "extension"} if same is not None else {}
    return {**kept, **type_}


def _types_named(choice: Node, types: list[dict[str, Any]], name: str) -> list[dict[str, Any]]:
    """Return the types of a choice whose JSON property has this name."""
    if not choice.name.endswith("[x]"):
        return []
    stem = choice.name.removesuffix("[x]")
    return [t for t in types if stem + t["code"][:1].upper() + t["code"][1:] == name]


def _is_choice_of(node: Node, name: str) -> bool:
    stem = node.name.removesuffix("[x]")
    return node.name.endswith("[x]") and name.startswith(stem) and name[len(stem) : len(stem) + 1].isupper()
