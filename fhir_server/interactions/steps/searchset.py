"""Bundles of stored bytes: searchset and history, joined and never re-encoded.

https://hl7.org/fhir/R4/bundle.html
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from fhir_server.datatypes.json_format import encode
from fhir_server.interactions.steps.prepare import instant
from fhir_server.outcome import Issue, operation_outcome
from fhir_server.search.sorting import RELEVANCE
from fhir_server.store.content import Content
from fhir_server.store.documents import Method, Stored


def searchset(
    base: str,
    rows: Sequence[Stored],
    links: Mapping[str, str],
    *,
    total: int | None = None,
    warnings: Sequence[Issue] = (),
    bodies: Sequence[bytes] | None = None,
    includes: Sequence[tuple[Stored, bytes]] = (),
) -> bytes:
    """Return a searchset Bundle as JSON; warnings become one OperationOutcome entry of mode outcome.

    ``bodies`` replaces the rows' own bytes, in the same order, where only a part of each resource is shown;
    ``includes`` are the entries of mode include, each with the bytes to show.
    """
    entries = [
        b'{"fullUrl":"%b/%b/%b","resource":%b,"search":{"mode":"match"%b}}'
        % (base.encode(), row.type.encode(), row.id.encode(), body, _score(row))
        for row, body in zip(rows, bodies or [row.body for row in rows], strict=True)
    ]
    entries += [
        b'{"fullUrl":"%b/%b/%b","resource":%b,"search":{"mode":"include"}}'
        % (base.encode(), row.type.encode(), row.id.encode(), body)
        for row, body in includes
    ]
    if warnings:
        outcome = encode(operation_outcome(warnings))
        entries.append(b'{"resource":%b,"search":{"mode":"outcome"}}' % outcome)
    return _bundle("searchset", links, entries, total)


def _score(row: Stored) -> bytes:
    score = row.fields.get(RELEVANCE)
    return b"" if score is None else b',"score":%.4f' % score


def large_of(rows: Iterable[Stored]) -> tuple[Content, ...]:
    """Return the contents whose tokens stand in the bodies of rows."""
    return tuple(content for row in rows for content in row.large)


def history(
    base: str, rows: Sequence[Stored], links: Mapping[str, str], *, total: int | None = None
) -> bytes:
    """Return a history Bundle as JSON, in the order of the rows; a deletion is an entry without resource."""
    return _bundle("history", links, [_version(base, row) for row in rows], total)


def _version(base: str, row: Stored) -> bytes:
    method = row.method.value
    url = row.type if row.method is Method.POST else f"{row.type}/{row.id}"
    status = "204" if row.is_deleted else "201" if row.version == 1 else "200"
    envelope: dict[str, Any] = {
        "request": {"method": method, "url": url},
        "response": {
            "status": status,
            "etag": f'W/"{row.version}"',
            "lastModified": instant(row.last_updated),
        },
    }
    tail = encode(envelope)[1:]
    full_url = f"{base}/{row.type}/{row.id}".encode()
    if row.is_deleted:
        return b'{"fullUrl":"%b",%b' % (full_url, tail)
    return b'{"fullUrl":"%b","resource":%b,%b' % (full_url, row.body, tail)


def _bundle(type_: str, links: Mapping[str, str], entries: Iterable[bytes], total: int | None) -> bytes:
    head = {
        "resourceType": "Bundle",
        "type": type_,
        **({} if total is None else {"total": total}),
        "link": [{"relation": relation, "url": url} for relation, url in links.items()],
    }
    joined = b",".join(entries)
    # An empty array is no FHIR JSON: a Bundle without entries has no "entry".
    return encode(head)[:-1] + (b',"entry":[%b]}' % joined if joined else b"}")
