"""HTTP/1.1 on the wire: uvicorn's protocol on llhttp, and the bounds that it lacks.

llhttp refuses what requests are smuggled with (Content-Length beside Transfer-Encoding, two lengths, bare LF, folded
lines). Here are: a deadline for headers, their size and number, the length of the address, exactly one Host.
https://www.rfc-editor.org/rfc/rfc9112, docs/decisions/0082-http-on-the-wire.md
"""

from __future__ import annotations

from asyncio import TimerHandle
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from fhir_server.datatypes.json_format import encode
from fhir_server.outcome import FhirError, error, operation_outcome
from fhir_server.rest.security_headers import FOR_DATA


class GuardedProtocol(HttpToolsProtocol):
    """One connection. What breaks a bound gets an OperationOutcome, and the connection ends."""

    #: Seconds from the connection, or a request's first byte, to the end of its headers.
    header_s = 10.0
    #: Bytes and number of all headers of a request, and bytes of its address.
    max_headers = 32 * 1024
    max_lines = 100
    max_address = 16 * 1024
    #: Seconds in which who was refused may read why.
    linger_s = 1.0

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._deadline: TimerHandle | None = None
        self._received = 0
        self._refusal: FhirError | None = None
        self._is_refused = False

    def connection_made(self, transport: Any) -> None:
        """Begin to wait for a request."""
        super().connection_made(transport)
        self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait for nothing more."""
        self._wait_no_more()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take bytes; those of headers that don't end are counted before the parser keeps them."""
        if self._is_refused:
            return
        if self._deadline is not None:
            self._received += len(data)
        super().data_received(data)
        if self._deadline is not None and self._received > self.max_headers + self.max_address:
            self._refuse(_headers_too_long(self.max_headers))

    def on_message_begin(self) -> None:
        """Begin to wait for the end of the headers."""
        super().on_message_begin()
        if self._deadline is None:
            self._wait()

    def on_url(self, url: bytes) -> None:
        """Take a part of the address."""
        super().on_url(url)
        if len(self.url) > self.max_address:
            self._stop("too-long", f"The address is longer than {self.max_address} bytes.", 414)

    def on_headers_complete(self) -> None:
        """Hand the request on unless its headers break a bound."""
        self._wait_no_more()
        if len(self.headers) > self.max_lines:
            self._stop("too-long", f"The request has more than {self.max_lines} headers.", 431)
        if sum(len(name) + len(value) for name, value in self.headers) > self.max_headers:
            self._refusal = _headers_too_long(self.max_headers)
            raise self._refusal
        codings = [value for name, value in self.headers if name == b"transfer-encoding"]
        if codings and codings != [b"chunked"]:
            self._stop("structure", "The one Transfer-Encoding that is understood here is chunked.", 400)
        hosts = sum(name == b"host" for name, _ in self.headers)
        if hosts > 1 or (hosts == 0 and self.parser.get_http_version() != "1.0"):
            self._stop("value", "A request has exactly one Host header.", 400)
        if self.parser.get_method() == b"CONNECT":
            self._stop("not-supported", "This server is no proxy.", 405)
        if not self.url.startswith(b"/"):
            self._check_address()
        super().on_headers_complete()

    def _check_address(self) -> None:
        """Refuse an absolute address of another host than the Host header names: two readers would disagree."""
        host = next((value for name, value in self.headers if name == b"host"), b"")
        if self.url != b"*" and urlsplit(self.url).netloc.lower() != host.lower():
            self._stop("value", "The address names another host than the Host header.", 400)

    def send_400_response(self, msg: str) -> None:
        """Answer what could not be parsed, or why the parser was stopped."""
        text = f"The request is not HTTP/1.1 as RFC 9112 writes it: {msg}"
        self._refuse(self._refusal or error("structure", text, status=400))

    def _stop(self, code: str, text: str, status: int) -> None:
        self._refusal = error(code, text, status=status)
        raise self._refusal

    def _refuse(self, problem: FhirError) -> None:
        self._wait_no_more()
        if self._is_refused or self.transport.is_closing():
            return
        self._is_refused = True
        cycle = self.cycle
        # An answer in the middle of another one, or before it, would be taken for it.
        is_in_body = (
            cycle is not None and cycle.more_body and not cycle.response_started and not self.pipeline
        )
        if cycle is None or cycle.response_complete or is_in_body:
            self.transport.write(_answer(problem))
        if cycle is not None:
            cycle.disconnected = True
            cycle.message_event.set()
        if self.transport.can_write_eof():
            # Closed at once, what the client sends still would be answered with a reset, which takes our words away.
            self.transport.write_eof()
            self.loop.call_later(self.linger_s, self.transport.close)
        else:
            self.transport.close()

    def _wait(self) -> None:
        self._received = 0
        self._deadline = self.loop.call_later(self.header_s, self._late)

    def _wait_no_more(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _late(self) -> None:
        text = f"The headers of the request did not arrive within {self.header_s:g} s."
        self._refuse(error("timeout", text, status=408))


def _headers_too_long(limit: int) -> FhirError:
    return error("too-long", f"The request's headers are longer than {limit} bytes.", status=431)


def _answer(problem: FhirError) -> bytes:
    """Return a whole answer, which ends the connection."""
    body = encode(operation_outcome(problem.issues))
    lines = [b"HTTP/1.1 %d %s" % (problem.status, HTTPStatus(problem.status).phrase.encode())]
    lines += [b"%s: %s" % header for header in FOR_DATA]
    lines += [b"content-type: application/fhir+json", b"content-length: %d" % len(body), b"connection: close"]
    return b"\r\n".join([*lines, b"", body])
