"""The proxy passes everything unchanged, as it comes; a copy is kept up to a size."""

from __future__ import annotations

import asyncio

import httpx
import pytest

from fhir_server.certification import proxy as proxying
from fhir_server.certification.proxy import Proxy, Renaming


class Upstream(httpx.AsyncBaseTransport):
    """A server that answers what it got, header by header, and its body in parts."""

    async def handle_async_request(self, request):
        body = b"".join([part async for part in request.stream])
        said = [(b"X-Seen", name + b"=" + value) for name, value in request.headers.raw]
        self.target, self.body = request.extensions["target"], body
        return httpx.Response(
            207, headers=[*said, (b"Set-Cookie", b"a=1"), (b"Set-Cookie", b"b=2")], stream=Parts()
        )


class Parts(httpx.AsyncByteStream):
    async def __aiter__(self):
        for part in (b"http://serv", b"er.example/fhir ", b"\x00\xff"):
            yield part
            await asyncio.sleep(0)


async def passed(own="", body=(b"one ", b"two"), method="POST"):
    """Return (what the upstream saw, messages to the client, traffic)."""
    upstream, taken, sent = Upstream(), [], []
    waiting = [{"type": "http.request", "body": p, "more_body": p is not body[-1]} for p in body]

    async def receive():
        return waiting.pop(0) if waiting else {"type": "http.disconnect"}

    async def send(message):
        sent.append(message)

    headers = [(b"host", b"proxy.example"), (b"connection", b"close"), (b"x-a", b"1"), (b"x-a", b"2")]
    if body:
        headers.append((b"transfer-encoding", b"chunked"))
    scope = {"type": "http", "method": method, "path": "/fhir/Pati ent", "raw_path": b"/fhir/Pati%20ent",
             "query_string": b"a=%7C&b", "headers": headers}  # fmt: skip
    async with httpx.AsyncClient(transport=upstream) as client:
        await Proxy("http://server.example/fhir", client, taken.append, own)(scope, receive, send)
    return upstream, sent, taken


async def test_everything_passes_unchanged_and_in_parts():
    upstream, sent, (traffic,) = await passed()
    assert (upstream.target, upstream.body) == (b"/fhir/Pati%20ent?a=%7C&b", b"one two")
    start, *parts = sent
    assert start["status"] == 207
    seen = [value for name, value in start["headers"] if name == b"x-seen"]
    assert [v.lower() for v in seen if v.lower().startswith((b"host", b"x-a", b"connection"))] == [
        b"host=proxy.example", b"x-a=1", b"x-a=2",
    ]  # fmt: skip
    assert [v for n, v in start["headers"] if n == b"set-cookie"] == [b"a=1", b"b=2"]
    assert [p["body"] for p in parts] == [b"http://serv", b"er.example/fhir ", b"\x00\xff", b""]
    assert (traffic.body, traffic.answer) == (b"one two", b"http://server.example/fhir \x00\xff")
    assert (traffic.target, traffic.status) == ("/fhir/Pati%20ent?a=%7C&b", 207)


async def test_the_address_of_a_server_elsewhere_becomes_the_proxys():
    upstream, sent, _ = await passed("http://proxy.example", (b"see http://pro", b"xy.example/fhir"))
    assert upstream.body == b"see http://server.example/fhir"
    assert b"".join(m.get("body", b"") for m in sent) == b"http://proxy.example/fhir \x00\xff"


async def test_a_long_body_passes_and_is_not_kept(monkeypatch):
    monkeypatch.setattr(proxying, "KEPT", 5)
    upstream, _, (traffic,) = await passed()
    assert upstream.body == b"one two"
    assert (traffic.body, traffic.is_cut, traffic.answer) == (b"", True, b"")


async def test_a_client_that_goes_away_is_noted():
    _, sent, (traffic,) = await passed(body=(b"one ",) * 2 + (b"",))
    assert sent[0]["status"] == 207
    assert traffic.status == 207


@pytest.mark.parametrize("parts", [[b"aab"], [b"a", b"a", b"b"], [b"aa", b"aab", b"x"], [b"a"], []])
def test_renaming_across_parts(parts):
    renaming = Renaming(b"aab", b"-")
    text = b"".join(renaming.feed(part) for part in parts) + renaming.end()
    assert text == b"".join(parts).replace(b"aab", b"-")
