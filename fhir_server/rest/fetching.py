"""Small JSON documents from other servers: an issuer's keys, its configuration, its answer about a token.

No redirect is followed, no more than 256 KB is read, and no server holds a thread for longer than a few seconds.
"""

from __future__ import annotations

import asyncio
import http.client
import json
import ssl
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from fhir_server.access.issuer import is_safe

#: Largest answer that is read, bytes.
MAX_BYTES = 256 * 1024
#: Seconds for a whole exchange.
TIMEOUT = 4.0
_THREADS = 8
_pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="fetch")


class NotFetched(Exception):  # noqa: N818 (named for what happened)
    """The document can't be had at the moment; the message is for the log."""


@dataclass(frozen=True, slots=True)
class Fetched:
    """A JSON document, and the seconds that it may be kept (None: its server doesn't say)."""

    document: Any
    max_age: int | None


async def fetched(url: str, *, form: str | None = None, headers: Mapping[str, str] | None = None) -> Fetched:
    """Return the JSON document at a URL, by GET or by POST of a form; raise NotFetched if it can't be had."""
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(TIMEOUT + 1):
            return await loop.run_in_executor(_pool, _exchange, url, form, dict(headers or {}))
    except TimeoutError as problem:
        raise NotFetched(f"{url} does not answer in time") from problem


def _exchange(url: str, form: str | None, headers: dict[str, str]) -> Fetched:
    if not is_safe(url):
        raise NotFetched(f"{url} is no https URL")
    parts = urlsplit(url)
    deadline = time.monotonic() + TIMEOUT
    try:
        connection = _connection(parts.scheme, parts.netloc)
        try:
            target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
            if form is not None:
                headers["Content-Type"] = "application/x-www-form-urlencoded"
            connection.request(
                "GET" if form is None else "POST", target, form, {"Accept": "application/json", **headers}
            )
            answer = connection.getresponse()
            if answer.status != http.HTTPStatus.OK:
                raise NotFetched(f"{url} answered {answer.status}")
            document = json.loads(_body(answer, url, deadline))
            return Fetched(document, _max_age(answer.getheader("Cache-Control", "")))
        finally:
            connection.close()
    except (OSError, http.client.HTTPException, ValueError, RecursionError) as problem:
        raise NotFetched(f"{url}: {problem}") from problem


def _connection(scheme: str, netloc: str) -> http.client.HTTPConnection:
    if scheme == "http":
        return http.client.HTTPConnection(netloc, timeout=TIMEOUT / 2)
    return http.client.HTTPSConnection(netloc, timeout=TIMEOUT / 2, context=ssl.create_default_context())


def _body(answer: http.client.HTTPResponse, url: str, deadline: float) -> bytes:
    found = b""
    while part := answer.read1(65_536):
        found += part
        if len(found) > MAX_BYTES:
            raise NotFetched(f"{url} answered more than {MAX_BYTES} bytes")
        if time.monotonic() > deadline:
            raise NotFetched(f"{url} does not answer in time")
    return found


def _max_age(header: str) -> int | None:
    for directive in header.split(","):
        name, _, value = directive.strip().partition("=")
        if name.lower() in ("no-store", "no-cache"):
            return 0
        if name.lower() == "max-age" and value.isdigit():
            return int(value)
    return None
