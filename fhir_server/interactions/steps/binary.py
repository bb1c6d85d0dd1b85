"""Binary in its native form: any content up and down under its own content type.

https://hl7.org/fhir/R4/binary.html. A request body whose Content-Type is not FHIR's is the content itself; a read that
does not ask for FHIR's formats gets the content itself, whole or the range that it names (RFC 9110, 14).
"""

from __future__ import annotations

import base64
import re
from dataclasses import replace
from typing import Any

from fhir_server.datatypes.json_format import decode, encode
from fhir_server.interactions.exchange import FhirRequest, FhirResponse, Target
from fhir_server.outcome import FhirError, error
from fhir_server.store.documents import Stored

TYPE = "Binary"
#: Formats in which the resource itself is sent and asked for.
_FHIR = frozenset(
    (
        "application/fhir+json",
        "application/fhir+xml",
        "application/json+fhir",
        "application/xml+fhir",
        "application/json",
        "text/json",
        "json",
        "xml",
    )
)
#: Formats that are FHIR's or the content's own: the body tells.
_EITHER = frozenset(("application/json", "text/json"))
_SECURITY_CONTEXT = "x-security-context"
_MEDIA_TYPE = re.compile(
    r"[\w!#$&^.+-]+/[\w!#$&^.+-]+(?:\s*;\s*[\w!#$&^.+-]+=(?:[\w!#$&^.+-]+|\"[ -!#-\[\]-~]*\"))*", re.ASCII
)
_RANGE = re.compile(r"bytes\s*=\s*(\d{0,18})\s*-\s*(\d{0,18})\s*", re.ASCII)
#: What a browser must not do with content of unknown origin.
_GUARDS = (("Content-Disposition", "attachment"), ("Content-Security-Policy", "sandbox; default-src 'none'"))


def is_content(request: FhirRequest, target: Target) -> bool:
    """Tell whether the body of a write is the content of a Binary, not a resource."""
    content_type = request.headers.get("content-type")
    if target.type != TYPE or content_type is None:
        return False
    media = content_type.partition(";")[0].strip().lower()
    if media in _EITHER:
        try:
            return decode(request.body).get("resourceType") != TYPE
        except FhirError:
            return True
    return media not in _FHIR


def as_resource(request: FhirRequest, target: Target) -> FhirRequest:
    """Return the same write with the content wrapped as a Binary resource; raises FhirError 400 for a bad type."""
    content_type = " ".join(request.headers["content-type"].split())
    if not _MEDIA_TYPE.fullmatch(content_type):
        raise error("value", "The Content-Type is no media type, for example application/pdf.")
    resource: dict[str, Any] = {"resourceType": TYPE}
    if target.id:
        resource["id"] = target.id
    resource["contentType"] = content_type
    if _SECURITY_CONTEXT in request.headers:
        resource["securityContext"] = {"reference": request.headers[_SECURITY_CONTEXT]}
    if request.body:
        resource["data"] = base64.b64encode(request.body).decode()
    headers = {**request.headers, "content-type": "application/fhir+json"}
    headers.setdefault("prefer", "return=minimal")  # who sends content does not want it back in base64
    return replace(request, headers=headers, body=encode(resource))


def wants_content(request: FhirRequest) -> bool:
    """Tell whether a read of a Binary asks for its content: neither Accept nor ``_format`` is for FHIR's formats."""
    if "_format=" in request.query:
        return False
    accepted = request.headers.get("accept", "").lower().split(",")
    return not any(entry.partition(";")[0].strip() in _FHIR for entry in accepted)


def content(request: FhirRequest, stored: Stored, headers: tuple[tuple[str, str], ...]) -> FhirResponse:
    """Return 200 with the content, 206 with a range of it, or 416; ``headers`` are those of the version."""
    resource = decode(stored.body)
    data = base64.b64decode(resource.get("data", ""))
    content_type = resource.get("contentType", "")
    if not _MEDIA_TYPE.fullmatch(content_type):
        content_type = "application/octet-stream"
    more = [*headers, ("Accept-Ranges", "bytes"), *_GUARDS]
    reference = resource.get("securityContext", {}).get("reference", "")
    if reference.isascii() and reference.isprintable() and reference:
        more.append(("X-Security-Context", reference))
    wanted = range_of(request, len(data))
    if wanted is None:
        return FhirResponse(200, more, (data,), content_type=content_type)
    first, last = wanted
    more.append(("Content-Range", f"bytes {first}-{last}/{len(data)}"))
    return FhirResponse(206, more, (data[first : last + 1],), content_type=content_type)


def range_of(request: FhirRequest, size: int) -> tuple[int, int] | None:
    """Return the first and last byte that Range names, None for the whole content; raise FhirError 416 beyond it.

    Several ranges, malformed ones and conditional ones (our entity tags are weak) are answered with the whole.
    """
    found = _RANGE.fullmatch(request.headers.get("range", ""))
    if found is None or "if-range" in request.headers or request.method not in ("GET", "HEAD"):
        return None
    first, last = found[1], found[2]
    if not first:
        if not last:
            return None
        begin, end = max(0, size - int(last)), size - 1
        is_satisfiable = int(last) > 0 and size > 0
    else:
        begin, end = int(first), min(int(last), size - 1) if last else size - 1
        if last and int(last) < int(first):
            return None
        is_satisfiable = begin < size
    if not is_satisfiable:
        raise error(
            "value",
            f"The range begins behind the end of the content, which has {size} bytes.",
            status=416,
            headers={"Content-Range": f"bytes */{size}"},
        )
    return begin, end
