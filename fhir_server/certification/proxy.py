"""A proxy that passes everything unchanged, in both directions and as it comes, and keeps a copy for the judge.

It is an ASGI application before one server; requests and answers of any size are streamed, and what is kept is bounded.
"""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from itertools import count
from typing import Any
from urllib.parse import urlsplit

import httpx

from fhir_server.certification.traffic import Traffic

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

#: Most bytes of a body that are kept for the judge; longer ones pass all the same.
KEPT = 16_000_000
#: Headers that belong to a connection and not to the message (RFC 9110, section 7.6.1).
_HOP_BY_HOP = frozenset(
    {
        b"connection", b"keep-alive", b"proxy-authenticate", b"proxy-authorization", b"proxy-connection", b"te",
        b"trailer", b"transfer-encoding", b"upgrade",
    }
)  # fmt: skip


class Gone(Exception):  # noqa: N818 (the name says what happened)
    """The client went away."""


class Tap:
    """Keeps a copy of what flows by, up to a size."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._size = 0

    def add(self, part: bytes) -> None:
        """Keep a part."""
        self._size += len(part)
        if self._size <= KEPT:
            self._parts.append(part)

    @property
    def is_cut(self) -> bool:
        """Tell whether it was too much to be kept."""
        return self._size > KEPT

    @property
    def body(self) -> bytes:
        """All that flowed by; empty when it was too much."""
        return b"" if self.is_cut else b"".join(self._parts)


class Renaming:
    """Replaces one address by another in a stream of bytes, also where parts of it meet."""

    def __init__(self, old: bytes, new: bytes) -> None:
        self._old, self._new, self._rest = old, new, b""

    def feed(self, part: bytes) -> bytes:
        """Return what can be passed on."""
        text = (self._rest + part).replace(self._old, self._new)
        keep = next(
            (n for n in range(min(len(self._old) - 1, len(text)), 0, -1) if self._old.startswith(text[-n:])),
            0,
        )
        self._rest = text[len(text) - keep :]
        return text[: len(text) - keep]

    def end(self) -> bytes:
        """Return what was held back."""
        rest, self._rest = self._rest, b""
        return rest


class Proxy:
    """Passes requests on to ``base``'s server; ``take`` gets each exchange when it is complete.

    ``own`` is the address (scheme and authority) that clients reach the proxy at. It is given when the server calls
    itself by another name than the Host that clients send: then that name is replaced, so that the links it gives lead
    through the proxy. Without it nothing is changed.
    """

    def __init__(
        self, base: str, client: httpx.AsyncClient, take: Callable[[Traffic], None], own: str = ""
    ) -> None:
        parts = urlsplit(base)
        self._origin = f"{parts.scheme}://{parts.netloc}"
        self._client = client
        self._take = take
        self._own = own
        self._numbers = count(1)
        #: Requests that are on their way, and when the last one ended (monotonic).
        self.open = 0
        self.last = time.monotonic()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass one HTTP request."""
        if scope["type"] != "http":
            return
        self.open += 1
        try:
            await self._pass(scope, receive, send)
        finally:
            self.open -= 1
            self.last = time.monotonic()

    async def _pass(self, scope: Scope, receive: Receive, send: Send) -> None:
        began, wall, number = time.monotonic(), time.time(), next(self._numbers)
        raw = scope.get("raw_path") or scope["path"].encode()
        target = raw + (b"?" + scope["query_string"] if scope["query_string"] else b"")
        sent, got = Tap(), Tap()
        answer: httpx.Response | None = None
        try:
            answer = await self._client.send(self._request(scope, target, receive, sent), stream=True)
            await self._answer(answer, send, got)
        except Gone:
            return
        except httpx.HTTPError as reason:
            if answer is not None:
                raise  # the answer broke off: the client must see that, too
            await _unreachable(send, reason)
        finally:
            if answer is not None:
                await answer.aclose()
            ended = time.monotonic()
            self._take(
                Traffic(
                    number, began, wall, scope["method"], target.decode("latin-1"), _headers(scope["headers"]),
                    sent.body, sent.is_cut, answer.status_code if answer is not None else 0,
                    _headers(answer.headers.raw) if answer is not None else {}, got.body, ended - began,
                )
            )  # fmt: skip

    def _request(self, scope: Scope, target: bytes, receive: Receive, sent: Tap) -> httpx.Request:
        headers = [pair for pair in scope["headers"] if pair[0].lower() not in _HOP_BY_HOP]
        names = {name.lower() for name, _ in scope["headers"]}
        has_body = bool(names & {b"content-length", b"transfer-encoding"})
        if self._own:
            left = {b"host", b"accept-encoding", b"content-length"}
            headers = [(n, self._theirs(v)) for n, v in headers if n.lower() not in left]
            target = self._theirs(target)
        return httpx.Request(
            scope["method"],
            self._origin + "/",
            headers=headers,
            content=self._body(receive, sent) if has_body else None,
            extensions={"target": target, "timeout": {"connect": 10, "read": 300, "write": 300, "pool": 10}},
        )

    def _theirs(self, text: bytes) -> bytes:
        return text.replace(self._own.encode(), self._origin.encode())

    async def _body(self, receive: Receive, sent: Tap) -> AsyncIterator[bytes]:
        renaming = Renaming(self._own.encode(), self._origin.encode()) if self._own else None
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise Gone
            part = message.get("body", b"")
            sent.add(part)
            if passed := renaming.feed(part) if renaming else part:
                yield passed
            if not message.get("more_body", False):
                break
        if renaming and (rest := renaming.end()):
            yield rest

    async def _answer(self, answer: httpx.Response, send: Send, got: Tap) -> None:
        headers = [(n.lower(), v) for n, v in answer.headers.raw if n.lower() not in _HOP_BY_HOP]
        renaming = Renaming(self._origin.encode(), self._own.encode()) if self._own else None
        if renaming:
            headers = [
                (n, v.replace(self._origin.encode(), self._own.encode()))
                for n, v in headers
                if n != b"content-length"
            ]
        await send({"type": "http.response.start", "status": answer.status_code, "headers": headers})
        async for part in answer.aiter_raw():
            passed = renaming.feed(part) if renaming else part
            got.add(passed)
            await send({"type": "http.response.body", "body": passed, "more_body": True})
        rest = renaming.end() if renaming else b""
        got.add(rest)
        await send({"type": "http.response.body", "body": rest})


async def _unreachable(send: Send, reason: httpx.HTTPError) -> None:
    said = f"The proxy got no answer from the server: {type(reason).__name__}."
    issue = {"severity": "error", "code": "transient", "diagnostics": said}
    body = json.dumps({"resourceType": "OperationOutcome", "issue": [issue]}).encode()
    headers = [
        (b"content-type", b"application/fhir+json"),
        (b"content-length", str(len(body)).encode()),
    ]
    await send({"type": "http.response.start", "status": 502, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def _headers(raw: list[tuple[bytes, bytes]]) -> dict[str, str]:
    return {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in raw}
