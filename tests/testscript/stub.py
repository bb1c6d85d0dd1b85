"""A server in front of the application that spoils its answers: each fault is one that servers were seen to have."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx


@dataclass
class Traffic:
    """A request and its answer, which a fault changes before (``ask``) or after (``answer``)."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    status: int = 0
    answer_headers: dict[str, str] = field(default_factory=dict)
    answer: bytes = b""

    @property
    def place(self) -> str:
        """The path below the base, without query."""
        return self.path.partition("?")[0].removeprefix("/fhir").strip("/")

    @property
    def query(self) -> str:
        return self.path.partition("?")[2]

    def json(self):
        return json.loads(self.answer)

    def set(self, status=None, content=None, **headers):
        if status is not None:
            self.status = status
        if content is not None:
            self.answer = json.dumps(content).encode() if isinstance(content, dict) else content
        for name, value in headers.items():
            key = name.replace("_", "-")
            if value is None:
                self.answer_headers.pop(key, None)
            else:
                self.answer_headers[key] = value


@dataclass(frozen=True)
class Fault:
    """A name, what it does, and the test (its script's name) that must find it."""

    name: str
    found_by: str
    answer: Callable[[Traffic], None] = lambda _: None
    ask: Callable[[Traffic], None] = lambda _: None


@contextmanager
def spoiled(origin: str, fault: Fault | None = None):
    """Give the base URL of a server that answers as ``origin`` (an application's root) does, but for the fault."""
    client = httpx.Client(base_url=origin, timeout=30)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def serve(self):
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            dropped = {"host", "content-length", "connection", "accept-encoding"}
            headers = {n.lower(): v for n, v in self.headers.items() if n.lower() not in dropped}
            traffic = Traffic(self.command, self.path, headers, body)
            if fault is not None:
                fault.ask(traffic)
            # the application must make links to this server
            sent = client.request(
                traffic.method, traffic.path, headers={**traffic.headers, "host": self.headers["Host"]},
                content=traffic.body or None,
            )  # fmt: skip
            traffic.status, traffic.answer = sent.status_code, sent.content
            kept = ("content-type", "etag", "last-modified", "location", "allow", "retry-after")
            traffic.answer_headers = {n: v for n, v in sent.headers.items() if n in kept}
            if fault is not None:
                fault.answer(traffic)
            self.send_response(traffic.status)
            for name, value in traffic.answer_headers.items():
                self.send_header(name, value)
            if traffic.status not in {204, 304}:
                self.send_header("Content-Length", str(len(traffic.answer)))
            self.end_headers()
            if traffic.method != "HEAD" and traffic.status not in {204, 304}:
                self.wfile.write(traffic.answer)

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_HEAD = do_OPTIONS = serve  # noqa: N815 (http.server calls them)

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = False
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/fhir"
    finally:
        server.shutdown()
        thread.join()
        server.socket.close()
        client.close()
