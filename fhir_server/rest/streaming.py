"""Bodies that are never whole in memory: the content of a Binary, and JSON or XML with large content in it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from fhir_server.interactions.exchange import FhirResponse
from fhir_server.store.content import Content, pieces
from fhir_server.store.contents import Contents
from fhir_server.store.documents import Unavailable

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

_LOG = logging.getLogger("fhir_server")


@dataclass(frozen=True, slots=True)
class Stream:
    """A body of ``size`` bytes that comes in ``parts``; ``receive`` tells when the client goes away."""

    size: int
    parts: AsyncIterator[bytes]
    receive: Receive

    async def send(self, send: Send) -> None:
        """Send the parts, as fast as the client takes them, until it has all or is gone.

        When the database fails in between the body ends early, which the client sees by its length.
        """
        gone = asyncio.ensure_future(_gone(self.receive))
        try:
            async for part in self.parts:
                if gone.done():
                    return
                await send({"type": "http.response.body", "body": part, "more_body": True})
            await send({"type": "http.response.body", "body": b""})
        except Unavailable as problem:
            _LOG.warning("an answer was cut off: %s", problem)
        finally:
            gone.cancel()
            with suppress(asyncio.CancelledError):
                await gone


def streamed(response: FhirResponse, contents: Contents, receive: Receive) -> Stream | None:
    """Return the body of an answer that has large content in it; None for the others."""
    if response.extent is not None:
        extent = response.extent
        return Stream(extent.size, contents.read(extent.content, extent.first, extent.last), receive)
    if not response.large:
        return None
    body = b"".join(response.body)
    parts = list(pieces(body, response.large))
    if len(parts) == 1:
        return None
    size = sum(part.text_size if isinstance(part, Content) else len(part) for part in parts)
    return Stream(size, contents.spliced(body, response.large), receive)


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
