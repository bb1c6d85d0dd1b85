"""What the narrative's XHTML may hold (rules txt-1 and txt-2).

https://hl7.org/fhir/R4/narrative.html
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any
from xml.parsers import expat

from fhir_server.datatypes.primitives import MAX_STRING
from fhir_server.datatypes.xhtml_structure import Structure
from fhir_server.messages import say

NAMESPACE = "http://www.w3.org/1999/xhtml"
#: Depth of elements that is accepted.
MAX_DEPTH = 100

#: Elements of chapters 7 to 11 (without 9.4) and 15 of HTML 4.0, links and images; none that is deprecated.
ELEMENTS = frozenset({
    "a", "abbr", "acronym", "address", "area", "b", "bdo", "big", "blockquote", "br", "caption", "cite",
    "code", "col", "colgroup", "dd", "dfn", "div", "dl", "dt", "em", "h1", "h2", "h3", "h4", "h5", "h6",
    "hr", "i", "img", "kbd", "li", "map", "ol", "p", "pre", "q", "samp", "small", "span", "strong",
    "sub", "sup", "table", "tbody", "td", "tfoot", "th", "thead", "tr", "tt", "ul", "var",
})  # fmt: skip
ATTRIBUTES = frozenset({
    "abbr", "accesskey", "align", "alt", "axis", "bgcolor", "border", "cellhalign", "cellpadding",
    "cellspacing", "cellvalign", "char", "charoff", "charset", "cite", "class", "colspan", "compact",
    "coords", "dir", "frame", "headers", "height", "href", "hreflang", "hspace", "id", "ismap", "lang",
    "longdesc", "name", "nohref", "nowrap", "rel", "rev", "rowspan", "rules", "scope", "shape", "span",
    "src", "start", "style", "summary", "tabindex", "title", "type", "usemap", "valign", "value",
    "vspace", "width", "xml:lang", "xml:space",
})  # fmt: skip
_LINK = re.compile(r"(?:https?:|mailto:|tel:|urn:|ftp:|#|(?![a-z0-9+.\-]*:))", re.IGNORECASE).match
_IMAGE = re.compile(r"(?:https?:|data:image/|#|(?![a-z0-9+.\-]*:))", re.IGNORECASE).match
_ACTIVE_STYLE = re.compile(
    r"expression\s*\(|javascript:|vbscript:|behaviou?r\s*:|-moz-binding|@import", re.IGNORECASE
)
_LINKING = {"href": _LINK, "cite": _LINK, "longdesc": _LINK, "usemap": _LINK, "src": _IMAGE}

#: Texts whose result is remembered before all are forgotten; only the hash of a text is kept.
_REMEMBERED = 4096
_results: dict[tuple[int, int], Narrative] = {}


@dataclass(frozen=True, slots=True)
class Narrative:
    """What was read of one narrative.

    ``problem`` is the rule (txt-1, txt-2 or xhtml) and a sentence for the first thing wrong, or None; ``doubt`` a
    sentence about its structure, or "". ``links`` are the ids that it refers to, ``names`` those that it has,
    ``languages`` those of its sections.
    """

    problem: tuple[str, str] | None
    doubt: str = ""
    links: tuple[str, ...] = ()
    names: frozenset[str] = frozenset()
    languages: frozenset[str] = frozenset()


_NO_TEXT = Narrative(("xhtml", "The narrative must be a string that holds XHTML."))


def problem(value: Any) -> tuple[str, str] | None:
    """Return rule (txt-1, txt-2 or xhtml) and a sentence for the first thing wrong in a narrative, or None."""
    return examined(value).problem


def examined(value: Any) -> Narrative:
    """Return what a narrative, any JSON value, is. Results are remembered by the text's hash and length."""
    if type(value) is not str:
        return _NO_TEXT
    key = (hash(value), len(value))
    found = _results.get(key)
    if found is None:
        if len(_results) >= _REMEMBERED:
            _results.clear()
        found = _results[key] = _examine(value)
    return found


def is_well_formed(text: str) -> bool:
    """Tell whether a text is one XML element without DOCTYPE, whatever its elements are."""
    parser = expat.ParserCreate()
    parser.StartDoctypeDeclHandler = _no_doctype
    try:
        parser.Parse(text, True)
    except (expat.ExpatError, _Refused):
        return False
    return True


def _no_doctype(*_: object) -> None:
    raise _Refused("xhtml", "The narrative must not have a DOCTYPE.")


class _Refused(Exception):  # noqa: N818 - it carries a finding, it isn't an error of ours
    pass


def _examine(text: str) -> Narrative:
    reader = _Reader()
    problem = _problem(text, reader)
    if problem is not None:
        return Narrative(problem)
    structure = reader.structure
    return Narrative(
        None,
        structure.problem,
        tuple(structure.links),
        frozenset(structure.names),
        frozenset(structure.languages),
    )


def _problem(text: str, reader: _Reader) -> tuple[str, str] | None:
    if len(text) > MAX_STRING:
        return "xhtml", say("The narrative must have at most {limit} characters.", limit=MAX_STRING)
    try:
        reader.read(text)
    except _Refused as found:
        rule, sentence = found.args
        return rule, sentence
    except expat.ExpatError as wrong:
        where = say(
            "(line {line}, column {column} of the narrative)", line=wrong.lineno, column=wrong.offset + 1
        )
        if wrong.code == _UNDEFINED_ENTITY:
            return "txt-1", say(
                "Write Unicode characters instead of HTML's named entities {where}.", where=where
            )
        return "xhtml", say(
            "The narrative must be well-formed XML: {reason} {where}.",
            reason=expat.ErrorString(wrong.code),
            where=where,
        )
    if not reader.has_content:
        return "txt-2", "The narrative must have some text or an image."
    return None


_UNDEFINED_ENTITY = expat.errors.codes[expat.errors.XML_ERROR_UNDEFINED_ENTITY]


class _Reader:
    """Reads one narrative; raises _Refused or ExpatError."""

    def __init__(self) -> None:
        self.has_content = False
        self.structure = Structure()
        self._depth = 0
        self._parser = expat.ParserCreate()
        self._parser.buffer_text = True
        self._parser.StartElementHandler = self._start
        self._parser.EndElementHandler = self._end
        self._parser.CharacterDataHandler = self._text
        self._parser.StartDoctypeDeclHandler = self._doctype
        self._parser.ProcessingInstructionHandler = self._instruction

    def read(self, text: str) -> None:
        """Read it all."""
        self._parser.Parse(text, True)

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        self._depth += 1
        if self._depth == 1:
            if name != "div" or attributes.pop("xmlns", "") != NAMESPACE:
                raise _Refused(
                    "xhtml", say('The narrative must be one <div xmlns="{namespace}">.', namespace=NAMESPACE)
                )
        elif self._depth > MAX_DEPTH:
            raise _Refused(
                "txt-1", say("The narrative nests elements more than {levels} levels deep.", levels=MAX_DEPTH)
            )
        if name not in ELEMENTS:
            shown = f"<{name}>" if name.isalnum() else say("an element")
            raise _Refused(
                "txt-1",
                say(
                    "The narrative has {shown}, which isn't among HTML's basic formatting elements: remove it.",
                    shown=shown,
                ),
            )
        if name == "img":
            self.has_content = True
        self.structure.start(name, attributes)
        for attribute, value in attributes.items():
            self._attribute(name, attribute, value)

    def _attribute(self, element: str, name: str, value: str) -> None:
        if name not in ATTRIBUTES:
            if name == "xmlns" and value == NAMESPACE:
                return
            shown = say("the attribute {name}", name=name) if name.isalnum() else say("an attribute")
            raise _Refused(
                "txt-1",
                say(
                    "The narrative has {shown}, which isn't allowed on <{element}>: remove it.",
                    shown=shown,
                    element=element,
                ),
            )
        test = _LINKING.get(name)
        if test is not None and not test("".join(value.split())):
            raise _Refused(
                "txt-1",
                say(
                    "The narrative's {name} on <{element}> has a scheme that isn't allowed there.",
                    name=name,
                    element=element,
                ),
            )
        if name == "style" and _ACTIVE_STYLE.search(value):
            raise _Refused("txt-1", "The narrative has a style that runs or loads something: remove it.")

    def _end(self, _: str) -> None:
        self._depth -= 1
        self.structure.end()

    def _text(self, text: str) -> None:
        if not text.isspace():
            self.has_content = True
            self.structure.text()

    def _doctype(self, *_: object) -> None:
        raise _Refused("xhtml", "The narrative must not have a DOCTYPE: remove it.")

    def _instruction(self, *_: object) -> None:
        raise _Refused("txt-1", "The narrative must not have processing instructions: remove them.")
