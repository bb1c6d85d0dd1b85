"""Credentials: given tokens, the client credentials grant, and who gets to see them."""

from __future__ import annotations

import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs

import httpx
import pytest

from fhir_server.testscript import Bearer, ClientCredentials, Denied, Endpoints
from fhir_server.testscript.endpoints import Transport
from fhir_server.testscript.masking import Mask


@contextmanager
def listening(answer):
    """Give the URL of a server and the list of its requests; ``answer(number)`` is a status and a JSON value."""
    seen = []

    class Handler(BaseHTTPRequestHandler):
        def serve(self):
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            seen.append((self.path, dict(self.headers), parse_qs(body.decode())))
            status, content = answer(len(seen))
            self.send_response(status)
            self.end_headers()
            self.wfile.write(json.dumps(content).encode())

        do_GET = do_POST = serve  # noqa: N815 (http.server calls them)

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", seen
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def send(endpoints, url, headers=None):
    transport = Transport(endpoints)
    try:
        transport.send("GET", url, headers or {}, b"", origin=1, timeout_s=5)
    finally:
        transport.close()


def test_a_token_goes_to_the_base_and_to_nobody_else():
    with listening(lambda _: (200, {})) as (url, seen):
        endpoints = Endpoints({1: f"{url}/fhir"}, {1: Bearer("secret-1")})
        for path in ("/fhir", "/fhir/Patient", "/fhir?x", "/fhirevil/Patient", "/other"):
            send(endpoints, url + path)
        send(endpoints, f"{url}/fhir/Patient", {"Authorization": "Bearer of-the-script"})
    tokens = [headers.get("Authorization") for _, headers, _ in seen]
    assert tokens == [*["Bearer secret-1"] * 3, None, None, "Bearer of-the-script"]


def test_client_credentials_ask_once_and_renew():
    with listening(lambda n: (200, {"access_token": f"t-{n}-token", "expires_in": 3600})) as (url, seen):
        client = ClientCredentials(f"{url}/token", "id", "a-secret", "system/*.read")
        endpoints = Endpoints({1: f"{url}/fhir"}, {1: client})
        send(endpoints, f"{url}/fhir/Patient")
        send(endpoints, f"{url}/fhir/Patient")
    assert [path for path, _, _ in seen] == ["/token", "/fhir/Patient", "/fhir/Patient"]
    assert seen[0][2] == {"grant_type": ["client_credentials"], "scope": ["system/*.read"]}
    assert seen[0][1]["Authorization"].startswith("Basic ")
    assert seen[2][1]["Authorization"] == "Bearer t-1-token"
    assert set(endpoints.secrets()) == {"a-secret", "t-1-token"}


def test_a_token_that_ends_soon_is_renewed():
    with listening(lambda n: (200, {"access_token": f"t-{n}-token", "expires_in": 5})) as (url, _):
        client = ClientCredentials(f"{url}/token", "id", "a-secret")
        assert client.token() == "t-1-token"
        client._ends = 0
        assert client.token() == "t-2-token"


@pytest.mark.parametrize("answer", [(401, {"error": "invalid_client"}), (200, {}), (200, [])])
def test_no_token_is_a_denial(answer):
    with listening(lambda _: answer) as (url, _):
        client = ClientCredentials(f"{url}/token", "id", "a-secret")
        with pytest.raises(Denied, match="gave no token"):
            client.token()


def test_an_absent_authorization_server_is_a_lost_connection():
    with pytest.raises(httpx.ConnectError):
        ClientCredentials("http://127.0.0.1:9/token", "id", "a-secret").token()


MASKED = [
    ("a abc-secret b", "a ••• b"),
    ("Authorization: Bearer abcdefgh.ijk", "Authorization: Bearer •••"),
    ("?access_token=abc&x=1", "?access_token=•••&x=1"),
    ('{"refresh_token": "abc", "x": 1}', '{"refresh_token": "•••", "x": 1}'),
    ("a bearer of good news", "a bearer of good news"),
]


@pytest.mark.parametrize(("text", "shown"), MASKED)
def test_masking(text, shown):
    assert Mask(lambda: ("abc-secret",)).text(text) == shown


def test_headers_that_hold_secrets_are_masked():
    headers = {"Authorization": "Basic x", "set-cookie": "y", "ETag": 'W/"1"'}
    assert Mask(lambda: ()).headers(headers) == {"Authorization": "•••", "set-cookie": "•••", "ETag": 'W/"1"'}
