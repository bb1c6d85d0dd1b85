"""The ``sel`` of an XML Patch operation: the part of XPath 1.0 that RFC 5261 takes, and paths inside predicates.

https://www.rfc-editor.org/rfc/rfc5261#section-4.1. A selector names one node: ``f:Patient/f:name[2]/f:family/@value``,
``id('a')``, ``f:Patient/f:text/h:div/h:p[1]/text()``. Values of FHIR stand in attributes, so a predicate may hold a
path where the RFC has the name of a child: ``f:name[f:use/@value='official']``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from fhir_server.interactions.patching.xml_tree import Element, Leaf
from fhir_server.outcome import FhirError, error

LONGEST = 2000
#: Nodes that the selectors of a patch may look at together: a quarter of a second, about.
STEPS = 300_000
_DEEPEST = 8

_TOKEN = re.compile(
    r"""\s*(?:
    (?P<literal>"[^"]*"|'[^']*')
  | (?P<number>\d{1,9})
  | (?P<function>(?:text|comment|processing-instruction|id|last)(?=\s*\())
  | (?P<namespace>namespace\s*::)
  | (?P<name>[^\W\d][\w.\-]*(?::[^\W\d][\w.\-]*)?)
  | (?P<sign>[/@*()\[\].=])
    )""",
    re.VERBOSE,
)
_KINDS = {"text": "text", "comment": "comment", "processing-instruction": "instruction"}


@dataclass(frozen=True, slots=True)
class Attribute:
    """An attribute as a node; ``name`` as expat gives it."""

    owner: Element
    name: str

    def string(self) -> str:
        """Return its value."""
        return self.owner.attributes[self.name]


Node = Element | Leaf | Attribute


class Steps:
    """The nodes that selectors may still look at."""

    def __init__(self) -> None:
        self._left = STEPS

    def take(self, count: int) -> None:
        """Account for nodes; raise FhirError 400 when there are too many."""
        self._left -= count
        if self._left < 0:
            raise error("too-costly", "The selectors look at too many nodes: name them directly.", status=400)


@dataclass(frozen=True, slots=True)
class Predicate:
    """A condition on a node: its ``position`` (0 for the last), or a ``path`` from it that leads to ``value``."""

    position: int | None = None
    path: tuple[Step, ...] = ()
    value: str | None = None


@dataclass(frozen=True, slots=True)
class Step:
    """One step: ``kind`` is element, attribute, self, id or the kind of a leaf; ``name`` None for all elements."""

    kind: str
    name: tuple[str, str] | None = None
    value: str | None = None
    predicates: tuple[Predicate, ...] = ()


@dataclass(frozen=True, slots=True)
class Selector:
    """A selector that was read; ``text`` is how it was sent."""

    steps: tuple[Step, ...]
    text: str

    def nodes(self, root: Element, steps: Steps) -> list[Node]:
        """Return the nodes that it names in a document; raise FhirError 400 when that is too much work."""
        first, *rest = self.steps
        start: list[Node] = [root]
        if first.kind == "id":
            start = [element for element in _all(root, steps) if element.attributes.get("id") == first.value]
        elif first.kind != "element" or first.name not in (None, root.name):
            return []
        return _walk(_filtered(start, first, steps), rest, steps)


def read(text: str, prefixes: Mapping[str, str], where: str) -> Selector:
    """Return a selector; raise FhirError 400 for what is none. ``where`` begins the sentence for the sender."""
    if len(text) > LONGEST:
        raise error("too-long", f"{where}: sel is too long.", status=400)
    return Selector(_Parser(text, prefixes, where).selector(), text)


def _all(element: Element, steps: Steps) -> Iterable[Element]:
    steps.take(1)
    yield element
    for child in element.children:
        if isinstance(child, Element):
            yield from _all(child, steps)


def _walk(nodes: list[Node], path: Iterable[Step], steps: Steps) -> list[Node]:
    for step in path:
        nodes = [found for node in nodes for found in _filtered(_candidates(node, step, steps), step, steps)]
    return nodes


def _candidates(node: Node, step: Step, steps: Steps) -> list[Node]:
    if step.kind == "self":
        return [node]
    if not isinstance(node, Element):
        return []
    steps.take(1 + len(node.children))
    if step.kind == "attribute":
        assert step.name is not None
        name = " ".join(step.name).strip()
        return [Attribute(node, name)] if name in node.attributes else []
    if step.kind == "element":
        return [
            child for child in node.children if isinstance(child, Element) and step.name in (None, child.name)
        ]
    return [
        child
        for child in node.children
        if isinstance(child, Leaf) and child.kind == step.kind and step.value in (None, child.target)
    ]


def _filtered(nodes: list[Node], step: Step, steps: Steps) -> list[Node]:
    for predicate in step.predicates:
        if predicate.position is not None:
            # 0 stands for the last, as -1 does for Python.
            nodes = nodes[predicate.position - 1 :][:1]
        else:
            nodes = [node for node in nodes if _holds(node, predicate, steps)]
    return nodes


def _holds(node: Node, predicate: Predicate, steps: Steps) -> bool:
    found = _walk([node], predicate.path, steps)
    if predicate.value is None:
        return bool(found)
    return any((end.text if isinstance(end, Leaf) else end.string()) == predicate.value for end in found)


class _Parser:
    def __init__(self, text: str, prefixes: Mapping[str, str], where: str) -> None:
        self._prefixes = prefixes
        self._where = where
        self._depth = 0
        self._tokens: list[tuple[str, str]] = []
        position, end = 0, len(text.rstrip())
        while position < end:
            found = _TOKEN.match(text, position)
            if found is None or found.lastgroup is None:
                raise self._wrong(f"sel can't be read from character {position + 1} on")
            self._tokens.append((found.lastgroup, found[found.lastgroup]))
            position = found.end()

    def selector(self) -> tuple[Step, ...]:
        self._take("/")
        steps = self._path()
        if self._tokens:
            raise self._wrong(f"sel has {self._tokens[0][1]} where nothing more is expected")
        return steps

    def _path(self) -> tuple[Step, ...]:
        steps = [self._step()]
        while self._take("/"):
            if steps[-1].kind not in ("element", "id", "self"):
                raise self._wrong("only elements have something in them: @ and text() end a path")
            steps.append(self._step())
        return tuple(steps)

    def _step(self) -> Step:
        kind, text = self._next()
        if text == "@":
            kind, text = self._next()
            if kind != "name":
                raise self._wrong("an @ is followed by the name of an attribute")
            return Step("attribute", self._name(text, is_attribute=True))
        if text == ".":
            return Step("self", predicates=self._predicates())
        if text == "*":
            return Step("element", predicates=self._predicates())
        if kind == "name":
            return Step("element", self._name(text), predicates=self._predicates())
        if kind == "function" and text != "last":
            value = self._argument()
            if text == "id":
                return Step("id", value=value)
            return Step(_KINDS[text], value=value, predicates=self._predicates())
        if kind == "namespace":
            raise self._wrong("a FHIR resource has no namespaces that could be changed", status=422)
        raise self._wrong(f"sel has {text or 'nothing'} where a step is expected")

    def _argument(self) -> str | None:
        if not self._take("("):
            raise self._wrong("a ( is expected")
        value = None
        if self._tokens and self._tokens[0][0] == "literal":
            value = self._tokens.pop(0)[1][1:-1]
        if not self._take(")"):
            raise self._wrong("a ) is expected")
        return value

    def _predicates(self) -> tuple[Predicate, ...]:
        found: list[Predicate] = []
        while self._take("["):
            self._depth += 1
            if self._depth > _DEEPEST:
                raise self._wrong(f"brackets are nested more than {_DEEPEST} deep")
            found.append(self._condition())
            while self._tokens and self._tokens[0] == ("name", "and"):
                self._tokens.pop(0)
                found.append(self._condition())
                if any(condition.position is not None for condition in found[-2:]):
                    raise self._wrong("positions have brackets of their own")
            if not self._take("]"):
                raise self._wrong("a ] is expected")
            self._depth -= 1
        return tuple(found)

    def _condition(self) -> Predicate:
        kind, text = self._tokens[0] if self._tokens else ("", "")
        if kind == "number":
            self._tokens.pop(0)
            if int(text) < 1:
                raise self._wrong("positions begin with 1")
            return Predicate(position=int(text))
        if text == "last":
            self._tokens.pop(0)
            self._argument()
            return Predicate(position=0)
        path = self._path()
        if not self._take("="):
            return Predicate(path=path)
        kind, text = self._next()
        if kind != "literal":
            raise self._wrong("an = is followed by a value in quotes")
        return Predicate(path=path, value=text[1:-1])

    def _name(self, text: str, *, is_attribute: bool = False) -> tuple[str, str]:
        prefix, colon, local = text.rpartition(":")
        if not colon:
            # Names without prefix are of the patch's default namespace (RFC 5261, 4.2.1); attributes of none.
            return ("" if is_attribute else self._prefixes.get("", "")), text
        if prefix not in self._prefixes:
            raise self._wrong(f"the patch does not declare the prefix {prefix}")
        return self._prefixes[prefix], local

    def _next(self) -> tuple[str, str]:
        return self._tokens.pop(0) if self._tokens else ("", "")

    def _take(self, sign: str) -> bool:
        if self._tokens and self._tokens[0] == ("sign", sign):
            self._tokens.pop(0)
            return True
        return False

    def _wrong(self, reason: str, status: int = 400) -> FhirError:
        return error("value", f"{self._where}: {reason}.", status=status)
