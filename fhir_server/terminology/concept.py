"""Concept: one code of a code system with its texts and properties.

https://hl7.org/fhir/R4/codesystem-definitions.html#CodeSystem.concept
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

_WORD = re.compile(r"[^\W_]+").findall


@dataclass(frozen=True, slots=True)
class Concept:
    """A code; ``designations``, ``properties`` and ``extensions`` are FHIR JSON as in the code system."""

    code: str
    display: str = ""
    definition: str = ""
    designations: tuple[dict[str, Any], ...] = ()
    properties: tuple[dict[str, Any], ...] = ()
    extensions: tuple[dict[str, Any], ...] = ()

    @classmethod
    def of(cls, concept: dict[str, Any]) -> Concept:
        """Return the concept of one ``CodeSystem.concept``, without those inside it."""
        return cls(
            concept["code"],
            concept.get("display", ""),
            concept.get("definition", ""),
            tuple(concept.get("designation", ())),
            tuple(concept.get("property", ())),
            tuple(concept.get("extension", ())),
        )

    def as_json(self) -> dict[str, Any]:
        """Return the ``CodeSystem.concept`` without what is empty."""
        made = {
            "code": self.code,
            "display": self.display,
            "definition": self.definition,
            "designation": list(self.designations),
            "property": list(self.properties),
            "extension": list(self.extensions),
        }
        return {name: value for name, value in made.items() if value}

    def values(self, name: str) -> Iterator[str]:
        """Return the values of a property as text."""
        for row in self.properties:
            if row["code"] == name:
                yield text_of(row)

    def texts(self) -> Iterator[str]:
        """Return the display and the designations."""
        if self.display:
            yield self.display
        for designation in self.designations:
            if designation.get("value"):
                yield designation["value"]


def value_of(row: dict[str, Any]) -> tuple[str, Any]:
    """Return the name (``valueCode``) and value of a property or parameter; ("", None) if it has none."""
    return next(((k, v) for k, v in row.items() if k.startswith("value")), ("", None))


def text_of(row: dict[str, Any]) -> str:
    """Return the value of a property as text: the code of a Coding, ``true`` and ``false``."""
    value = value_of(row)[1]
    if isinstance(value, dict):
        return str(value.get("code", ""))
    return {True: "true", False: "false"}.get(value, str(value)) if isinstance(value, bool) else str(value)


def words(text: str) -> list[str]:
    """Return the words of a text as they are searched: lower case, without accents."""
    plain = unicodedata.normalize("NFKD", text.casefold())
    return _WORD("".join(c for c in plain if not unicodedata.combining(c)))


def searchable(concept: Concept) -> set[str]:
    """Return the words by which a concept is found: of its texts and of its code."""
    found = {concept.code.casefold()}
    for text in (concept.code, *concept.texts()):
        found.update(words(text))
    return found


def matches(wanted: Iterable[str], concept: Concept) -> bool:
    """Tell whether each of the wanted words begins a word of the concept."""
    known = searchable(concept)
    return all(any(word.startswith(start) for word in known) for start in wanted)
