"""How one resource is answered: headers of its version, what Prefer asks for, stored bytes as they are.

https://hl7.org/fhir/R4/http.html#ops, https://hl7.org/fhir/R4/http.html#versioning
"""

from __future__ import annotations

from collections.abc import Sequence
from email.utils import formatdate
from functools import lru_cache

from fhir_server.datatypes.json_format import encode
from fhir_server.interactions.exchange import FhirRequest, FhirResponse, Server
from fhir_server.interactions.steps import binary
from fhir_server.interactions.steps.subsetting import subsetted
from fhir_server.outcome import Issue, error, operation_outcome
from fhir_server.search import decode_pairs
from fhir_server.search.result_parameters import read as read_result_parameters
from fhir_server.store.documents import Change, Stored


@lru_cache(maxsize=4096)
def http_date(seconds: int) -> str:
    """Return a moment as an HTTP date (RFC 9110, 5.6.7)."""
    return formatdate(seconds, usegmt=True)


def version_headers(stored: Stored | Change) -> tuple[tuple[str, str], ...]:
    """Return ETag and Last-Modified of a version."""
    return (
        ("ETag", f'W/"{stored.version}"'),
        ("Last-Modified", http_date(stored.last_updated // 1000)),
    )


def represented(server: Server, request: FhirRequest, stored: Stored) -> FhirResponse:
    """Return 200 with the stored bytes of a resource, or with the part that _summary or _elements name.

    A Binary is its own content unless FHIR's formats are asked for.
    """
    if stored.type == binary.TYPE and binary.wants_content(request, stored):
        return binary.content(server, request, stored, version_headers(stored))
    body = stored.body
    if "_summary" in request.query or "_elements" in request.query:
        given: dict[str, list[str]] = {}
        for name, value in decode_pairs(request.query):
            if name in ("_summary", "_elements"):
                given.setdefault(name, []).append(value)
        shape = read_result_parameters(given, server.registry.parameters(stored.type))
        if shape.summary == "count":
            raise error("value", "_summary=count is for searches; a read takes true, text, data and false.")
        if shape.summary or shape.elements:
            body = subsetted(server, stored, shape.summary, shape.elements)
    return FhirResponse(200, version_headers(stored), (body,), large=stored.large, shown=(stored,))


def written(
    request: FhirRequest,
    change: Change | Stored,
    warnings: Sequence[Issue] = (),
    *,
    is_new: bool | None = None,
) -> FhirResponse:
    """Return the answer to a durable write: 201 with Location for a new resource, else 200.

    ``change`` may be a version that was there before, which a conditional create found (then ``is_new`` is False).
    The body follows ``Prefer: return=``: representation (the default), minimal, or OperationOutcome with the
    validator's warnings.
    """
    location = f"{request.base}/{change.type}/{change.id}/_history/{change.version}"
    created = change.version == 1 if is_new is None else is_new
    headers = (("Location", location), *version_headers(change))
    return FhirResponse(
        201 if created else 200,
        headers,
        _preferred(request, change, warnings),
        large=change.large,
        shown=(change,),
    )


def _preferred(request: FhirRequest, change: Change | Stored, warnings: Sequence[Issue]) -> tuple[bytes, ...]:
    prefer = request.headers.get("prefer", "")
    if "return=minimal" in prefer:
        return ()
    if "return=OperationOutcome" in prefer:
        what = "Nothing was stored, there is a match:" if isinstance(change, Stored) else "Stored as"
        text = f"{what} {change.type}/{change.id}, version {change.version}."
        done = Issue("information", "informational", text)
        return (encode(operation_outcome([done, *warnings])),)
    return (change.body,)
