"""The FHIR API as a thin ASGI application: bytes in, an interaction, bytes out.

https://hl7.org/fhir/R4/http.html. No web framework stands on this path: see docs/decisions/0003-web-stack.md.
"""

from __future__ import annotations

import asyncio
import logging
import os
import re
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, MutableMapping
from dataclasses import dataclass, replace
from itertools import count
from typing import Any
from urllib.parse import unquote

from fhir_server.access import OPEN, AccessContext
from fhir_server.datatypes.json_format import encode
from fhir_server.interactions.exchange import FhirRequest, FhirResponse, Server
from fhir_server.interactions.router import dispatch, outcome_response
from fhir_server.interactions.steps.admit import admit
from fhir_server.interactions.steps.auditing import refused
from fhir_server.interactions.steps.binary import is_native
from fhir_server.interactions.steps.emergency import emergency_of
from fhir_server.messages import LANGUAGE, chosen
from fhir_server.outcome import FhirError, error
from fhir_server.rest.access_log import AccessLog
from fhir_server.rest.gatekeeper import Gatekeeper
from fhir_server.rest.metrics import Metrics
from fhir_server.rest.negotiation import (
    JSON,
    Format,
    Wish,
    body_format,
    check_encoding,
    check_form,
    is_xml,
    wish,
    wish_or_content,
)
from fhir_server.rest.rate_limits import Throttled
from fhir_server.rest.rendering import formatted, send_response
from fhir_server.rest.security_headers import FOR_DATA, Header
from fhir_server.rest.streaming import streamed
from fhir_server.rest.upload import Disconnected, check_unpackable, checked, received, unpacked, whole
from fhir_server.store.documents import Unavailable

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

_LOG = logging.getLogger("fhir_server")
_REQUEST_ID = re.compile(r"[A-Za-z0-9.\-]{1,64}")
_PORT = re.compile(r":\d*$")
_HOST = re.compile(r"[A-Za-z0-9.\-_]+(:\d{1,5})?|\[[0-9A-Fa-f:.]+\](:\d{1,5})?")


@dataclass(frozen=True, slots=True)
class Edge:
    """What the HTTP edge needs to know: the path prefix, the public base (None: from Host), and its limits.

    ``hosts`` are those that requests may name, lower-case and without port (all when empty); ``headers`` stand on each
    answer.
    """

    prefix: str = "/fhir"
    base_url: str | None = None
    max_body: int = 16_000_000
    max_binary: int = 256_000_000
    max_bundle: int = 64_000_000
    request_timeout: float = 30.0
    body_timeout: float = 60.0
    binary_timeout: float = 600.0
    hosts: frozenset[str] = frozenset()
    headers: tuple[Header, ...] = FOR_DATA

    def seconds_for(self, request: FhirRequest) -> float:
        """Return how long an answer may take; the content of a Binary is still to come then."""
        return self.request_timeout + (self.binary_timeout if request.incoming is not None else 0.0)


class Gateway:
    """ASGI application of the FHIR API below ``edge.prefix``."""

    def __init__(
        self,
        server: Server,
        edge: Edge,
        metrics: Metrics,
        access_log: AccessLog | None,
        gatekeeper: Gatekeeper | None = None,
    ) -> None:
        self._server = server
        self._edge = edge
        self._metrics = metrics
        self._access_log = access_log
        self._gatekeeper = gatekeeper
        self._prefix_length = len(edge.prefix)
        self._process = os.urandom(6).hex()
        self._numbers = count(1)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one HTTP request."""
        started = time.perf_counter()
        self._metrics.started()
        method = scope["method"]
        headers = _headers(scope["headers"])
        request_id = self._request_id(headers)
        LANGUAGE.set(chosen(headers.get("accept-language", "")))
        wanted = JSON
        response = None
        request = FhirRequest(method, (), access=OPEN, client=_address(scope), id=request_id)
        try:
            query = scope["query_string"].decode("ascii", "replace")
            path = self._path(scope)
            request = replace(request, path=path, query=query, headers=headers)
            self._check_host(headers)
            if self._gatekeeper is not None:
                response = await self._gatekeeper.first(method, path, headers)
            if response is None:
                wanted = self._wish(method, path, headers, query)
                if self._server.sandbox is not None:
                    await self._server.sandbox.fail(method, path, headers)
                request = replace(request, base=self._base(scope, headers))
                if self._gatekeeper is not None:  # who asks is known before a body is read
                    request = replace(request, access=await self._admitted(self._gatekeeper, request))
                response = await self._answer(request, receive)
        except FhirError as problem:
            response = outcome_response(problem)
            if not isinstance(problem, Throttled) or problem.is_first:
                response = await refused(self._server, request, response)
        except TimeoutError:
            late = outcome_response(
                error(
                    "timeout",
                    f"The request took longer than {self._edge.request_timeout:g} s and was given up; "
                    "a write may or may not have been stored: read before you repeat it.",
                    headers={"Retry-After": "5"},
                )
            )
            response = await refused(self._server, request, late)
        except Disconnected:
            self._metrics.finished("", 499, time.perf_counter() - started)
            return
        except Exception:  # noqa: BLE001 (whatever it was, the client gets an outcome and the log the reason)
            response = await refused(self._server, request, _failed(request_id))
        if wanted is not JSON:
            try:
                response = formatted(response, wanted, self._server.xml)
            except Exception:  # noqa: BLE001 (as above)
                response = formatted(_failed(request_id), wanted, self._server.xml)
        if self._gatekeeper is not None:
            response = await self._gatekeeper.shared(response, headers)
        stream = streamed(response, self._server.store.contents, receive)
        size = await send_response(
            send, response, request_id, method, headers, wish=wanted, stream=stream, always=self._edge.headers
        )
        self._finish(request_id, method, response, time.perf_counter() - started, size)

    async def _answer(self, request: FhirRequest, receive: Receive) -> FhirResponse:
        """Return the answer of the FHIR API."""
        if request.method not in ("GET", "HEAD"):
            request = await self._read(request, receive)
        async with asyncio.timeout(self._edge.seconds_for(request)):
            sandbox = self._server.sandbox
            server = self._server if sandbox is None else sandbox.serving(self._server, request.headers)
            return await dispatch(server, request)

    async def _admitted(self, gatekeeper: Gatekeeper, request: FhirRequest) -> AccessContext:
        """Return what the caller may do; raise FhirError 401 for a token that can't be trusted, 503 for no facts."""
        caller = await gatekeeper.caller(request.path, request.headers, request.client)
        if caller is None:
            return OPEN
        try:
            emergency = emergency_of(self._server, caller, request)
            return await admit(self._server, caller, request.base, emergency)
        except Unavailable as problem:
            raise error(
                "transient",
                "The database can't be reached at the moment, so it is unknown what you may see.",
                headers={"Retry-After": "2"},
            ) from problem

    def _finish(
        self, request_id: str, method: str, response: FhirResponse, seconds: float, size: int
    ) -> None:
        self._metrics.finished(response.interaction, response.status, seconds)
        if self._access_log is not None:
            self._access_log.add(
                request_id=request_id,
                method=method,
                interaction=response.interaction,
                type_=response.type,
                status=response.status,
                ms=seconds * 1000,
                size=size,
            )

    def _request_id(self, headers: dict[str, str]) -> str:
        given = headers.get("x-request-id")
        if given is not None and _REQUEST_ID.fullmatch(given):
            return given
        return f"{self._process}-{next(self._numbers)}"

    def _path(self, scope: Scope) -> tuple[str, ...]:
        raw = scope.get("raw_path") or scope["path"].encode()
        inside = raw[self._prefix_length :].strip(b"/").decode("latin-1")
        if not inside:
            return ()
        if "%" in inside:
            return tuple(unquote(part) for part in inside.split("/"))
        return tuple(inside.split("/"))

    def _check_host(self, headers: Mapping[str, str]) -> None:
        """Raise FhirError 400 for a Host that is none of this server's."""
        if self._edge.hosts:
            name = _PORT.sub("", headers.get("host", "").lower())
            if name not in self._edge.hosts:
                raise error("value", "The Host header names another server than this one.")

    def _base(self, scope: Scope, headers: dict[str, str]) -> str:
        if self._edge.base_url is not None:
            return self._edge.base_url
        host = headers.get("host", "")
        if not _HOST.fullmatch(host):
            raise error("value", "The Host header is missing or malformed.")
        return f"{scope.get('scheme', 'http')}://{host}{self._edge.prefix}"

    async def _read(self, request: FhirRequest, receive: Receive) -> FhirRequest:
        """Return the request with its body in JSON, or with the content that comes in for a Binary.

        Raises FhirError 400, 408, 413 or 415 if it can't be had, Disconnected when the client went away.
        """
        edge, headers = self._edge, request.headers
        is_binary = request.path[:1] == ("Binary",)
        if is_binary and request.method in ("POST", "PUT") and len(request.path) < 3 and is_native(headers):
            check_unpackable(headers)
            parts = received(receive, headers, edge.max_binary, edge.binary_timeout)
            return replace(request, incoming=unpacked(checked(parts, headers), headers, edge.max_binary))
        if self._streams(request.path, request.method):
            check_unpackable(headers)
            parts = received(receive, headers, edge.max_bundle, edge.binary_timeout)
            return replace(request, incoming=unpacked(checked(parts, headers), headers, edge.max_bundle))
        # Only batches and transactions go to the base itself.
        limit = edge.max_body if request.path else edge.max_bundle
        body = await whole(receive, headers, limit, edge.body_timeout)
        return self._as_json(replace(request, body=body, sent=body)) if body else request

    def _wish(self, method: str, path: tuple[str, ...], headers: Mapping[str, str], query: str) -> Wish:
        is_content = path[:1] == ("Binary",) and method in ("GET", "HEAD") and len(path) in (2, 4)
        if is_content or self._streams(path, method):
            return wish_or_content(headers, query)
        return wish(headers, query)

    def _streams(self, path: tuple[str, ...], method: str) -> bool:
        """Tell whether an operation is called that reads its body while it works."""
        operation = self._server.operations.get(path[-1]) if path else None
        return operation is not None and operation.streams and method in operation.methods

    def _as_json(self, request: FhirRequest) -> FhirRequest:
        """Return the request with a body in JSON; raise FhirError 400 or 415 if it can't be had."""
        if request.path and request.path[-1] == "_search":
            check_form(request.headers)
            return request
        # Which patch it is, the interaction finds out; a Binary is any content.
        if (request.method == "PATCH" or request.path[:1] == ("Binary",)) and not is_xml(request.headers):
            check_encoding(request.headers)
            return request
        if body_format(request.headers) is Format.JSON:
            return request
        try:
            resource, faults = self._server.xml.read(request.body)
        except FhirError:
            if _is_content(request.path, request.headers):
                return request
            raise
        if resource.get("resourceType") != "Binary" and _is_content(request.path, request.headers):
            return request
        headers = {**request.headers, "content-type": "application/fhir+json"}
        return replace(request, headers=headers, body=encode(resource), faults=faults)


def _address(scope: Scope) -> str:
    client = scope.get("client")
    return str(client[0]) if client else ""


def _headers(sent: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    """Return the headers by name; of Authorization all are kept, so that a second one doesn't go unnoticed."""
    found: dict[str, str] = {}
    for raw_name, raw_value in sent:
        name, value = raw_name.decode("latin-1"), raw_value.decode("latin-1")
        found[name] = f"{found[name]}, {value}" if name == "authorization" and name in found else value
    return found


def _failed(request_id: str) -> FhirResponse:
    """Log the exception that is being handled, and return the answer that names its place in the log."""
    _LOG.exception("request failed", extra={"request_id": request_id})
    return outcome_response(
        error("exception", f"The server failed to answer; its operators find the reason under {request_id}.")
    )


def _is_content(path: tuple[str, ...], headers: Mapping[str, str]) -> bool:
    """Tell whether XML that isn't a Binary resource is the content of one: only FHIR's own media type is not."""
    return path[:1] == ("Binary",) and "fhir" not in headers.get("content-type", "")
