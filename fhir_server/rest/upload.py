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
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, MutableMapping
from typing import Any

from fhir_server.outcome import FhirError, error

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]

#: Names of digests in headers, and of the algorithms behind them.
_ALGORITHMS = {"sha-256": "sha256", "sha-512": "sha512", "sha": "sha1", "md5": "md5"}
_DIGEST = re.compile(r"\s*([A-Za-z0-9-]+)\s*=\s*:?([A-Za-z0-9+/]+={0,2}):?\s*")
#: Window bits by which zlib reads an encoding: gzip has its own header, deflate that of zlib.
_ENCODINGS = {"gzip": 31, "x-gzip": 31, "deflate": 15}
#: Bytes that are unpacked at a time.
_UNPACKED = 256 * 1024
_CLOSE = {"Connection": "close"}


class Disconnected(Exception):  # noqa: N818 (says what happened; never leaves this package)
    """The client went away before its request was complete."""


async def received(
    receive: Receive, headers: Mapping[str, str], limit: int, seconds: float
) -> AsyncIterator[bytes]:
    """Yield the body's parts as they come.

    Raises FhirError 413 as soon as it is known to be larger than ``limit``, 408 when it takes longer than ``seconds``,
    400 when it ends before the announced length; Disconnected when the client went away.
    """
    text = headers.get("content-length", "")
    announced = int(text) if text.isascii() and text.isdigit() else None
    if announced is not None and announced > limit:
        raise too_large(limit)
    size = 0
    is_more = True
    deadline = asyncio.get_running_loop().time() + seconds
    while is_more:
        try:
            async with asyncio.timeout_at(deadline):
                message = await receive()
        except TimeoutError:
            raise error(
                "timeout",
                f"The body did not arrive within {seconds:g} s; nothing was stored.",
                status=408,
                headers=_CLOSE,
            ) from None
        if message["type"] == "http.disconnect":
            raise Disconnected
        part = message.get("body", b"")
        size += len(part)
        if size > limit:
            raise too_large(limit)
        is_more = message.get("more_body", False)
        if part:
            yield bytes(part)
    if announced is not None and size != announced:
        raise error(
            "incomplete",
            f"The body ended after {size} of the {announced} bytes that Content-Length announces; nothing was stored.",
            status=400,
            headers=_CLOSE,
        )


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

    A header without any algorithm that is known here says nothing.
    """
    expected = _digests(headers)
    sums = {name: hashlib.new(name, usedforsecurity=False) for _, name, _ in expected}
    async for part in parts:
        for digest in sums.values():
            digest.update(part)
        yield part
    for header, name, value in expected:
        if sums[name].digest() != value:
            raise error(
                "value",
                f"The body is not the one whose {name} stands in {header}: it was damaged on its way, send it again.",
            )


def check_unpackable(headers: Mapping[str, str]) -> None:
    """Raise FhirError 415 for a Content-Encoding that can't be unpacked."""
    encoding = headers.get("content-encoding", "identity").strip().lower()
    if encoding != "identity" and encoding not in _ENCODINGS:
        raise error(
            "not-supported",
            "The content of a Binary can be sent as it is or with Content-Encoding gzip or deflate.",
            status=415,
            headers={"Accept-Encoding": "gzip, deflate, identity", **_CLOSE},
        )


def too_large(limit: int) -> FhirError:
    """Return the 413 of a body above the limit."""
    return error(
        "too-long",
        f"The body is larger than {limit / 1_000_000:g} MB, the most that this server takes here.",
        headers=_CLOSE,
    )


def _digests(headers: Mapping[str, str]) -> list[tuple[str, str, bytes]]:
    """Return header, algorithm and value of each digest that can be checked."""
    found = []
    if "content-md5" in headers:
        found.append(("Content-MD5", "md5", _value("Content-MD5", headers["content-md5"].strip())))
    for header in ("Content-Digest", "Repr-Digest", "Digest"):
        for entry in filter(None, headers.get(header.lower(), "").split(",")):
            match = _DIGEST.fullmatch(entry)
            if match is None:
                raise _malformed(header)
            name = _ALGORITHMS.get(match[1].lower())
            if name is not None:
                found.append((header, name, _value(header, match[2])))
    return found


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
