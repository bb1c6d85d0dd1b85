"""Contexts of extensions that name more than a path: parts of extensions, and elements of profiles.

``extension`` names an extension by its url, a part of a complex one as ``url#part``; ``element`` names an element of a
profile (or of another extension) as ``[url]#[element id]``, slices included.
https://hl7.org/fhir/R4/valueset-extension-context-type.html, https://hl7.org/fhir/R4/defining-extensions.html#context
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from fhir_server.definitions import TypeModel
from fhir_server.validation.report import Run

_STEP = re.compile(r"\.(\w+)(?:\.ofType\((\w+)\))?(?:\[(\d+)\])?")

#: The elements from the root to one, each with its name ("" for the root).
Line = list[tuple[str, Any]]


class Profiles(Protocol):
    """What is asked of the compiler."""

    def is_known(self, url: str) -> bool:
        """Tell whether there is a definition that can be used."""

    def base_of(self, url: str) -> str:
        """Return the type that a definition constrains."""

    def conforms(self, value: Any, profile: str, run: Run) -> bool:
        """Tell whether a value conforms to a profile, or to an element of one (``url#id``)."""


@dataclass(frozen=True, slots=True)
class Contexts:
    """The contexts of one extension that are judged when the whole path is known."""

    elements: tuple[str, ...]
    parts: tuple[str, ...]
    profiles: Profiles

    def allow(self, path: str, run: Run) -> bool:
        """Tell whether the extension at a path (``.contact[0].extension[1]``) is in one of them."""
        line = line_of(run.root, path)[:-1]
        if not line:
            return False
        is_part = any(_is_part(line, expression) for expression in self.parts)
        return is_part or any(self._is_element(line, expression, run) for expression in self.elements)

    def _is_element(self, line: Line, expression: str, run: Run) -> bool:
        url, _, id_ = expression.partition("#")
        names = [name.partition(":")[0].removesuffix("[x]") for name in id_.split(".")]
        if len(names) > len(line) or [name for name, _ in line[len(line) - len(names) + 1 :]] != names[1:]:
            return False
        if not self.profiles.is_known(url):
            return True  # whether it is one of its elements can't be told
        root, holder = line[-len(names)][1], line[-1][1]
        if not isinstance(root, dict) or not self._is_of(root, url, names[0], run):
            return False
        return ":" not in id_ or self.profiles.conforms(holder, expression, run)

    def _is_of(self, root: dict[str, Any], url: str, type_: str, run: Run) -> bool:
        """Tell whether an element is what a definition constrains: an extension by its url, a resource by its claim."""
        if type_ == "Extension" and self.profiles.base_of(url) == "Extension":
            return root.get("url") == url.partition("|")[0]
        if "resourceType" in root and root["resourceType"] != type_:
            return False
        meta = root.get("meta")
        claimed = meta.get("profile") if isinstance(meta, dict) else None
        bare = {str(one).partition("|")[0] for one in claimed} if isinstance(claimed, list) else set()
        return url.partition("|")[0] in bare or self.profiles.conforms(root, url, run)


def _is_part(line: Line, expression: str) -> bool:
    """Tell whether the last element is the extension that ``url`` or ``url#part`` names, inside those around it."""
    url, _, part = expression.partition("#")
    wanted = [url, *filter(None, part.split("."))]
    above = line[-len(wanted) :]
    return len(above) == len(wanted) and all(
        name in {"extension", "modifierExtension"} and isinstance(node, dict) and node.get("url") == one
        for (name, node), one in zip(above, wanted, strict=True)
    )


def line_of(root: Any, path: str) -> Line:
    """Return the elements on a path of a finding; empty when it can't be followed. A primitive is its sibling."""
    line: Line = [("", root)]
    node = root
    for name, type_, index in _STEP.findall(path):
        key = name + type_[:1].upper() + type_[1:]
        below = _below(node, key, index)
        if not isinstance(below, dict):
            below = _below(node, f"_{key}", index)
        if below is None:
            return []
        line.append((name, below))
        node = below
    return line


def _below(node: Any, key: str, index: str) -> Any:
    below = node.get(key) if isinstance(node, dict) else None
    if not index:
        return below
    return below[int(index)] if isinstance(below, list) and int(index) < len(below) else None


def primitive_of(
    resource: Mapping[str, Any], sibling: Mapping[str, Any], types: TypeModel
) -> tuple[Any, str]:
    """Return value and type of the primitive whose extensions stand in ``sibling`` (this very object)."""
    waiting: list[tuple[Any, str]] = [(resource, str(resource.get("resourceType")))]
    while waiting:
        node, type_name = waiting.pop()
        info = types.type(type_name)
        known = info.json_elements if info is not None else {}
        for key, below in node.items():
            name = key.removeprefix("_")
            type_ = known[name][1] if name in known else ""
            if name != key and (found := _beside(below, sibling)) is not None:
                value = node.get(name)
                one = value[found] if isinstance(value, list) and found < len(value) else value
                return (None if isinstance(one, list) else one), type_
            rows = below if isinstance(below, list) else [below]
            waiting += [(row, str(row.get("resourceType") or type_)) for row in rows if isinstance(row, dict)]
    return None, ""


def _beside(below: Any, sibling: Mapping[str, Any]) -> int | None:
    """Return the place of the sibling in a value, 0 if it is the value itself, None if it isn't there."""
    rows: Sequence[Any] = below if isinstance(below, list) else [below]
    return next((number for number, one in enumerate(rows) if one is sibling), None)
