"""The answer to a batch or transaction: one entry for each entry of the request, in its order, of stored bytes.

https://hl7.org/fhir/R4/http.html#transaction-response
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Any

from fhir_server.datatypes.json_format import encode
from fhir_server.interactions.exchange import FhirResponse
from fhir_server.interactions.steps.bundle_entries import Entry
from fhir_server.interactions.steps.prepare import instant
from fhir_server.store.content import Content
from fhir_server.store.documents import Stored

_OUTCOME = b'{"resourceType":"OperationOutcome"'


@dataclass(frozen=True, slots=True)
class Answer:
    """The JSON of a response's entry, the contents whose tokens stand in it, and the versions ``found``, not made."""

    text: bytes
    large: tuple[Content, ...] = ()
    found: tuple[Stored, ...] = ()


def response_entry(entry: Entry, response: FhirResponse, last_updated: int | None = None) -> Answer:
    """Return a response's entry; ``last_updated`` is milliseconds UTC, where it is known exactly."""
    headers = dict(response.headers)
    described: dict[str, Any] = {"status": f"{response.status} {HTTPStatus(response.status).phrase}"}
    if "Location" in headers:
        described["location"] = headers["Location"]
    if "ETag" in headers:
        described["etag"] = headers["ETag"]
    if last_updated is None and "Last-Modified" in headers:
        last_updated = int(parsedate_to_datetime(headers["Last-Modified"]).timestamp()) * 1000
    if last_updated is not None:
        described["lastModified"] = instant(last_updated)
    text = encode(described)
    body = b"".join(response.body) if entry.method != "HEAD" else b""
    if not body:
        return Answer(b'{"response":%b}' % text)
    if body.startswith(_OUTCOME) and (entry.method != "GET" or response.status >= 400):
        return Answer(b'{"response":%b,"outcome":%b}}' % (text[:-1], body))
    return Answer(b'{"resource":%b,"response":%b}' % (body, text), response.large)


def response_bundle(type_: str, entries: Sequence[Answer]) -> FhirResponse:
    """Return 200 with the Bundle of type batch-response or transaction-response."""
    head = b'{"resourceType":"Bundle","type":"%b-response"' % type_.encode()
    # An empty array is no FHIR JSON: a Bundle without entries has no "entry".
    joined = b",".join(entry.text for entry in entries)
    body = b'%b,"entry":[%b]}' % (head, joined) if entries else head + b"}"
    large = tuple(content for entry in entries for content in entry.large)
    found = tuple(stored for entry in entries for stored in entry.found)
    return FhirResponse(200, (), (body,), interaction=type_, large=large, shown=found)
