"""An authorization server under the tests' control and the application that believes it; and one that knows personas."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from base64 import urlsafe_b64encode
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx
import pytest
from joserfc import jwt
from joserfc.jwk import ECKey, RSAKey

from tests.conftest import serving
from tests.security.personas import Tokens
from tests.security.world import MARKER, WORLD


class Issuer:
    """Signs what it is told; publishes its keys; answers introspection from ``active``; counts what it is asked."""

    def __init__(self):
        self.keys = {
            "k1": RSAKey.generate_key(2048, {"kid": "k1"}),
            "e1": ECKey.generate_key("P-384", {"kid": "e1"}),
        }
        self.downloads = 0
        self.active = {}
        self.broken = ""
        self.requests = []
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def stop(self):
        self._server.shutdown()
        self._server.server_close()

    def claims(self, base, **changes):
        now = int(time.time())
        made = {
            "iss": self.url, "aud": base, "sub": "someone", "client_id": "portal", "jti": "t1", "iat": now,
            "exp": now + 300, "fhirUser": "Patient/a", "scope": "openid fhirUser patient/*.cruds",
        }  # fmt: skip
        return {name: value for name, value in (made | changes).items() if value is not None}

    def token(self, base, *, header=None, key="k1", algorithm="RS256", **changes):
        head = {"alg": algorithm, "typ": "at+jwt", "kid": key} | (header or {})
        head = {name: value for name, value in head.items() if value is not None}
        return jwt.encode(head, self.claims(base, **changes), self.keys[key], algorithms=[algorithm])

    def _handler(issuer):  # noqa: N805
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                issuer.requests.append(self.path)
                if self.path == "/.well-known/openid-configuration":
                    self._send({"issuer": issuer.url, "jwks_uri": issuer.url + "/jwks"})
                elif self.path == "/jwks":
                    issuer.downloads += 1
                    self._send({"keys": [key.as_dict(private=False) for key in issuer.keys.values()]})
                else:
                    self._send({}, 404)

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"])).decode()
                issuer.requests.append(self.path)
                token = httpx.QueryParams(body)["token"]
                self._send(issuer.active.get(token, {"active": False}))

            def _send(self, document, status=200):
                body = json.dumps(document).encode()
                if issuer.broken == "500":
                    status = 500
                if issuer.broken == "large":
                    body = b'"' + b"x" * 1_000_000 + b'"'
                if issuer.broken == "slow":
                    time.sleep(6)
                self.send_response(302 if issuer.broken == "redirect" else status)
                if issuer.broken == "redirect":
                    self.send_header("Location", "http://localhost:1/elsewhere")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                with contextlib.suppress(OSError):  # it hung up, as it may
                    self.wfile.write(body)

            def log_message(self, *_):
                pass

        return Handler


def part(value):
    """Return a value as one part of a JWT."""
    text = value if isinstance(value, bytes) else json.dumps(value).encode()
    return urlsafe_b64encode(text).rstrip(b"=").decode()


@pytest.fixture(scope="module")
def issuer():
    made = Issuer()
    yield made
    made.stop()


@pytest.fixture(scope="module")
def own_issuer(issuer):
    """The issuer, which can describe itself for the settings."""
    issuer.settings = lambda: [{"issuer": issuer.url, "clients": CLIENTS, "algorithms": ["RS256", "ES384"]}]
    return issuer


CLIENTS = {
    "portal": {"kind": "person"},
    "app": {"kind": "app"},
    "lab": {"kind": "system", "organization": "Organization/lab"},
}


@pytest.fixture(scope="module")
def smart(mongod_uri, mongo_client, module_database_name, tmp_path_factory) -> Iterator[httpx.Client]:
    """A server in smart mode that knows the personas, with the world in it."""
    flags = {
        "mongodb.uri": mongod_uri,
        "mongodb.database": module_database_name,
        "data.dir": tmp_path_factory.mktemp("data"),
    }
    with serving(flags, Tokens()) as client:
        operator = {"Authorization": "Bearer operator"}
        for resource in WORLD:
            path = f"fhir/{resource['resourceType']}/{resource['id']}"
            answer = client.put(path, json=resource, headers=operator)
            assert answer.status_code == 201, (path, answer.text)
        yield client


@pytest.fixture(scope="module")
def as_(smart: httpx.Client) -> Iterator[Callable[[str], httpx.Client]]:
    """Return a client that asks as a persona; unless it may see B, any byte of B's marker fails the test."""
    clients: dict[str, httpx.Client] = {}

    def client(name: str) -> httpx.Client:
        if name not in clients:
            headers = {"Authorization": f"Bearer {name.replace(' ', '_')}"} if name else {}
            hooks = {} if name in ("B", "operator", "nurse", "lab") else {"response": [_no_marker]}
            clients[name] = httpx.Client(
                base_url=smart.base_url.join("fhir/"), headers=headers, event_hooks=hooks, timeout=30
            )
        return clients[name]

    yield client
    for made in clients.values():
        made.close()


def _no_marker(response: httpx.Response) -> None:
    response.read()
    assert response.status_code < 500, response.text
    shown = response.text + str(response.headers)
    if MARKER in str(response.request.url):
        return  # the sender's own text comes back in links
    assert MARKER not in shown, (response.request.method, str(response.request.url), shown[:2000])
