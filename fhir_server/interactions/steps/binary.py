"""Binary in its native form: any content up and down under its own content type.

https://hl7.org/fhir/R4/binary.html. A request body whose Content-Type is not FHIR's is the content itself; a read that
does not ask for FHIR's formats gets the content itself, whole or the range that it names (RFC 9110, 14). Content above
the size that stays in a body is neither read nor sent as a whole: it goes between the client and the store in chunks.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Any

from fhir_server.datatypes.json_format import decode, decode_own, encode
from fhir_server.interactions.exchange import FhirRequest, FhirResponse, Server, Target
from fhir_server.outcome import FhirError, error
from fhir_server.store.content import Content, Extent
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
_EITHER = frozenset(("application/json", "text/json", "application/xml", "text/xml"))
_SECURITY_CONTEXT = "x-security-context"
_MEDIA_TYPE = re.compile(
    r"[\w!#$&^.+-]+/[\w!#$&^.+-]+(?:\s*;\s*[\w!#$&^.+-]+=(?:[\w!#$&^.+-]+|\"[ -!#-\[\]-~]*\"))*", re.ASCII
)
_QUALITY = re.compile(r"[01](?:\.\d{0,3})?", re.ASCII)
_RANGE = re.compile(r"bytes\s*=\s*(\d{0,18})\s*-\s*(\d{0,18})\s*", re.ASCII)
#: What a browser must not do with content of unknown origin.
_GUARDS = (("Content-Disposition", "attachment"), ("Content-Security-Policy", "sandbox; default-src 'none'"))


def is_native(headers: Mapping[str, str]) -> bool:
    """Tell from the headers alone that a body is the content of a Binary."""
    media = _media(headers)
    return media is not None and media not in _FHIR and media not in _EITHER


def _media(headers: Mapping[str, str]) -> str | None:
    content_type = headers.get("content-type")
    return None if content_type is None else content_type.partition(";")[0].strip().lower()


@asynccontextmanager
async def as_resource(server: Server, request: FhirRequest, target: Target) -> AsyncIterator[FhirRequest]:
    """Give a write of a Binary as the write of a resource, whatever form its body has.

    Content that is large is in the store by then, and is removed at the end unless a version refers to it. Raises
    FhirError 400 for a bad Content-Type, and whatever ends the upload.
    """
    if request.incoming is None and not _is_content(request):
        yield request
        return
    content_type = " ".join(request.headers["content-type"].split())
    if not _MEDIA_TYPE.fullmatch(content_type):
        raise error("value", "The Content-Type is no media type, for example application/pdf.")
    resource: dict[str, Any] = {"resourceType": TYPE}
    if target.id:
        resource["id"] = target.id
    resource["contentType"] = content_type
    if _SECURITY_CONTEXT in request.headers:
        resource["securityContext"] = {"reference": request.headers[_SECURITY_CONTEXT]}
    content = request.body if request.incoming is None else await _received(server, request.incoming)
    if content:
        resource["data"] = (
            content.token if isinstance(content, Content) else base64.b64encode(content).decode()
        )
    headers = {**request.headers, "content-type": "application/fhir+json"}
    headers.setdefault("prefer", "return=minimal")  # who sends content does not want it back in base64
    large = (content,) if isinstance(content, Content) else ()
    try:
        yield replace(request, headers=headers, body=encode(resource), incoming=None, large=large)
    finally:
        await server.store.contents.discard(one.token for one in large)


def _is_content(request: FhirRequest) -> bool:
    """Tell whether a body that was read is content, not a resource; XML resources are JSON by now."""
    media = _media(request.headers)
    if media in _EITHER:
        try:
            return decode(request.body).get("resourceType") != TYPE
        except FhirError:
            return True
    return media is not None and media not in _FHIR


async def _received(server: Server, incoming: AsyncIterator[bytes]) -> bytes | Content:
    """Return content that is small as it is, and what stands for it in the store when it is large."""
    contents = server.store.contents
    begin = bytearray()
    async for part in incoming:
        begin += part
        if len(begin) > contents.inline:
            return await contents.write(_from(begin, incoming))
    return bytes(begin)


async def _from(begin: bytearray, rest: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield bytes(begin)
    begin.clear()
    async for part in rest:
        yield part


def wants_content(request: FhirRequest, stored: Stored) -> bool:
    """Tell whether a read of a Binary asks for its content rather than for a resource in one of FHIR's formats.

    ``_format`` does not; Accept does unless it likes one of FHIR's formats as much as the content's own (RFC 9110,
    12.5.1).
    """
    if "_format=" in request.query:
        return False
    accept = request.headers.get("accept", "").lower()
    named = dict(map(_weighed, accept.split(",")))
    resource = max((quality for media, quality in named.items() if media in _FHIR), default=0.0)
    if not resource:
        return True
    own = str(decode_own(stored.body).get("contentType", "")).partition(";")[0].strip().lower()
    for media in (own, f"{own.partition('/')[0]}/*", "*/*"):
        if media in named and media not in _FHIR:
            return named[media] > resource
    return False


def _weighed(entry: str) -> tuple[str, float]:
    """Return a media type of Accept and its quality; a malformed one counts as 1."""
    media, *parameters = (part.strip() for part in entry.split(";"))
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip() == "q" and _QUALITY.fullmatch(value.strip()):
            return media, float(value)
    return media, 1.0


def content(
    server: Server, request: FhirRequest, stored: Stored, headers: tuple[tuple[str, str], ...]
) -> FhirResponse:
    """Return 200 with the content, 206 with a range of it, or 416; ``headers`` are those of the version."""
    resource = decode_own(stored.body)
    text = resource.get("data", "")
    large = next((one for one in stored.large if one.token == text), None)
    data = b"" if large is not None else base64.b64decode(text)
    content_type = resource.get("contentType", "")
    if not _MEDIA_TYPE.fullmatch(content_type):
        content_type = "application/octet-stream"
    digest = base64.b64encode(hashlib.sha256(data).digest() if large is None else large.sha256).decode()
    more = [*headers, ("Accept-Ranges", "bytes"), ("Repr-Digest", f"sha-256=:{digest}:"), *_GUARDS]
    reference = resource.get("securityContext", {}).get("reference", "")
    if reference.isascii() and reference.isprintable() and reference:
        more.append(("X-Security-Context", reference))
    size = len(data) if large is None else large.size
    wanted = range_of(request, size, stored.last_updated, server.clock())
    first, last = wanted or (0, size - 1)
    if wanted:
        more.append(("Content-Range", f"bytes {first}-{last}/{size}"))
    status = 206 if wanted else 200
    if large is None:
        part = (data[first : last + 1],)
        return FhirResponse(status, more, part, content_type=content_type, shown=(stored,))
    extent = Extent(large, first, last)
    return FhirResponse(status, more, content_type=content_type, extent=extent, shown=(stored,))


def range_of(request: FhirRequest, size: int, last_updated: int, now: int) -> tuple[int, int] | None:
    """Return the first and last byte that Range names, None for the whole content; raise FhirError 416 beyond it.

    Several ranges, malformed ones, and those whose If-Range does not hold, are answered with the whole.
    """
    found = _RANGE.fullmatch(request.headers.get("range", ""))
    if found is None or request.method != "GET":  # RFC 9110, 14.2: of no other method
        return None
    if "if-range" in request.headers and not _is_same(request.headers["if-range"], last_updated, now):
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


def _is_same(validator: str, last_updated: int, now: int) -> bool:
    """Tell whether If-Range surely names the version (RFC 9110, 13.1.5): never by an entity tag, ours are weak.

    A date does when it is that of the version and the second that it names is over.
    """
    try:
        moment = parsedate_to_datetime(validator)
    except ValueError:
        return False
    second = last_updated // 1000
    return moment.astimezone(UTC).timestamp() == second and now // 1000 > second
