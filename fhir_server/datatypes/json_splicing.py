"""Changes of a JSON text that leave everything else as its author wrote it: white space, order, numbers.

The operations are those of JSON Patch: ``replace``, ``remove``, ``add`` of a property, and ``move`` to another name in
the same object. https://www.rfc-editor.org/rfc/rfc6902, https://www.rfc-editor.org/rfc/rfc6901
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from fhir_server.datatypes.json_format import encode
from fhir_server.datatypes.positions import read_items, read_members


@dataclass(frozen=True, slots=True)
class _Span:
    """Where a member of an object or array begins, where its value begins and ends."""

    start: int
    value: int
    end: int


def spliced(data: bytes, operations: Iterable[Mapping[str, Any]]) -> bytes:
    """Return the text after the operations, whose paths are all those of ``data``.

    Raises LookupError if there is no such path.
    """
    located = [(_span(data, _place(operation)), operation) for operation in operations]
    # From the end: what comes first keeps its place, and so do the indexes of arrays.
    for _, operation in sorted(located, key=lambda pair: -pair[0].start):
        data = _applied(data, operation)
    return data


def _place(operation: Mapping[str, Any]) -> str:
    if operation["op"] == "add":
        return str(operation["path"].rpartition("/")[0])
    return str(operation.get("from", operation["path"]))


def _applied(data: bytes, operation: Mapping[str, Any]) -> bytes:
    span = _span(data, _place(operation))
    match operation["op"]:
        case "replace":
            return data[: span.value] + encode(operation["value"]) + data[span.end :]
        case "remove":
            return _without(data, span)
        case "move":
            name_end = data.index(b'"', span.start + 1) + 1
            return data[: span.start] + encode(_name(operation["path"])) + data[name_end:]
        case "add":
            return _with_first(data, span, _name(operation["path"]), operation["value"])
    raise LookupError(operation["op"])


def _name(pointer: str) -> str:
    return pointer.rpartition("/")[2].replace("~1", "/").replace("~0", "~")


def _without(data: bytes, span: _Span) -> bytes:
    after = span.end + len(data[span.end :]) - len(data[span.end :].lstrip())
    if data[after : after + 1] == b",":
        rest = data[after + 1 :]
        return data[: span.start] + rest.lstrip()
    before = data[: span.start].rstrip()
    return before.removesuffix(b",") + data[span.end :]


def _with_first(data: bytes, span: _Span, name: str, value: Any) -> bytes:
    inside = span.value + 1
    first = inside + len(data[inside:]) - len(data[inside:].lstrip())
    gap = data[inside:first]
    comma = b"" if data[first : first + 1] == b"}" else b"," + (gap or b" ")
    return data[:first] + encode(name) + b": " + encode(value) + comma + data[first:]


def _span(data: bytes, pointer: str) -> _Span:
    start = len(data) - len(data.removeprefix(b"\xef\xbb\xbf").lstrip())
    raw = data[start:].rstrip()
    span = _Span(start, start, start + len(raw))
    for part in pointer.split("/")[1:]:
        key = part.replace("~1", "/").replace("~0", "~")
        if raw[:1] == b"[":
            value, raw = read_items(data, span.value, raw)[int(key)]
            span = _Span(value, value, value + len(raw))
        else:
            name, value, raw = read_members(data, span.value, raw)[key]
            span = _Span(name, value, value + len(raw))
    return span
