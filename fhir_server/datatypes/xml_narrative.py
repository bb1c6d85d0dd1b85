"""The narrative in a FHIR XML document, as the string that JSON holds.

https://hl7.org/fhir/R4/narrative.html
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from xml.parsers import expat
from xml.sax.saxutils import escape, quoteattr

from fhir_server.datatypes.xml_tables import XHTML

#: A whole tag: a > may stand inside a quoted attribute.
_TAG = re.compile(rb"""<(?:"[^"]*"|'[^']*'|[^>"'])*>""")
_PLAIN_START = re.compile(rb"""<div\b(?:"[^"]*"|'[^']*'|[^>"'])*?\sxmlns\s*=""")
_PREFIXED = re.compile(rb"</?[A-Za-z_][\w.\-]*:")


def narrative(data: bytes, start: int, end: int, prefixes: Mapping[str, str]) -> str:
    """Return the div whose start tag begins at offset ``start`` and whose end tag begins at ``end``.

    A div that is written as one tag has its ``end`` behind it, as expat tells it.

    It is the very text of the document, unless the namespace is declared further out or has a prefix: then
    it is written anew, with the namespace on the div. ``prefixes`` are those declared so far.
    """
    text = data[start : end_of(data, start, end)]
    if _PLAIN_START.match(text) and not _PREFIXED.search(text):
        return text.decode()
    return _Rewriter(prefixes).rewritten(text)


def end_of(data: bytes, start: int, end: int) -> int:
    """Return the offset behind an element, of whose tags expat tells the offsets ``start`` and ``end``."""
    first, last = _TAG.match(data, start), _TAG.match(data, end)
    assert first is not None, "expat has read this tag"
    if first.end() == end and first[0].endswith(b"/>"):
        return end
    assert last is not None, "expat has read this tag"
    return last.end()


class _Rewriter:
    """Writes a div without prefixes."""

    def __init__(self, prefixes: Mapping[str, str]) -> None:
        declared = "".join(f" xmlns:{prefix}={quoteattr(uri)}" for prefix, uri in prefixes.items())
        self._head = f"<x xmlns={quoteattr(XHTML)}{declared}>".encode()
        self._out: list[str] = []
        self._depth = 0
        self._parser = parser = expat.ParserCreate("utf-8", namespace_separator=" ")
        parser.buffer_text = True
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = lambda text: self._out.append(escape(text))
        parser.CommentHandler = lambda text: self._out.append(f"<!--{text}-->")

    def rewritten(self, text: bytes) -> str:
        """Return the div."""
        self._parser.Parse(self._head + text + b"</x>", True)
        return "".join(self._out)

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        self._depth += 1
        if self._depth == 1:
            return
        space, _, local = name.rpartition(" ")
        shown = dict(attributes)
        if self._depth == 2 or space != XHTML:
            shown = {"xmlns": space, **shown}
        # Only xml:lang and xml:space have a prefix among the attributes of XHTML.
        written = "".join(
            f" {key.replace('http://www.w3.org/XML/1998/namespace ', 'xml:')}={quoteattr(value)}"
            for key, value in shown.items()
        )
        self._out.append(f"<{local}{written}>")

    def _end(self, name: str) -> None:
        self._depth -= 1
        if self._depth:
            self._out.append(f"</{name.rpartition(' ')[2]}>")
