"""Which web pages of other origins may read answers: https://fetch.spec.whatwg.org/#http-cors-protocol."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

Allows = Callable[[str], Awaitable[bool]]
"""Tells whether an origin is registered."""

_METHODS = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"
#: Request headers that this server understands.
_REQUEST_HEADERS = (
    "Authorization, Content-Type, Accept, Accept-Language, If-Match, If-None-Match, If-Modified-Since, If-None-Exist, "
    "Prefer, Idempotency-Key, X-Request-Id, X-Provenance"
)
#: Response headers that a page may read.
_RESPONSE_HEADERS = (
    "ETag, Location, Content-Location, Last-Modified, X-Request-Id, WWW-Authenticate, Retry-After"
)
_SECONDS = "600"


def of_list(origins: frozenset[str]) -> Allows:
    """Return the rule that a fixed list of origins makes."""

    async def allows(origin: str) -> bool:
        return origin in origins

    return allows


async def shared(headers: Mapping[str, str], allows: Allows) -> tuple[tuple[str, str], ...]:
    """Return the headers that let the page that asks read the answer; none when its origin is not registered."""
    origin = headers.get("origin")
    if origin is None:
        return ()
    if origin == "null" or not await allows(origin):
        return (("vary", "origin"),)
    return (
        ("access-control-allow-origin", origin),
        ("access-control-expose-headers", _RESPONSE_HEADERS),
        ("vary", "origin"),
    )


def is_preflight(method: str, headers: Mapping[str, str]) -> bool:
    """Tell whether a browser asks what a page may ask."""
    return method == "OPTIONS" and "origin" in headers and "access-control-request-method" in headers


def permission(sharing: tuple[tuple[str, str], ...]) -> tuple[tuple[str, str], ...]:
    """Return the headers of the answer to a preflight; ``sharing`` is what ``shared`` returned."""
    if not any(name == "access-control-allow-origin" for name, _ in sharing):
        return sharing
    return (
        *sharing,
        ("access-control-allow-methods", _METHODS),
        ("access-control-allow-headers", _REQUEST_HEADERS),
        ("access-control-max-age", _SECONDS),
    )
