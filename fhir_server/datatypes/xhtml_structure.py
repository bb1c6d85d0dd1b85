"""Which elements of XHTML may stand in which, and what links may mean: what browsers put up with, but XHTML doesn't.

The reference implementation refuses a narrative that breaks this, R4's own rule (txt-1) doesn't ask.
https://hl7.org/fhir/R4/narrative.html
"""

from __future__ import annotations

import re

from fhir_server.messages import alternatives, say

_PARAGRAPHS = frozenset(
    {"p", "h1", "h2", "h3", "h4", "h5", "h6", "pre", "address", "caption", "dd", "dt", "span"}
)
_INLINE = frozenset({
    "a", "abbr", "acronym", "b", "bdo", "big", "cite", "code", "dfn", "em", "i", "kbd", "q", "samp", "small",
    "strong", "sub", "sup", "tt", "var",
})  # fmt: skip
_TEXTUAL = _PARAGRAPHS | _INLINE
_BLOCKS = frozenset({"div", "pre", "table", "ul", "ol"})
#: A paragraph mustn't hold these either.
_NOT_IN_P = _BLOCKS - {"pre"} | {"p", "blockquote"}
_EMPTY = frozenset({"br", "img", "hr", "area"})
_CHILDREN = {
    "table": frozenset({"tbody", "tr", "caption", "thead", "tfoot", "col", "colgroup"}),
    "tr": frozenset({"td", "th"}),
    "tbody": frozenset({"tr"}),
    "thead": frozenset({"tr"}),
    "tfoot": frozenset({"tr"}),
    "ul": frozenset({"li"}),
    "ol": frozenset({"li"}),
    "dl": frozenset({"dd", "dt"}),
    "map": frozenset({"area"}),
}
_PARENTS = {
    "tr": frozenset({"table", "thead", "tfoot", "tbody"}),
    "tbody": frozenset({"table"}),
    "thead": frozenset({"table"}),
    "tfoot": frozenset({"table"}),
    "caption": frozenset({"table"}),
    "colgroup": frozenset({"table"}),
    "col": frozenset({"colgroup", "table"}),
    "th": frozenset({"tr", "thead", "tfoot"}),
    "td": frozenset({"tr", "thead", "tfoot"}),
    "li": frozenset({"ul", "ol"}),
    "dd": frozenset({"dl"}),
    "dt": frozenset({"dl"}),
}
_dead_link = re.compile(r"(?:urn|cid):", re.IGNORECASE).match
_link = re.compile(r"[\w;?:@&=+$.,/%\-~#\[\]!'()*|]+").fullmatch

_ONLY_TEXT = "The narrative has <{name}> in <{outer}>, which only holds text: close it before."


class Structure:
    """Looks at a narrative while it is read; ``problem`` is a sentence about the first thing wrong, or ""."""

    __slots__ = ("_way", "languages", "links", "names", "problem")

    def __init__(self) -> None:
        self.problem = ""
        #: The ids that links and images of the narrative refer to, and those that it has.
        self.links: list[str] = []
        self.names: list[str] = []
        #: The languages of the sections directly below the outermost element.
        self.languages: list[str] = []
        self._way: list[str] = []

    def start(self, name: str, attributes: dict[str, str]) -> None:
        """Look at the start of an element."""
        if not self.problem and self._way:
            self.problem = self._misplaced(name)
        if name == "div" and len(self._way) == 1 and "xml:lang" in attributes:
            self.languages.append(attributes["xml:lang"])
        self._way.append(name)
        for key in ("id", "name"):
            if key in attributes:
                self.names.append(attributes[key])
        link = attributes.get("href" if name == "a" else "src") if name in {"a", "img"} else None
        if link is None:
            return
        if link[:1] == "#" and link != "#":
            self.links.append(link[1:])
        elif not self.problem:
            self.problem = self._bad_link(name, link)

    def text(self) -> None:
        """Look at text that isn't white space only."""
        if not self.problem and self._way and (self._way[-1] in _CHILDREN or self._way[-1] in _EMPTY):
            self.problem = say(
                "The narrative has text directly in <{name}>: put it into an element there.",
                name=self._way[-1],
            )

    def end(self) -> None:
        """Look at the end of an element."""
        self._way.pop()

    def _misplaced(self, name: str) -> str:
        parent = self._way[-1]
        if parent in _EMPTY:
            return say(
                "The narrative has <{name}> in <{parent}>, which must be empty.", name=name, parent=parent
            )
        if parent in _CHILDREN and name not in _CHILDREN[parent]:
            return say(
                "The narrative has <{name}> in <{parent}>, which only holds {allowed}.",
                name=name,
                parent=parent,
                allowed=alternatives(f"<{n}>" for n in sorted(_CHILDREN[parent])),
            )
        if name in _PARENTS and parent not in _PARENTS[name]:
            return say(
                "The narrative has <{name}> outside of {allowed}.",
                name=name,
                allowed=alternatives(f"<{n}>" for n in sorted(_PARENTS[name])),
            )
        if name in _INLINE and name in self._way:
            return say(
                "The narrative has <{name}> in another <{name}>: close the first one before.", name=name
            )
        if name in _BLOCKS and not _TEXTUAL.isdisjoint(self._way):
            outer = next(n for n in reversed(self._way) if n in _TEXTUAL)
            return say(_ONLY_TEXT, name=name, outer=outer)
        if name in _NOT_IN_P and "p" in self._way:
            return say(_ONLY_TEXT, name=name, outer="p")
        return ""

    @staticmethod
    def _bad_link(name: str, link: str) -> str:
        if not link:
            return say("The narrative has an empty link on <{name}>: leave it out.", name=name)
        if name == "a" and _dead_link(link):
            return "The narrative links to a urn: or cid:, which nobody can follow: link to a URL, or leave it out."
        if not link.startswith("data:") and not _link(link):
            return say(
                "The narrative has a link on <{name}> with a character that URLs don't have: escape it.",
                name=name,
            )
        return ""
