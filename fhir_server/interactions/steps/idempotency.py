"""Idempotency-Key: a POST or PATCH that is sent again with the same key gets the first answer and does nothing.

https://datatracker.ietf.org/doc/draft-ietf-httpapi-idempotency-key-header/. The same key with another request is a 422,
while the first attempt is under way a 409. A refused request (4xx) leaves the key free.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace

from fhir_server.datatypes.json_format import encode
from fhir_server.interactions.exchange import FhirRequest, FhirResponse, Server
from fhir_server.outcome import FhirError, error
from fhir_server.store.receipts import LARGEST_ANSWER, Receipt, State
from fhir_server.store.rehearsal import Receipted

KEY = "idempotency-key"
_FORM = re.compile(r"[\x21-\x7e]{1,255}").fullmatch
#: Headers that change what a request does.
_HEADERS = ("if-none-exist", "if-match", "if-none-match", "prefer", "content-type")

Answer = Callable[[Server, FhirRequest], Awaitable[FhirResponse]]


async def once(server: Server, request: FhirRequest, answer: Answer) -> FhirResponse:
    """Return the answer, made by ``answer`` at most once for the key.

    Raises FhirError 400 for a malformed key, 409 and 422 as above. A body that is read while it is worked on
    (``FhirRequest.incoming``) is compared at its end.
    """
    key = request.headers[KEY].strip()
    if not _FORM(key):
        raise error("value", "An Idempotency-Key has 1 to 255 printable ASCII characters and no spaces.")
    actor = f"{request.access.actor}\n{key}".encode()
    digest = None
    if request.incoming is not None:
        digest = hashlib.sha256()
        request = replace(request, incoming=_digested(request.incoming, digest))
    receipt = await server.store.receipts.open(hashlib.sha256(actor).hexdigest(), _fingerprint(request))
    if receipt.state is State.ANSWERED and request.incoming is not None and digest is not None:
        async for _ in request.incoming:
            pass
        if receipt.answer["d"] != digest.digest():
            receipt = replace(receipt, state=State.OTHER)
    if receipt.state is not State.OURS:
        return _known(receipt)
    # What is streamed is not noted: natural keys keep it from being done twice.
    noting = server if digest is not None else replace(server, store=Receipted(server.store, receipt))
    is_refused = False
    response = None
    try:
        response = await answer(noting, request)
    except FhirError as problem:
        is_refused = problem.status < 500
        raise
    finally:
        if response is None:
            await server.store.receipts.give_up(receipt, is_refused=is_refused)
    kept = _kept(response)
    if digest is not None:
        kept["d"] = digest.digest()
    await server.store.receipts.finish(receipt, kept)
    return response


def _fingerprint(request: FhirRequest) -> bytes:
    told = [
        request.method,
        list(request.path),
        request.query,
        [request.headers.get(name) for name in _HEADERS],
    ]
    body = request.body
    for content in request.large:  # its token is another one each time
        body = body.replace(content.token.encode(), content.sha256)
    return hashlib.sha256(encode(told) + b"\n" + body).digest()


async def _digested(parts: AsyncIterator[bytes], digest: hashlib._Hash) -> AsyncIterator[bytes]:
    async for part in parts:
        digest.update(part)
        yield part


def _kept(response: FhirResponse) -> dict[str, object]:
    body = b"".join(response.body)
    return {
        "s": response.status,
        "h": [list(header) for header in response.headers],
        "b": body if len(body) <= LARGEST_ANSWER and not response.large else b"",
        "i": response.interaction,
        "t": response.type,
        "c": response.content_type,
    }


def _known(receipt: Receipt) -> FhirResponse:
    """Return the answer to a repeated request; raise FhirError when there is none."""
    if receipt.state is State.OTHER:
        raise error(
            "business-rule",
            "This Idempotency-Key was used for another request; give each request a key of its own.",
        )
    if receipt.state is State.RUNNING:
        raise error(
            "conflict",
            "The request with this Idempotency-Key is still being worked on; ask again in a moment.",
            headers={"Retry-After": "1"},
        )
    if receipt.state is State.INTERRUPTED:
        made = ", ".join(receipt.changes[:20])
        raise error(
            "conflict",
            f"The request with this Idempotency-Key was carried out, but its answer was lost. It made: {made}.",
        )
    kept = receipt.answer
    headers = [(name, value) for name, value in kept["h"]]
    headers.append(("Idempotency-Replayed", "true"))
    return FhirResponse(
        kept["s"],
        headers,
        (kept["b"],) if kept["b"] else (),
        kept["i"],
        kept["t"],
        content_type=kept.get("c", ""),
    )
