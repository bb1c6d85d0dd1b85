"""A resource while FHIRPath Patch works on it: each element can be found again from what a path returned.

In this form every primitive has its ``_name`` sibling, an object of its own even where there are no extensions, so that
each element is one object: a complex value is its own, a primitive its sibling. Homes say where it stands. ``finished``
takes the empty siblings out again. https://hl7.org/fhir/R4/json.html#primitive
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from fhir_server.fhirpath import Node


@dataclass(frozen=True, slots=True)
class Home:
    """Where an element stands: the member ``key`` of ``owner``; ``element`` is the object that stands for it."""

    owner: dict[str, Any]
    key: str
    element: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Content:
    """What is put in: the JSON value, and the id and extensions of a primitive."""

    value: Any
    sibling: dict[str, Any] | None = None


class Elements:
    """The elements of one resource, changed in place."""

    def __init__(self, resource: dict[str, Any]) -> None:
        self.resource = resource
        # Homes hold their elements, removed ones too: an id() is never used again while they live.
        self._homes: dict[int, Home] = {}
        self._enroll_all(resource)

    def home(self, node: Node) -> Home | None:
        """Return where the element of a node stands; None for the resource itself and for what is not part of it."""
        return self._homes.get(id(identity(node)))

    def home_of(self, owner: dict[str, Any]) -> Home | None:
        """Return where an object stands that holds members; None for the resource itself."""
        return self._homes.get(id(owner))

    def level(self, owner: dict[str, Any]) -> int:
        """Return how many objects and arrays are around the members of ``owner``, itself included."""
        levels = 1
        while (home := self._homes.get(id(owner))) is not None:
            levels += 2 if isinstance(home.owner.get(home.key), list) else 1
            owner = home.owner
        return levels

    def length(self, owner: dict[str, Any], key: str) -> int:
        """Return how many elements a list has; a list that is not there has none."""
        return len(owner.get(key, ()))

    def set(self, owner: dict[str, Any], key: str, content: Content) -> None:
        """Set a member that is not a list and not there yet."""
        if content.value is not None:
            owner[key] = content.value
        if not isinstance(content.value, dict):
            owner["_" + key] = content.sibling
        self._enroll(owner, key)

    def insert(self, owner: dict[str, Any], key: str, index: int, content: Content) -> None:
        """Insert into a list at an index from 0 to its length; a list that is not there is made."""
        owner.setdefault(key, []).insert(index, content.value)
        if isinstance(content.value, dict):
            self._settle(owner, key, content.value)
        else:
            sibling = content.sibling or {}
            owner.setdefault("_" + key, []).insert(index, sibling)
            self._settle(owner, key, sibling)

    def move(self, owner: dict[str, Any], key: str, source: int, destination: int) -> None:
        """Move an element inside a list."""
        for name in (key, "_" + key):
            if name in owner:
                owner[name].insert(destination, owner[name].pop(source))

    def remove(self, home: Home) -> None:
        """Take an element out, and what is empty without it."""
        owner = home.owner
        self._take_out(home)
        around = self._homes.get(id(owner))
        if not owner and around is not None and not self._has_value(around):
            self.remove(around)

    def replace(self, home: Home, key: str, content: Content) -> None:
        """Put another content in an element's place; ``key`` differs from the home's when a choice changes its type."""
        owner = home.owner
        if isinstance(owner.get(key), list):
            self.insert(owner, key, self._position(home), content)
            self._take_out(home)
            return
        before = list(owner.items())
        place = next(n for n, (name, _) in enumerate(before) if name in (home.key, "_" + home.key))
        owner.clear()
        owner.update(before[:place])
        self.set(owner, key, content)
        for name, value in before[place:]:
            if name not in (home.key, "_" + home.key):
                owner[name] = value

    def finished(self) -> dict[str, Any]:
        """Return the resource as FHIR JSON; nothing can be changed afterwards."""
        _strip(self.resource)
        return self.resource

    def _has_value(self, home: Home) -> bool:
        """Tell whether a primitive has a value; a complex element has none besides its members."""
        value = home.owner.get(home.key)
        if isinstance(value, list):
            value = value[self._position(home)]
        return value is not None and value is not home.element

    def _position(self, home: Home) -> int:
        for name in (home.key, "_" + home.key):
            for position, element in enumerate(home.owner.get(name, ())):
                if element is home.element:
                    return position
        raise AssertionError("the element has left its list")

    def _take_out(self, home: Home) -> None:
        owner, key = home.owner, home.key
        names = [name for name in (key, "_" + key) if name in owner]
        if isinstance(owner[names[0]], list):
            position = self._position(home)
            for name in names:
                del owner[name][position]
            names = [name for name in names if not owner[name]]
        for name in names:
            del owner[name]

    def _enroll_all(self, owner: dict[str, Any]) -> None:
        for key in dict.fromkeys(name.removeprefix("_") for name in owner if name != "resourceType"):
            self._enroll(owner, key)

    def _enroll(self, owner: dict[str, Any], key: str) -> None:
        value, sibling = owner.get(key), owner.get("_" + key)
        if isinstance(value, dict):
            self._settle(owner, key, value)
        elif isinstance(value, list) and any(isinstance(item, dict) for item in value):
            for item in value:
                self._settle(owner, key, item)
        elif isinstance(value, list) or isinstance(sibling, list):
            values, siblings = value or [], sibling or []
            count = max(len(values), len(siblings))
            owner[key] = [*values, *[None] * (count - len(values))]
            owner["_" + key] = [item or {} for item in (*siblings, *[None] * (count - len(siblings)))]
            for item in owner["_" + key]:
                self._settle(owner, key, item)
        else:
            owner["_" + key] = sibling or {}
            self._settle(owner, key, owner["_" + key])

    def _settle(self, owner: dict[str, Any], key: str, element: dict[str, Any]) -> None:
        self._homes[id(element)] = Home(owner, key, element)
        self._enroll_all(element)


def identity(node: Node) -> Any:
    """Return the object that stands for the element of a node: the value of a complex one, a primitive's sibling."""
    return node.value if isinstance(node.value, dict) else node.sibling


def _strip(owner: dict[str, Any]) -> None:
    for name in list(owner):
        value = owner[name]
        if isinstance(value, dict):
            _strip(value)
            if not value and name.startswith("_"):
                del owner[name]
        elif isinstance(value, list):
            for item in value:
                if isinstance(item, dict):
                    _strip(item)
            if name.startswith("_"):
                owner[name] = value = [item or None for item in value]
            if not any(item is not None for item in value):
                del owner[name]
