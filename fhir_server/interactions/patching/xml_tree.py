"""An XML document as nodes that can be changed; what was not touched goes out with the very bytes that came in.

Read with expat, as FHIR XML is (docs/decisions/0011-xml-with-expat.md): a DOCTYPE is refused before anything in it is
read.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import NoReturn
from xml.parsers import expat
from xml.sax.saxutils import escape, quoteattr

from fhir_server.datatypes.json_format import MAX_DEPTH
from fhir_server.datatypes.xml_narrative import end_of
from fhir_server.outcome import error

#: Levels of elements: those of a resource, of the narrative in it, and of the patch around them.
_DEEPEST = MAX_DEPTH + 100
_XML = "http://www.w3.org/XML/1998/namespace"
_PREFIXED = re.compile(rb"</?[A-Za-z_][\w.\-]*:|\sxmlns:")


@dataclass(eq=False, slots=True)
class Leaf:
    """A node without nodes in it: ``kind`` is text, comment or instruction (then ``target`` is its name)."""

    kind: str
    text: str
    target: str = ""
    parent: Element | None = None

    def written(self) -> str:
        """Return the node as it stands in a document."""
        if self.kind == "comment":
            return f"<!--{self.text}-->"
        return f"<?{self.target} {self.text}?>" if self.kind == "instruction" else escape(self.text)


@dataclass(eq=False, slots=True)
class Element:
    """An element; ``name`` is its namespace and its local name, attributes have the names that expat gives.

    ``prefixes`` are the namespaces in force by prefix ("" for the default); ``source`` the bytes it was read from,
    None when something in it has changed or when they would mean something else at another place.
    """

    name: tuple[str, str]
    attributes: dict[str, str]
    prefixes: dict[str, str]
    children: list[Element | Leaf] = field(default_factory=list)
    parent: Element | None = None
    source: bytes | None = None

    def touch(self) -> None:
        """Note that something in the element changes."""
        node: Element | None = self
        while node is not None:
            node.source = None
            node = node.parent

    def insert(self, index: int, nodes: list[Element | Leaf]) -> None:
        """Put nodes in before the child at an index."""
        self.touch()
        for node in nodes:
            node.parent = self
        self.children[index:index] = nodes
        self._join_texts()

    def remove(self, node: Element | Leaf) -> None:
        """Take a child out."""
        self.touch()
        self.children.remove(node)
        self._join_texts()

    def string(self) -> str:
        """Return the string-value of XPath: all text in the element."""
        return "".join(
            child.string() if isinstance(child, Element) else child.text if child.kind == "text" else ""
            for child in self.children
        )

    def _join_texts(self) -> None:
        joined: list[Element | Leaf] = []
        for child in self.children:
            last = joined[-1] if joined else None
            if _is_text(child) and isinstance(last, Leaf) and _is_text(last):
                assert isinstance(child, Leaf)
                last.text += child.text
            else:
                joined.append(child)
        self.children = joined


def _is_text(node: Element | Leaf) -> bool:
    return isinstance(node, Leaf) and node.kind == "text"


def parse(data: bytes) -> Element:
    """Return the root element of a document in UTF-8; raise FhirError 400 for what isn't one."""
    return _Builder(data).root()


def written(root: Element) -> bytes:
    """Return the document of a root element; raise FhirError 422 for what has no place in FHIR."""
    out: list[bytes] = []
    _write(root, "", out)
    return b"".join(out)


def _write(element: Element, default: str, out: list[bytes]) -> None:
    space, local = element.name
    if element.source is not None:
        out.append(element.source)
        return
    namespace = "" if space == default else f" xmlns={quoteattr(space)}"
    attributes = "".join(
        f" {_attribute(name)}={quoteattr(value, {chr(9): '&#9;', chr(10): '&#10;', chr(13): '&#13;'})}"
        for name, value in element.attributes.items()
    )
    out.append(f"<{local}{namespace}{attributes}".encode())
    if not element.children:
        out.append(b"/>")
        return
    out.append(b">")
    for child in element.children:
        if isinstance(child, Element):
            _write(child, space, out)
        else:
            out.append(child.written().encode())
    out.append(f"</{local}>".encode())


def _attribute(name: str) -> str:
    space, _, local = name.rpartition(" ")
    if space not in ("", _XML):
        raise error("processing", "FHIR has no attributes of other namespaces; the patch leaves one.")
    return f"xml:{local}" if space else local


class _Builder:
    def __init__(self, data: bytes) -> None:
        self._data = data.removeprefix(b"\xef\xbb\xbf")
        self._root: Element | None = None
        self._open: list[tuple[Element, int]] = []
        self._declared: dict[str, str] = {}
        self._parser = parser = expat.ParserCreate("utf-8", namespace_separator=" ")
        parser.buffer_text = True
        parser.StartDoctypeDeclHandler = self._doctype
        parser.XmlDeclHandler = self._declaration
        parser.StartNamespaceDeclHandler = self._namespace
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = lambda text: self._leaf(Leaf("text", text))
        parser.CommentHandler = lambda text: self._leaf(Leaf("comment", text))
        parser.ProcessingInstructionHandler = lambda target, text: self._leaf(
            Leaf("instruction", text, target)
        )

    def root(self) -> Element:
        try:
            self._parser.Parse(self._data, True)
        except (expat.ExpatError, UnicodeDecodeError) as wrong:
            raise error("structure", f"The XML is not well-formed: {wrong}.") from None
        assert self._root is not None, "a well-formed document has a root"
        return self._root

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        space, _, local = name.rpartition(" ")
        parent = self._open[-1][0] if self._open else None
        if len(self._open) >= _DEEPEST:
            raise error("structure", "The XML is nested too deeply.")
        prefixes = parent.prefixes if parent is not None else {"xml": _XML}
        if self._declared:
            prefixes = {**prefixes, **self._declared}
            self._declared = {}
        made = Element((space, local), attributes, prefixes, parent=parent)
        if parent is not None:
            parent.children.append(made)
        else:
            self._root = made
        self._open.append((made, self._parser.CurrentByteIndex))

    def _end(self, _: str) -> None:
        element, start = self._open.pop()
        source = self._data[start : end_of(self._data, start, self._parser.CurrentByteIndex)]
        if not _PREFIXED.search(source):
            element.source = source

    def _leaf(self, leaf: Leaf) -> None:
        if self._open:
            leaf.parent = self._open[-1][0]
            leaf.parent.children.append(leaf)

    def _namespace(self, prefix: str | None, uri: str | None) -> None:
        self._declared[prefix or ""] = uri or ""

    def _doctype(self, *_: object) -> NoReturn:
        raise error("structure", "A DOCTYPE is not allowed: remove it.")

    def _declaration(self, version: str, encoding: str | None, _: int) -> None:
        if version != "1.0" or (encoding or "utf-8").lower() not in ("utf-8", "utf8", "us-ascii"):
            raise error("structure", "The body must be XML 1.0 encoded in UTF-8, and say so.")
