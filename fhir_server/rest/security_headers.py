"""Headers by which browsers and caches keep answers safe: on each answer, unless it has its own.

https://owasp.org/www-project-secure-headers/
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

Header = tuple[bytes, bytes]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

#: On every answer with data: nothing of it runs, is framed, is kept, or tells other sites where one was.
FOR_DATA: tuple[Header, ...] = (
    (b"x-content-type-options", b"nosniff"),
    (b"cache-control", b"no-store"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'; sandbox"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
)
#: Once a browser came by https, it comes by https for a year (RFC 6797).
STRICT_TRANSPORT: Header = (b"strict-transport-security", b"max-age=31536000")


def headers_for(*, is_https: bool) -> tuple[Header, ...]:
    """Return what each answer carries; ``is_https`` is what the public address begins with."""
    return (*FOR_DATA, STRICT_TRANSPORT) if is_https else FOR_DATA


def add_missing(headers: list[Header], wanted: tuple[Header, ...]) -> None:
    """Add those of the wanted headers that the answer does not have itself."""
    present = {name for name, _ in headers}
    headers.extend(header for header in wanted if header[0] not in present)


def guarded(send: Send, wanted: tuple[Header, ...]) -> Send:
    """Return a ``send`` that adds what is missing."""

    async def sending(message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            headers = list(message["headers"])
            add_missing(headers, wanted)
            message = {**message, "headers": headers}
        await send(message)

    return sending
