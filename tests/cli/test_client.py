"""The HTTP client: kept connections, every form of an answer, every way to break."""

from __future__ import annotations

import asyncio

import pytest

from fhir_server.cli.client import Client, Lost


async def test_requests_share_a_connection(peer):
    async with peer(lambda *_: (200, {"ETag": 'W/"1"'}, b"{}")) as (base, it):
        client = Client(base + "/")
        for n in range(3):
            answer = await client.request("PUT", f"Patient/{n}", b"body", {"Accept": "a/b"})
            assert (answer.status, answer.headers["etag"], answer.body) == (200, 'W/"1"', b"{}")
        await client.close()
    assert it.connections == 1
    method, path, body, headers = it.requests[-1]
    assert (method, path, body, headers["accept"]) == ("PUT", "/fhir/Patient/2", b"body", "a/b")
    assert headers["host"] == base.split("/")[2]


ANSWERS = [
    (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n", 200, b"{}"),
    (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 201 Created\r\nContent-Length: 1\r\n\r\nx", 201, b"x"),
    (b"HTTP/1.1 204 No Content\r\n\r\n", 204, b""),
    (b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 1\r\n\r\nx", 200, b"x"),
]


@pytest.mark.parametrize(("raw", "status", "body"), ANSWERS)
async def test_forms_of_an_answer(peer, raw, status, body):
    async with peer(lambda *_: raw) as (base, _):
        client = Client(base)
        for _ in range(2):
            answer = await client.request("GET", "metadata")
            assert (answer.status, answer.body) == (status, body)
        await client.close()


@pytest.mark.parametrize("answer", ["close", b"no http\r\n\r\n"])
async def test_a_broken_answer_is_lost(peer, answer):
    async with peer(lambda *_: answer) as (base, _):
        client = Client(base)
        with pytest.raises(Lost):
            await client.request("GET", "metadata")
        await client.close()


async def test_silence_is_a_timeout(peer):
    async with peer(lambda *_: "silence") as (base, _):
        client = Client(base, timeout_s=0.05)
        with pytest.raises(TimeoutError):
            await client.request("GET", "metadata")
        await client.close()


async def test_a_closed_idle_connection_is_replaced(peer):
    closing = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
    async with peer(lambda *_: closing) as (base, it):
        client = Client(base)
        await asyncio.gather(*(client.request("GET", "metadata") for _ in range(3)))
        await client.request("GET", "metadata")
        await client.close()
    assert it.connections == 4


@pytest.mark.parametrize("base", ["ftp://h/fhir", "h/fhir", "http://", ""])
def test_bad_bases(base):
    with pytest.raises(ValueError, match="no http or https URL"):
        Client(base)
