"""A minimal keep-alive HTTP/1.1 client on asyncio streams: the driver must cost less than the server it measures."""

from __future__ import annotations

import asyncio
from urllib.parse import urlsplit


class Connection:
    """One connection to a server on this machine; ``base`` is the FHIR base URL, ``token`` an access token."""

    def __init__(self, base: str, token: str = "") -> None:
        parts = urlsplit(base)
        if parts.hostname not in ("127.0.0.1", "localhost"):
            raise ValueError("benchmarks drive servers on this machine only")
        self._host, self._port = parts.hostname, parts.port or 80
        self._prefix = parts.path
        self._head = f"Host: {parts.hostname}:{self._port}\r\nAccept: application/fhir+json\r\n".encode()
        if token:
            self._head += f"Authorization: Bearer {token}\r\n".encode()
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    def request(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        *headers: tuple[str, str],
        media: str = "application/fhir+json",
    ) -> bytes:
        """Return the bytes of a request; ``path`` is relative to the base."""
        start = f"{method} {self._prefix}/{path} HTTP/1.1\r\n".encode() + self._head
        start += "".join(f"{name}: {value}\r\n" for name, value in headers).encode()
        if body is None:
            return start + b"\r\n"
        return start + f"Content-Type: {media}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body

    async def send(self, raw: bytes) -> tuple[int, bytes, bytes]:
        """Return status, header bytes and body of one exchange."""
        if self._streams is None:
            self._streams = await asyncio.open_connection(self._host, self._port, limit=2**24)
        reader, writer = self._streams
        writer.write(raw)
        head = await reader.readuntil(b"\r\n\r\n")
        lower = head.lower()
        at = lower.find(b"\r\ncontent-length:")
        body = b""
        if at >= 0:
            body = await reader.readexactly(int(lower[at + 17 : lower.index(b"\r\n", at + 2)]))
        return int(head[9:12]), head, body

    def close(self) -> None:
        """Close the connection."""
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None
