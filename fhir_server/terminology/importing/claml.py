"""ClaML 2 and 3: the XML in which WHO and national centres publish ICD-10, CIM-10, ICF and ATC.

https://www.iso.org/standard/69318.html (ISO 13120), https://hl7.org/fhir/R4/icd.html
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TextIO
from xml.parsers import expat

from fhir_server.outcome import error
from fhir_server.terminology.importing.source import Files, Source, SourceConcept, header, need

#: Kinds of rubrics that are the text of a class, the better ones first.
_DISPLAYS = ("preferred", "preferredLong")
_OTHERS = ("inclusion", "preferredShort", "introduction")


def is_claml(files: Files) -> bool:
    """Tell whether there is one XML file that begins as ClaML does."""
    names = files.ending(".xml")
    if not names:
        return False
    with files.open(names[0]) as text:
        return "<ClaML" in text.read(4096)


def read(files: Files, url: str, version: str, language: str) -> Source:
    """Return the classification of the first XML file under a URL."""
    names = files.ending(".xml")
    need(bool(names), "ClaML is an XML file; there is none.")
    need(
        bool(url),
        "ClaML doesn't say the URL of the code system: give --url (http://hl7.org/fhir/sid/icd-10).",
    )
    with files.open(names[0]) as text:
        classes = _Classes()
        classes.parse(text)
    properties = {"kind": ("code", "chapter, block or category"), "usage": ("code", "dagger or aster")}
    made = header(
        url, version or classes.version, classes.name or "Classification", properties,
        caseSensitive=False, language=language or classes.language,
    )  # fmt: skip
    return Source(made, classes.concepts())


class _Classes:
    """Collects the classes of a ClaML document; entities other than XML's own and external ones are refused."""

    def __init__(self) -> None:
        self.name = self.version = self.language = ""
        self._found: dict[str, dict[str, list[str]]] = {}
        self._class: dict[str, list[str]] | None = None
        self._rubric = ""
        self._depth = 0
        self._text: list[str] = []

    def parse(self, text: TextIO) -> None:
        parser = expat.ParserCreate()
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._data
        parser.EntityDeclHandler = _no_entities
        try:
            while chunk := text.read(1 << 16):
                parser.Parse(chunk, False)
            parser.Parse("", True)
        except expat.ExpatError as problem:
            raise error("invalid", f"The ClaML file is no well-formed XML: {problem}.") from None

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        if name == "Title":
            self.name = attributes.get("name", "")
            self.version = attributes.get("version", "")
        elif name == "Class":
            self._class = {"kind": [attributes.get("kind", "")], "usage": [attributes.get("usage", "")]}
            self._found[attributes["code"]] = self._class
        elif name == "SuperClass" and self._class is not None:
            self._class.setdefault("parent", []).append(attributes.get("code", ""))
        elif name == "Rubric":
            self._rubric = attributes.get("kind", "")
        elif name == "Label":
            self._text = []
            self._depth += 1
            self.language = self.language or attributes.get("xml:lang", "")

    def _data(self, data: str) -> None:
        if self._depth:
            self._text.append(data)

    def _end(self, name: str) -> None:
        if name == "Label":
            self._depth -= 1
            if self._class is not None:
                self._class.setdefault(self._rubric, []).append(" ".join("".join(self._text).split()))
        elif name == "Class":
            self._class = None

    def concepts(self) -> Iterator[SourceConcept]:
        """Yield the classes in the order of the file."""
        for code, row in self._found.items():
            display = next((row[kind][0] for kind in _DISPLAYS if row.get(kind)), "")
            others = [
                text for kind in (*_DISPLAYS, *_OTHERS) for text in row.get(kind, ()) if text != display
            ]
            yield SourceConcept(
                code,
                display,
                " ".join(row.get("definition", ())),
                tuple({"value": text} for text in dict.fromkeys(others)),
                tuple({"code": k, "valueCode": row[k][0]} for k in ("kind", "usage") if row[k][0]),
                tuple(row.get("parent", ())),
            )


def _no_entities(*_: object) -> None:
    raise error("invalid", "The ClaML file declares entities: such a file is not read.")
