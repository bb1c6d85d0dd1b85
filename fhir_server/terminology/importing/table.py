"""Any code system as a table: CSV with a head, comma, semicolon or tab between the cells.

Columns: ``code`` (needed), ``display``, ``definition``, ``parent`` (several: ``|`` between them), ``inactive`` (true,
1, oui); ``display:fr`` and other languages become designations; all other columns become properties of type string.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from fhir_server.terminology.importing.source import (
    Files,
    Source,
    SourceConcept,
    designation,
    header,
    need,
    rows,
)

_KNOWN = {"code", "display", "definition", "parent", "inactive"}
_TRUE = {"true", "1", "yes", "oui", "x"}


def is_table(files: Files) -> bool:
    """Tell whether there is a table with a column ``code``."""
    names = files.ending(".csv", ".tsv", ".txt")
    if len(names) != 1:
        return False
    with files.open(names[0]) as text:
        head = text.readline()
    return "code" in {cell.strip(' "\ufeff\r\n').lower() for cell in head.split(_delimiter(head))}


def _delimiter(head: str) -> str:
    return max(",;\t", key=head.count)


def read(files: Files, url: str, version: str, language: str) -> Source:
    """Return the code system of the first table under a URL."""
    names = files.ending(".csv", ".tsv", ".txt")
    need(bool(names), "There is no table (.csv, .tsv, .txt).")
    need(bool(url), "A table doesn't say the URL of its code system: give --url.")
    with files.open(names[0]) as text:
        head = text.readline()
    delimiter = _delimiter(head)
    columns = [cell.strip(' "\ufeff\r\n') for cell in head.split(delimiter)]
    need("code" in columns, f"The table needs a column code; it has {', '.join(columns)}.")
    own = [name for name in columns if name not in _KNOWN and not name.startswith("display:")]
    made = header(
        url, version, url.rstrip("/").rpartition("/")[2] or "CodeSystem",
        {name: ("string", f"Column {name}") for name in own}, **({"language": language} if language else {}),
    )  # fmt: skip
    return Source(made, _concepts(files, names[0], delimiter, own))


def _concepts(files: Files, name: str, delimiter: str, own: list[str]) -> Iterator[SourceConcept]:
    with files.open(name) as text:
        for row in rows(text, delimiter):
            need(bool(row["code"]), "Each row of the table has a code.")
            properties: list[dict[str, Any]] = [
                {"code": column, "valueString": row[column]} for column in own if row.get(column)
            ]
            if row.get("inactive", "").lower() in _TRUE:
                properties.append({"code": "inactive", "valueBoolean": True})
            yield SourceConcept(
                row["code"],
                row.get("display", ""),
                row.get("definition", ""),
                tuple(
                    designation(value, column.removeprefix("display:"))
                    for column, value in row.items()
                    if column.startswith("display:") and value
                ),
                tuple(properties),
                tuple(code.strip() for code in row.get("parent", "").split("|") if code.strip()),
            )
