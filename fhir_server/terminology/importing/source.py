"""What a reader makes of published files: a CodeSystem without concepts, and its concepts one by one.

Readers don't open files: they are handed text, so that they work on folders and archives alike.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TextIO

from fhir_server.outcome import error


@dataclass(frozen=True, slots=True)
class Files:
    """The names of the files, and how one is opened as text; an archive's members have their paths as names."""

    names: tuple[str, ...]
    open: Callable[[str], TextIO]

    def ending(self, *endings: str) -> list[str]:
        """Return the names that end so, whatever their case."""
        return [name for name in self.names if name.lower().endswith(tuple(e.lower() for e in endings))]


@dataclass(frozen=True, slots=True)
class SourceConcept:
    """A concept as ``CodeSystem.concept``, and the codes right above it."""

    code: str
    display: str = ""
    definition: str = ""
    designations: tuple[dict[str, Any], ...] = ()
    properties: tuple[dict[str, Any], ...] = ()
    parents: tuple[str, ...] = ()


@dataclass(slots=True)
class Source:
    """A code system to import; ``concepts`` is walked once."""

    header: dict[str, Any]
    concepts: Iterable[SourceConcept]
    #: Parents by code where they are in another file than the concepts.
    parents: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


def header(
    url: str, version: str, name: str, properties: Mapping[str, tuple[str, str]], **more: Any
) -> dict[str, Any]:
    """Return a CodeSystem without concepts; ``properties`` have a type and a description by their code."""
    return {
        "resourceType": "CodeSystem",
        "url": url,
        **({"version": version} if version else {}),
        "name": name,
        "status": "active",
        "caseSensitive": True,
        "content": "complete",
        "hierarchyMeaning": "is-a",
        "property": [
            {"code": code, "type": type_, "description": text} for code, (type_, text) in properties.items()
        ],
        **more,
    }


def rows(text: TextIO, delimiter: str = ",", *, is_quoted: bool = True) -> Iterator[dict[str, str]]:
    """Yield the rows of a table with a head, by column; FhirError 400 where a row has too many cells."""
    csv.field_size_limit(10_000_000)
    table = (
        csv.DictReader(text, delimiter=delimiter)
        if is_quoted
        else csv.DictReader(text, delimiter=delimiter, quoting=csv.QUOTE_NONE)
    )
    for row in table:
        if None in row:
            raise error(
                "invalid", f"A row of the table has more cells than its head: {next(iter(row.values()))}."
            )
        yield {name.strip().lstrip("\ufeff"): (value or "").strip() for name, value in row.items()}


def designation(value: str, language: str = "", use: dict[str, Any] | None = None) -> dict[str, Any]:
    """Return a ``CodeSystem.concept.designation``."""
    made: dict[str, Any] = {"language": language} if language else {}
    if use:
        made["use"] = use
    return {**made, "value": value}


def need(condition: bool, text: str) -> None:
    """Raise FhirError 400 with a text unless the condition holds."""
    if not condition:
        raise error("invalid", text)
