"""Line and column of issues about the entries of a Bundle, each found in the text of its own entry.

Where the entries stand is looked up once, when the first of them has an issue: a Bundle of which all entries are wrong
costs two readings, not one for each.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import cached_property
from xml.parsers import expat

import msgspec

from fhir_server.datatypes.positions import located, read_items, read_members
from fhir_server.outcome import Issue


class EntryPositions:
    """Finds places in the text of a Bundle, JSON or XML."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._is_xml = data.removeprefix(b"\xef\xbb\xbf").lstrip()[:1] == b"<"

    def located(self, issues: Sequence[Issue], number: int) -> tuple[Issue, ...]:
        """Return the issues of entry ``number`` with line and column; those without a place stay as they are.

        Their expressions are paths in the resource of the entry, or begin with ``Bundle.entry[number]``.
        """
        if number >= len(self._spans):
            return tuple(issues)
        start, end = self._spans[number]
        text = self._data[start:end]
        found = [self._found(issue, text, f"Bundle.entry[{number}]") for issue in issues]
        line = self._data.count(b"\n", 0, start)
        column = len(self._data[self._data.rfind(b"\n", 0, start) + 1 : start].decode("utf-8", "replace"))
        return tuple(
            replace(issue, line=new.line + line, column=new.column + (column if new.line == 1 else 0))
            if new.line and not issue.line
            else issue
            for issue, new in zip(issues, found, strict=True)
        )

    def _found(self, issue: Issue, text: bytes, place: str) -> Issue:
        outer = "entry" if self._is_xml else ""
        if issue.expression.startswith(place):
            inside = issue.expression.removeprefix(place).removeprefix(".") or "request"
            return located([replace(issue, expression=inside)], text, outer)[0]
        return located([issue], text, f"{outer}.resource".removeprefix("."))[0]

    @cached_property
    def _spans(self) -> Sequence[tuple[int, int]]:
        """Where each entry begins and ends."""
        try:
            return _in_xml(self._data) if self._is_xml else list(_in_json(self._data))
        except (msgspec.MsgspecError, expat.ExpatError, KeyError):
            return []


def _in_json(data: bytes) -> Iterable[tuple[int, int]]:
    start = len(data) - len(data.removeprefix(b"\xef\xbb\xbf").lstrip())
    _, offset, raw = read_members(data, start, data[start:])["entry"]
    return [(place, place + len(item)) for place, item in read_items(data, offset, raw)]


def _in_xml(data: bytes) -> list[tuple[int, int]]:
    spans: list[tuple[int, int]] = []
    depth = 0
    parser = expat.ParserCreate("utf-8", namespace_separator=" ")

    def start(name: str, _: dict[str, str]) -> None:
        nonlocal depth
        depth += 1
        if depth == 2 and name.rpartition(" ")[2] == "entry":
            spans.append((parser.CurrentByteIndex, 0))

    def end(name: str) -> None:
        nonlocal depth
        if depth == 2 and name.rpartition(" ")[2] == "entry":
            spans[-1] = spans[-1][0], data.index(b">", parser.CurrentByteIndex) + 1
        depth -= 1

    parser.StartElementHandler, parser.EndElementHandler = start, end
    parser.Parse(data.removeprefix(b"\xef\xbb\xbf"), True)
    return spans
