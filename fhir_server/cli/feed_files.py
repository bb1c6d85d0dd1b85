"""A payer's file as statements to send: rows are read as a stream, those of one statement stand together."""

from __future__ import annotations

import bz2
import csv
import gzip
import io
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, cast

from fhir_server.cli.unpacking import Item
from fhir_server.datatypes.json_format import encode
from fhir_server.space.feed import FeedMapping, Values, row_faults, statement_faults, statement_of, values_of

_OPENERS: dict[str, Callable[..., Any]] = {".gz": gzip.open, ".bz2": bz2.open}
_OTHER = "Another row of this statement is wrong."


@dataclass(frozen=True, slots=True)
class Row:
    """A row of the file: the number of its line, from 1, its values, and what is wrong with it."""

    line: int
    values: Values
    faults: tuple[str, ...] = ()


@dataclass(slots=True)
class Feed:
    """The statements of a file, one after the other.

    ``waiting`` has the rows of those that are not settled, by the place that names them; ``total`` and ``consumed`` are
    bytes.
    """

    path: Path
    mapping: FeedMapping
    total: int = 0
    consumed: int = 0
    waiting: dict[str, list[Row]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Look how large the file is; raises OSError when it can't be read."""
        self.total = self.path.stat().st_size

    def items(self) -> Iterator[Item]:
        """Yield a transaction for each statement; one with faults has a problem in its place."""
        for number, rows in enumerate(_grouped(self._rows())):
            place = f"{self.path}:{rows[0].line}"
            problem, body, marked = "", b"", rows
            if any(row.faults for row in rows):
                problem = " ".join(fault for row in rows for fault in row.faults)
            elif together := list(statement_faults([row.values for row in rows])):
                problem = " ".join(together)
                marked = [Row(row.line, row.values, tuple(together)) for row in rows]
            else:
                body = _transaction(statement_of([row.values for row in rows]))
            self.waiting[place] = marked
            yield Item(
                str(self.path),
                number,
                place,
                "ExplanationOfBenefit",
                None,
                body,
                problem,
                is_transaction=True,
            )

    def _rows(self) -> Iterator[Row]:
        with self.path.open("rb") as file:
            opener = _OPENERS.get(self.path.suffix)
            stream = cast("IO[bytes]", opener(file) if opener else file)
            is_csv = self._format() == "csv"
            for line, raw in _of_csv(stream, self.mapping) if is_csv else _of_ndjson(stream):
                self.consumed = file.tell()
                if isinstance(raw, str):
                    yield Row(line, {}, (raw,))
                else:
                    values = values_of(self.mapping, raw)
                    yield Row(line, values, tuple(row_faults(values)))

    def _format(self) -> str:
        name = self.path.stem if self.path.suffix in _OPENERS else self.path.name
        return self.mapping.format or ("ndjson" if name.endswith((".ndjson", ".jsonl")) else "csv")

    def report(self, place: str, status: int, reasons: tuple[str, ...]) -> Iterator[dict[str, Any]]:
        """Yield a line of the report for each row of a statement that was not stored."""
        rows = self.waiting.get(place, [])
        is_ours = any(row.faults for row in rows)
        for row in rows:
            why = (list(row.faults) or [_OTHER]) if is_ours else list(reasons)
            yield {
                "line": row.line,
                "statement": row.values.get("statement", ""),
                **({"status": status} if status else {}),
                "reasons": why,
            }


def _grouped(rows: Iterator[Row]) -> Iterator[list[Row]]:
    """Yield rows that follow each other and name the same statement; one that names none stands alone."""
    group: list[Row] = []
    for row in rows:
        number = row.values.get("statement")
        if group and (number is None or group[0].values.get("statement") != number):
            yield group
            group = []
        group.append(row)
    if group:
        yield group


def _of_csv(stream: IO[bytes], mapping: FeedMapping) -> Iterator[tuple[int, Mapping[str, Any] | str]]:
    with io.TextIOWrapper(stream, encoding=mapping.encoding, newline="") as text:
        reader = csv.reader(
            text,
            delimiter=mapping.delimiter,
            strict=True,
        )
        head = next(reader, [])
        line = reader.line_num
        while True:
            start = line + 1
            try:
                cells = next(reader, None)
            except csv.Error as reason:
                cells = []
                yield start, f"The line is no CSV: {reason}."
                line = reader.line_num
                continue
            if cells is None:
                return
            line = reader.line_num
            if not cells:
                continue
            if len(cells) != len(head):
                yield start, f"The line has {len(cells)} cells, the head of the table {len(head)}."
            else:
                yield start, dict(zip(head, cells, strict=True))


def _of_ndjson(stream: IO[bytes]) -> Iterator[tuple[int, Mapping[str, Any] | str]]:
    for line, text in enumerate(stream, 1):
        if not text.strip():
            continue
        try:
            value = json.loads(text, parse_float=str, parse_int=str)
        except ValueError as reason:
            yield line, f"The line is no JSON: {reason}."
            continue
        yield line, value if isinstance(value, dict) else "The line is no JSON object."


def _transaction(resource: dict[str, Any]) -> bytes:
    entry = {"resource": resource, "request": {"method": "POST", "url": "ExplanationOfBenefit"}}
    return encode({"resourceType": "Bundle", "type": "transaction", "entry": [entry]})
