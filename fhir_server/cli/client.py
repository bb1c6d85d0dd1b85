"""A small HTTP/1.1 client that keeps its connections: what a loader needs and nothing else.

The parser is httptools, which the server needs anyway; a general client takes more CPU for a request than the
server does (figures in docs/decisions/0008-load-over-http.md). No redirects, no proxies, no compression.
https://www.rfc-editor.org/rfc/rfc9112
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import httptools

from fhir_server import __version__


@dataclass(frozen=True, slots=True)
class Answer:
    """Status, headers by lower-case name, and the whole body."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""


class Lost(OSError):  # noqa: N818 (the name says what happened)
    """The connection broke before the answer was complete; whether the request was carried out is unknown."""


class Client:
    """Requests to one base URL over at most as many connections as run at the same time."""

    def __init__(self, base: str, timeout_s: float = 60.0, tls: ssl.SSLContext | None = None) -> None:
        parts = urlsplit(base.rstrip("/"))
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(f'"{base}" is no http or https URL.')
        self._tls = (tls or ssl.create_default_context()) if parts.scheme == "https" else None
        self._host = parts.hostname
        self._port = parts.port or (443 if self._tls else 80)
        self._path = parts.path
        self._timeout_s = timeout_s
        self._idle: list[_Connection] = []
        self._fixed = f"Host: {parts.netloc.rpartition('@')[2]}\r\nUser-Agent: fhir-server/{__version__}\r\n"

    async def request(
        self, method: str, path: str, body: bytes = b"", headers: Mapping[str, str] | None = None
    ) -> Answer:
        """Return the answer to a request on ``path`` below the base.

        Raises OSError when the server can't be reached, Lost when the connection breaks, TimeoutError when
        the answer takes longer than the client's time limit.
        """
        lines = "".join(f"{name}: {value}\r\n" for name, value in (headers or {}).items())
        first = f"{method} {self._path}/{path} HTTP/1.1\r\n"
        head = f"{first}{self._fixed}{lines}Content-Length: {len(body)}\r\n\r\n"
        async with asyncio.timeout(self._timeout_s):
            connection = await self._connection()
            try:
                answer = await connection.exchange(method, head.encode() + body)
            except BaseException:
                connection.close()
                raise
        if connection.is_open:
            self._idle.append(connection)
        return answer

    async def close(self) -> None:
        """Close all idle connections."""
        while self._idle:
            self._idle.pop().close()
        await asyncio.sleep(0)  # the loop closes sockets in its next round

    async def _connection(self) -> _Connection:
        while self._idle:
            connection = self._idle.pop()
            if connection.is_open:
                return connection
        loop = asyncio.get_running_loop()
        _, connection = await loop.create_connection(_Connection, self._host, self._port, ssl=self._tls)
        return connection


class _Connection(asyncio.Protocol):
    """One connection; httptools calls the ``on_`` methods."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._waiting: asyncio.Future[Answer] | None = None
        self._parser: httptools.HttpResponseParser | None = None
        self._headers: dict[str, str] = {}
        self._parts: list[bytes] = []
        self.is_open = False

    async def exchange(self, method: str, message: bytes) -> Answer:
        assert self._transport is not None
        if method == "HEAD":  # the parser can't know that a content length without content follows
            raise ValueError("HEAD is not offered")
        self._waiting = asyncio.get_running_loop().create_future()
        self._parser = httptools.HttpResponseParser(self)
        self._headers, self._parts = {}, []
        self._transport.write(message)
        return await self._waiting

    def close(self) -> None:
        self.is_open = False
        if self._transport is not None:
            self._transport.abort()  # nothing is worth flushing: an answer is complete or given up

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self.is_open = True

    def data_received(self, data: bytes) -> None:
        try:
            assert self._parser is not None
            self._parser.feed_data(data)
        except httptools.HttpParserError as reason:
            self._fail(Lost(f"The answer is no HTTP: {reason}."))

    def connection_lost(self, exc: Exception | None) -> None:
        self._fail(Lost(f"The server closed the connection{f': {exc}' if exc else ''}."))

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_body(self, body: bytes) -> None:
        self._parts.append(body)

    def on_message_complete(self) -> None:
        assert self._parser is not None
        status = self._parser.get_status_code()
        if status < 200:  # an interim answer: the final one follows
            self._headers, self._parts = {}, []
            return
        if not self._parser.should_keep_alive():
            self.close()
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(Answer(status, self._headers, b"".join(self._parts)))

    def _fail(self, reason: Exception) -> None:
        self.close()
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_exception(reason)
