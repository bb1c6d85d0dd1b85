"""A JSON document becomes the resources to send: itself, or the entries of a Bundle; a transaction stays whole.

The bytes of each resource stay as they are, so that numbers keep their digits; only an id and references
between the entries are written into them. https://hl7.org/fhir/R4/bundle.html
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import msgspec

from fhir_server.cli.sources import Document

#: Bundles of these types are carriers: their entries are loaded. The others (document, message, history) are
#: resources.
CARRIERS = frozenset({"collection", "searchset", "batch", "transaction"})
#: The type of a Bundle that is sent as one request.
TRANSACTION = "transaction"

_REFERENCE = re.compile(rb'("reference"\s*:\s*")([^"\\]+)"')
_URN_UUID = re.compile(r"urn:uuid:([0-9a-f-]{36})", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Item:
    """One resource of a source, or a whole transaction, or the reason why there is none.

    ``number`` counts from 0 within the source; ``place`` is ``file:line`` or ``file:line entry[n]``.
    """

    source: str
    number: int
    place: str
    type: str = ""
    id: str | None = None
    body: bytes = b""
    problem: str = ""
    is_transaction: bool = False


class _Head(msgspec.Struct):
    resourceType: str = ""  # noqa: N815 (FHIR's name)
    id: str | None = None


class _Request(msgspec.Struct):
    method: str = ""


class _Entry(msgspec.Struct):
    fullUrl: str = ""  # noqa: N815 (FHIR's name)
    resource: msgspec.Raw = msgspec.Raw()
    request: _Request | None = None
    search: dict[str, Any] | None = None


class _Bundle(msgspec.Struct):
    type: str = ""
    entry: list[_Entry] = []


def items(documents: Iterator[Document], *, unpack: bool = False) -> Iterator[Item]:
    """Yield the resources of one source in order, numbered throughout.

    A transaction whose entries all have a request is one item, unless ``unpack`` asks for its entries.
    """
    number = 0
    for document in documents:
        for item in _unpacked(document, unpack=unpack):
            yield replace(item, number=number)
            number += 1


def _unpacked(document: Document, *, unpack: bool) -> Iterator[Item]:
    place = f"{document.source}:{document.line}"
    body = document.body.removeprefix(b"\xef\xbb\xbf")
    try:
        head = msgspec.json.decode(body, type=_Head)
        if head.resourceType == "Bundle":
            bundle = msgspec.json.decode(body, type=_Bundle)
            if bundle.type == TRANSACTION and not unpack and all(entry.request for entry in bundle.entry):
                yield Item(document.source, 0, place, "Bundle", body=body, is_transaction=True)
                return
            if bundle.type in CARRIERS:
                yield from _entries(document, body, bundle)
                return
    except (msgspec.DecodeError, UnicodeDecodeError) as reason:
        yield Item(document.source, 0, place, problem=f"This is not a JSON resource: {reason}.")
        return
    yield _item(document.source, place, head, body)


def _item(source: str, place: str, head: _Head, body: bytes) -> Item:
    if not head.resourceType:
        return Item(source, 0, place, problem="resourceType is missing: this is no FHIR resource.")
    return Item(source, 0, place, head.resourceType, head.id, body)


def _entries(document: Document, body: bytes, bundle: _Bundle) -> Iterator[Item]:
    heads = [_entry_head(entry) for entry in bundle.entry]
    assigned = _assigned(bundle, heads)
    offset = 0
    line = document.line
    for n, (entry, head) in enumerate(zip(bundle.entry, heads, strict=True)):
        raw = bytes(entry.resource)
        found = body.find(raw, offset) if raw else offset
        line += body.count(b"\n", offset, found)
        offset = found + len(raw)
        place = f"{document.source}:{line} entry[{n}]"
        line += raw.count(b"\n")
        problem = _entry_problem(entry, head)
        if problem:
            yield Item(document.source, 0, place, problem=problem)
        elif isinstance(head, _Head) and not _is_outcome(entry, head):
            yield _item(document.source, place, *_rewritten(entry, head, raw, assigned))


def _entry_head(entry: _Entry) -> _Head | str:
    """Return the head of the entry's resource, or why it has none."""
    if not bytes(entry.resource):
        return "The entry has no resource."
    try:
        return msgspec.json.decode(entry.resource, type=_Head)
    except (msgspec.DecodeError, UnicodeDecodeError) as reason:
        return f"The entry's resource can't be read: {reason}."


def _entry_problem(entry: _Entry, head: _Head | str) -> str:
    method = entry.request.method if entry.request else ""
    if method not in ("", "POST", "PUT"):
        return f"Only POST and PUT entries can be loaded, not {method}."
    return head if isinstance(head, str) else ""


def _is_outcome(entry: _Entry, head: _Head) -> bool:
    """Tell whether the entry is a searchset's own OperationOutcome: it is about the search, no content."""
    return head.resourceType == "OperationOutcome" and (entry.search or {}).get("mode") == "outcome"


def _assigned(bundle: _Bundle, heads: list[_Head | str]) -> dict[bytes, bytes]:
    """Return what references between the entries become: fullUrl -> ``Type/id``.

    A resource without id whose fullUrl is a urn:uuid gets that UUID as its id: loading the same Bundle again
    then updates the same resources. Absolute fullUrls become relative, since the resource lives here from now
    on.
    """
    table: dict[bytes, bytes] = {}
    for entry, head in zip(bundle.entry, heads, strict=True):
        if isinstance(head, _Head) and entry.fullUrl:
            id_ = head.id or _uuid(entry.fullUrl)
            if id_ and head.resourceType:
                table[entry.fullUrl.encode()] = f"{head.resourceType}/{id_}".encode()
    return table


def _uuid(full_url: str) -> str | None:
    match = _URN_UUID.fullmatch(full_url)
    return match[1].lower() if match else None


def _rewritten(entry: _Entry, head: _Head, raw: bytes, assigned: dict[bytes, bytes]) -> tuple[_Head, bytes]:
    raw = _REFERENCE.sub(
        lambda match: match[1] + assigned.get(match[2], match[2]) + b'"',
        raw,
    )
    new_id = None if head.id else _uuid(entry.fullUrl)
    if new_id is None:
        return head, raw
    return _Head(head.resourceType, new_id), b'{"id":"' + new_id.encode() + b'",' + raw.lstrip()[1:]
