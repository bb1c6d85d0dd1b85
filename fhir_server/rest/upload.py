"""The body of a request as it comes in: bounded in size and time, checked against what its headers say of it.

RFC 9110 (Content-Length, Content-Encoding), RFC 9530 (Content-Digest, Repr-Digest), RFC 3230 (Digest), RFC 1864
(Content-MD5).
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
import re
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, MutableMapping
from dataclasses import dataclass
from typing import Any

from fhir_server.outcome import FhirError, error

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]

#: Names of digests in headers, and of the algorithms behind them.
_ALGORITHMS = {"sha-256": "sha256", "sha-512": "sha512", "sha": "sha1", "md5": "md5"}
_DIGESTS = {name.lower(): name for name in ("Content-MD5", "Content-Digest", "Repr-Digest", "Digest")}
_DIGEST = re.compile(r"\s*([A-Za-z0-9-]+)\s*=\s*:?([A-Za-z0-9+/]+={0,2}):?\s*")
#: Window bits by which zlib reads an encoding: gzip has its own header, deflate that of zlib.
_ENCODINGS = {"gzip": 31, "x-gzip": 31, "deflate": 15}
#: Bytes that are unpacked at a time.
_UNPACKED = 256 * 1024
_CLOSE = {"Connection": "close"}


class Disconnected(Exception):  # noqa: N818 (says what happened; never leaves this package)
    """The client went away before its request was complete."""


async def whole(receive: Receive, headers: Mapping[str, str], limit: int, seconds: float) -> bytes:
    """Return a body; raises what ``received`` and ``checked`` raise."""
    announced = _announced(headers, limit)
    parts: list[bytes] = []
    size = 0
    is_more = True
    try:
        async with asyncio.timeout(seconds):
            while is_more:
                part, is_more = await _next(receive)
                size += len(part)
                if size > limit:
                    raise too_large(limit)
                parts.append(part)
    except TimeoutError:
        raise _late(seconds) from None
    if announced is not None and size != announced:
        raise _incomplete(size, announced)
    body = b"".join(parts) if len(parts) > 1 else parts[0]
    if not headers.keys().isdisjoint(_DIGESTS):
        _check(_expected(headers), [body])
    return body


async def received(
    receive: Receive, headers: Mapping[str, str], limit: int, seconds: float
) -> AsyncIterator[bytes]:
    """Yield the body's parts as they come.

    Raises FhirError 413 as soon as it is known to be larger than ``limit``, 408 when it takes longer than ``seconds``,
    400 when it ends before the announced length; Disconnected when the client went away.
    """
    announced = _announced(headers, limit)
    size = 0
    is_more = True
    deadline = asyncio.get_running_loop().time() + seconds
    while is_more:
        try:
            async with asyncio.timeout_at(deadline):
                part, is_more = await _next(receive)
        except TimeoutError:
            raise _late(seconds) from None
        size += len(part)
        if size > limit:
            raise too_large(limit)
        yield part
    if announced is not None and size != announced:
        raise _incomplete(size, announced)


async def _next(receive: Receive) -> tuple[bytes, bool]:
    """Return the next part of a body, and whether there are more."""
    message = await receive()
    if message["type"] == "http.disconnect":
        raise Disconnected
    return bytes(message.get("body", b"")), message.get("more_body", False)


def _announced(headers: Mapping[str, str], limit: int) -> int | None:
    text = headers.get("content-length", "")
    announced = int(text) if text.isascii() and text.isdigit() else None
    if announced is not None and announced > limit:
        raise too_large(limit)
    return announced


async def unpacked(
    parts: AsyncIterator[bytes], headers: Mapping[str, str], limit: int
) -> AsyncIterator[bytes]:
    """Yield the content behind Content-Encoding, which may not be larger than ``limit`` either.

    Raises FhirError 400 for what is not in that encoding, or was cut off.
    """
    encoding = headers.get("content-encoding", "identity").strip().lower()
    if encoding == "identity":
        async for part in parts:
            yield part
        return
    unpacker = zlib.decompressobj(_ENCODINGS[encoding])
    size = 0
    async for part in parts:
        waiting = part
        while waiting:
            try:
                found = unpacker.decompress(waiting, _UNPACKED)
            except zlib.error:
                raise _misencoded(encoding) from None
            waiting = unpacker.unconsumed_tail
            size += len(found)
            if size > limit:
                raise too_large(limit)
            if unpacker.unused_data:
                raise _misencoded(encoding)
            if found:
                yield found
    if not unpacker.eof:
        raise _misencoded(encoding)


async def checked(parts: AsyncIterator[bytes], headers: Mapping[str, str]) -> AsyncIterator[bytes]:
    """Yield the parts; raise FhirError 400 at the end unless they are what the digests in the headers say.

    A digest by an algorithm that is not known here says nothing.
    """
    expected = _expected(headers)
    async for part in parts:
        for digest in expected:
            digest.sum.update(part)
        yield part
    _check(expected)


def check_unpackable(headers: Mapping[str, str]) -> None:
    """Raise FhirError 415 for a Content-Encoding that can't be unpacked."""
    encoding = headers.get("content-encoding", "identity").strip().lower()
    if encoding != "identity" and encoding not in _ENCODINGS:
        raise error(
            "not-supported",
            "It can be sent as it is or with Content-Encoding gzip or deflate.",
            status=415,
            headers={"Accept-Encoding": "gzip, deflate, identity", **_CLOSE},
        )


def _late(seconds: float) -> FhirError:
    text = f"The body did not arrive within {seconds:g} s; nothing was stored."
    return error("timeout", text, status=408, headers=_CLOSE)


def _incomplete(size: int, announced: int) -> FhirError:
    text = (
        f"The body ended after {size} of the {announced} bytes that Content-Length says; nothing was stored."
    )
    return error("incomplete", text, status=400, headers=_CLOSE)


def too_large(limit: int) -> FhirError:
    """Return the 413 of a body above the limit."""
    return error(
        "too-long",
        f"The body is larger than {limit / 1_000_000:g} MB, the most that this server takes here.",
        headers=_CLOSE,
    )


@dataclass(frozen=True, slots=True)
class _Expected:
    """A digest in a header, and the sum that is to become the same."""

    header: str
    value: bytes
    sum: Any


def _expected(headers: Mapping[str, str]) -> list[_Expected]:
    """Return the digests that can be checked; raise FhirError 400 for malformed ones."""
    found = []
    for header, text in ((name, headers[key]) for key, name in _DIGESTS.items() if key in headers):
        for entry in [f"md5={text.strip()}"] if header == "Content-MD5" else filter(None, text.split(",")):
            match = _DIGEST.fullmatch(entry)
            if match is None:
                raise _malformed(header)
            name = _ALGORITHMS.get(match[1].lower())
            if name is not None:
                value = _value(header, match[2])
                found.append(_Expected(header, value, hashlib.new(name, usedforsecurity=False)))
    return found


def _check(expected: Iterable[_Expected], parts: Iterable[bytes] = ()) -> None:
    """Raise FhirError 400 unless the sums, with the parts added, are those that are expected."""
    for digest in expected:
        for part in parts:
            digest.sum.update(part)
        if digest.sum.digest() != digest.value:
            raise error(
                "value",
                f"The body is not the one whose {digest.sum.name} stands in {digest.header}: it was damaged on its "
                "way, send it again.",
            )


def _value(header: str, text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error:
        raise _malformed(header) from None


def _malformed(header: str) -> FhirError:
    return error("value", f"{header} holds no digest in base64, such as sha-256=:...:.", headers=_CLOSE)


def _misencoded(encoding: str) -> FhirError:
    return error(
        "structure",
        f"The body is not what Content-Encoding says: one complete {encoding} stream.",
        status=400,
    )
