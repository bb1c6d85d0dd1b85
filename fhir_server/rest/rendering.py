"""From a FhirResponse to ASGI messages: stored bytes go out as they are."""

from __future__ import annotations

import zlib
from collections.abc import Awaitable, Callable, Mapping, MutableMapping, Sequence
from dataclasses import replace
from typing import Any

import msgspec

from fhir_server.datatypes.json_format import decode_own
from fhir_server.datatypes.xml_format import XmlFormat
from fhir_server.interactions.exchange import FhirResponse
from fhir_server.rest.negotiation import FHIR_JSON, JSON, Format, Wish
from fhir_server.rest.security_headers import FOR_DATA, Header, add_missing
from fhir_server.rest.streaming import Stream

#: Bodies below this are not worth compressing: one Observation costs 11 us, 20 of them 26 us (zlib level 1).
_COMPRESS_FROM = 8 * 1024

_CONTENT_TYPE = (b"content-type", FHIR_JSON.encode())
#: Caches must tell the formats apart.
_VARY = (b"vary", b"accept, authorization")
_GZIP = (b"content-encoding", b"gzip")


async def send_response(
    send: Callable[[MutableMapping[str, Any]], Awaitable[None]],
    response: FhirResponse,
    request_id: str,
    method: str,
    request_headers: Mapping[str, str],
    *,
    wish: Wish = JSON,
    stream: Stream | None = None,
    always: tuple[Header, ...] = FOR_DATA,
) -> int:
    """Send status, headers and body; return the bytes of the body that went out.

    The body is in the format that ``wish`` names: see ``formatted``. ``stream`` is sent in its place. ``always`` are
    the headers of each answer that has none of its own by that name.
    """
    body = _joined(response.body)
    size = len(body) if stream is None else stream.size
    headers = [(name.lower().encode(), value.encode("latin-1")) for name, value in response.headers]
    headers.append((b"x-request-id", request_id.encode()))
    if response.content_type:
        headers += ((b"content-type", response.content_type.encode("latin-1")), _VARY)
    elif body:
        headers += (_CONTENT_TYPE if wish is JSON else _content_type(wish), _VARY)
        if (
            stream is None
            and len(body) >= _COMPRESS_FROM
            and "gzip" in request_headers.get("accept-encoding", "")
        ):
            packer = zlib.compressobj(1, zlib.DEFLATED, 31)
            body = packer.compress(body) + packer.flush()
            headers += (_GZIP, (b"vary", b"accept-encoding"))
            size = len(body)
    if response.status not in (204, 304):
        headers.append((b"content-length", b"%d" % size))
    add_missing(headers, always)
    await send({"type": "http.response.start", "status": response.status, "headers": headers})
    if stream is None or method == "HEAD":
        body = b"" if method == "HEAD" else body
        await send({"type": "http.response.body", "body": body})
        return len(body)
    await stream.send(send)
    return size


def formatted(response: FhirResponse, wish: Wish, types: XmlFormat) -> FhirResponse:
    """Return the answer, whose body is JSON, in the format that the client wants."""
    body = _joined(response.body)
    if not body or wish is JSON or response.content_type:
        return response
    if wish.format is Format.XML:
        body = types.encode(decode_own(body), pretty=wish.pretty)
    elif wish.pretty:
        body = msgspec.json.format(body, indent=2)
    return replace(response, body=(body,))


def _joined(parts: Sequence[bytes]) -> bytes:
    return parts[0] if len(parts) == 1 else b"".join(parts)


def _content_type(wish: Wish) -> tuple[bytes, bytes]:
    return b"content-type", (wish.format.value + ("; fhirVersion=4.0" if wish.names_version else "")).encode()
