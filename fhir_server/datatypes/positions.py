"""Line and column of issues in the text that the sender wrote, JSON or XML.

Nothing is noted while a resource is read: only when there are issues the text is read once more, and only along the
paths that they name. What lies beside these paths is skipped by the parser.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any
from xml.parsers import expat

import msgspec

from fhir_server.outcome import Issue

_BOM = b"\xef\xbb\xbf"
#: One step of a FHIRPath as issues have it: ``name``, ``name[2]``, ``value.ofType(Quantity)``.
_STEP = re.compile(r"\.?([A-Za-z_][\w\-]*)(?:\[(\d+)\])?(?:\.ofType\((\w+)\))?(?:\[(\d+)\])?(?=\.|$)")
_STRING = re.compile(rb'\s*,?\s*("(?:[^"\\]|\\.)*+")\s*:\s*', re.DOTALL)
_GAP = re.compile(rb"\s*,?\s*")
_members = msgspec.json.Decoder(dict[str, msgspec.Raw])
_items = msgspec.json.Decoder(list[msgspec.Raw])

Step = tuple[str, int | None]


class Node:
    """A place that is looked for, and those below it; ``offset`` is where it, or what is nearest to it, begins."""

    __slots__ = ("children", "is_found", "offset")

    def __init__(self) -> None:
        self.children: dict[Step, Node] = {}
        self.offset = 0
        self.is_found = False

    def at(self, steps: Iterable[Step]) -> Node:
        """Return the place at the end of these steps, made if need be."""
        node = self
        for step in steps:
            node = node.children.setdefault(step, Node())
        return node

    def size(self) -> int:
        """Return how many places there are from here on."""
        return 1 + sum(child.size() for child in self.children.values())

    def found(self, offset: int) -> None:
        """Note where this place is; those below it are nowhere else until they are found themselves."""
        self.offset = offset
        for child in self.children.values():
            child.found(offset)


def located(issues: Sequence[Issue], data: bytes, within: str = "") -> tuple[Issue, ...]:
    """Return the issues with line and column in ``data``, as far as their expressions lead.

    An issue about something that is missing gets the place of the object that lacks it. ``within`` is the path of the
    resource in ``data`` if it isn't the whole. Issues that have a line, or no expression, stay as they are.
    """
    data = data.removeprefix(_BOM)
    start = data.lstrip()[:1]
    if start not in (b"{", b"<"):
        return tuple(issues)
    root = Node()
    outer = steps(within)
    nodes = {
        issue.expression: root.at([*outer, *steps(issue.expression)])
        for issue in issues
        if issue.expression and not issue.line
    }
    if not nodes:
        return tuple(issues)
    root.found(len(data) - len(data.lstrip()))
    try:
        if start == b"{":
            _JsonSearch(data).search(root)
        else:
            _XmlSearch(data).search(root)
    except (msgspec.MsgspecError, expat.ExpatError, UnicodeDecodeError, RecursionError):
        return tuple(issues)  # It is not well-formed: whoever found that out has told the place.
    lines = _lines(data, {node.offset for node in nodes.values()})
    places = {expression: lines[node.offset] for expression, node in nodes.items()}
    return tuple(
        issue
        if issue.line or issue.expression not in places
        else replace(issue, line=places[issue.expression][0], column=places[issue.expression][1])
        for issue in issues
    )


def steps(expression: str) -> list[Step]:
    """Return the steps below the resource; a step that isn't a name with an index ends them."""
    found: list[Step] = []
    position = 0
    while (match := _STEP.match(expression, position)) is not None:
        name, index, type_, late = match.groups()
        if type_:
            name += type_[0].upper() + type_[1:]
        number = index if index is not None else late
        found.append((name, None if number is None else int(number)))
        position = match.end()
    # The first step is the type of the resource.
    return found[1:] if found and found[0][0][0].isupper() else found


_TOKEN = re.compile(rb'"(?:[^"\\]|\\.)*+"(\s*:)?|[{}\[\]]', re.DOTALL)


def deeper_than(data: bytes, levels: int) -> int:
    """Return the offset of the first bracket of JSON that opens a level beyond ``levels``, or that of the end."""
    depth = 0
    for token in _TOKEN.finditer(data):
        sign = token[0]
        if sign in (b"{", b"["):
            depth += 1
            if depth > levels:
                return token.start()
        elif sign in (b"}", b"]"):
            depth -= 1
    return len(data)


def repeated_name(data: bytes) -> int:
    """Return the offset of the first property name in JSON that its object has already, or that of the end."""
    objects: list[set[str]] = []
    for token in _TOKEN.finditer(data):
        sign = token[0]
        if sign == b"{":
            objects.append(set())
        elif sign == b"}":
            objects.pop()
        elif token[1]:
            name: str = msgspec.json.decode(sign[: len(sign) - len(token[1])])
            if name in objects[-1]:
                return token.start()
            objects[-1].add(name)
    return len(data)


def _lines(data: bytes, offsets: Iterable[int]) -> dict[int, tuple[int, int]]:
    """Return line and column, in characters from 1, of each offset."""
    places: dict[int, tuple[int, int]] = {}
    line, counted = 1, 0
    for offset in sorted(offsets):
        line += data.count(b"\n", counted, offset)
        counted = offset
        start = data.rfind(b"\n", 0, offset) + 1
        places[offset] = line, len(data[start:offset].decode("utf-8", "replace")) + 1
    return places


class _JsonSearch:
    """Finds places in JSON: a property is where its name begins, an item of an array where its value begins."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def search(self, root: Node) -> None:
        """Note the offsets of all places below ``root``."""
        offset = root.offset
        self._object(root, offset, self._data[offset:])

    def _object(self, node: Node, offset: int, raw: bytes) -> None:
        members = read_members(self._data, offset, raw)
        for (name, index), child in node.children.items():
            keys = [name, f"_{name}"]
            if name not in members:
                size = len(name)
                keys += [key for key in members if key.startswith(name) and key[size : size + 1].isupper()]
            for key in keys:
                if key in members:
                    self._property(child, index, *members[key], is_first=child.offset == node.offset)

    def _property(
        self, child: Node, index: int | None, name_at: int, value_at: int, raw: bytes, *, is_first: bool
    ) -> None:
        place = name_at
        if raw[:1] == b"[":
            items = read_items(self._data, value_at, raw)
            if index is not None and index >= len(items):
                return
            if items:
                value_at, raw = items[index or 0]
                place = name_at if index is None else value_at
        if is_first:
            child.found(place)
        if child.children and raw[:1] == b"{":
            self._object(child, value_at, raw)


def read_members(data: bytes, offset: int, raw: bytes) -> dict[str, tuple[int, int, bytes]]:
    """Return where the name and the value of each member begin, and the value, of the object ``raw`` at an offset."""
    found: dict[str, tuple[int, int, bytes]] = {}
    position = offset + 1
    for key, value in _members.decode(raw).items():
        name = _STRING.match(data, position)
        if name is None:  # A name stands there twice; the parser has kept one.
            break
        text = bytes(value)
        found[key] = name.start(1), name.end(), text
        position = name.end() + len(text)
    return found


def read_items(data: bytes, offset: int, raw: bytes) -> list[tuple[int, bytes]]:
    """Return where each item begins, and the item, of the array ``raw`` at an offset."""
    found: list[tuple[int, bytes]] = []
    position = offset + 1
    for value in _items.decode(raw):
        gap = _GAP.match(data, position)
        assert gap is not None, "it matches the empty text"
        text = bytes(value)
        found.append((gap.end(), text))
        position = gap.end() + len(text)
    return found


class _AllFound(Exception):  # noqa: N818 - it says that the rest needn't be read, it isn't an error
    pass


class _XmlSearch:
    """Finds places in XML: an element is where its start tag begins."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._missing = 0
        self._parser = parser = expat.ParserCreate("utf-8", namespace_separator=" ")
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        self._open: list[tuple[list[Node], dict[str, int]]] = []

    def search(self, root: Node) -> None:
        """Note the offsets of all places below ``root``."""
        self._open = [([root], {})]
        self._missing = root.size()
        try:
            self._parser.Parse(self._data, True)
        except _AllFound:
            return

    def _start(self, name: str, _: dict[str, Any]) -> None:
        nodes, counts = self._open[-1]
        if not nodes:
            self._open.append(([], counts))
            return
        local = name.rpartition(" ")[2]
        if local[:1].isupper():
            # A resource: it stands inside the element that holds it, and has no step of its own.
            if len(self._open) == 1:
                self._note(nodes[0])
            self._open.append((nodes, {}))
            return
        index = counts[local] = counts.get(local, -1) + 1
        children = [child for node in nodes for child in _children(node, local, index)]
        for child in children:
            self._note(child)
        self._open.append((children, {}))

    def _note(self, node: Node) -> None:
        node.found(self._parser.CurrentByteIndex)
        if not node.is_found:
            node.is_found = True
            self._missing -= 1
            if not self._missing:
                raise _AllFound

    def _end(self, _: str) -> None:
        self._open.pop()


def _children(node: Node, name: str, index: int) -> Iterator[Node]:
    """Yield the places that an element is: a step without index is the first, one without type any of a choice."""
    for (wanted, number), child in node.children.items():
        rest = name.removeprefix(wanted)
        is_named = not rest or (len(rest) < len(name) and rest[0].isupper() and child.offset == node.offset)
        if is_named and (number == index or (number is None and index == 0)):
            yield child
