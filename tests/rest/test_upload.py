"""Bodies as they come in: bounds, digests, encodings; over HTTP, and over a bare socket where a client can't do it."""

import base64
import gzip
import hashlib
import os
import socket
import time
import zlib

import httpx
import pytest

from fhir_server.outcome import FhirError
from fhir_server.rest.upload import Disconnected, received, whole

CONTENT = os.urandom(600_000)
PNG = {"Content-Type": "image/png"}


def in_base64(algorithm, content=CONTENT):
    return base64.b64encode(hashlib.new(algorithm, content).digest()).decode()


DIGESTS = [
    ("Content-MD5", "{md5}"),
    ("Digest", "SHA-256={sha256}"),
    ("Digest", "md5={md5},SHA-512={sha512}"),
    ("Content-Digest", "sha-256=:{sha256}:"),
    ("Repr-Digest", "unknown=:AAAA:, sha-512=:{sha512}:"),
]


def address_of(answer):
    return answer.headers["location"].partition("/fhir/")[2].partition("/_history")[0]


@pytest.mark.parametrize(("header", "value"), DIGESTS)
def test_digests_are_checked(fhir, header, value):
    sums = {name: in_base64(name) for name in ("md5", "sha256", "sha512")}
    right = {**PNG, header: value.format(**sums)}
    assert fhir.post("Binary", content=CONTENT, headers=right).status_code == 201
    wrong = fhir.post("Binary", content=CONTENT[:-1], headers=right)
    assert wrong.status_code == 400
    assert header in wrong.json()["issue"][0]["diagnostics"]


def test_the_digest_of_a_resource_is_checked_too(fhir):
    body = b'{"resourceType":"Patient"}'
    headers = {"Content-Type": "application/fhir+json", "Content-MD5": in_base64("md5", body)}
    assert fhir.post("Patient", content=body, headers=headers).status_code == 201
    assert fhir.post("Patient", content=body + b" ", headers=headers).status_code == 400


@pytest.mark.parametrize(
    ("header", "value"), [("Content-MD5", "?"), ("Digest", "sha-256"), ("Repr-Digest", "sha-256=:A:")]
)
def test_malformed_digests(fhir, header, value):
    assert fhir.post("Binary", content=b"x", headers={**PNG, header: value}).status_code == 400


@pytest.mark.parametrize(
    ("encoding", "pack"), [("gzip", gzip.compress), ("deflate", zlib.compress), ("identity", bytes)]
)
@pytest.mark.parametrize(
    "content", [b"text " * 400_000, CONTENT, b"small", b""], ids=["text", "random", "small", "empty"]
)
def test_content_encodings(fhir, encoding, pack, content):
    made = fhir.post("Binary", content=pack(content), headers={**PNG, "Content-Encoding": encoding})
    assert made.status_code == 201, made.text
    assert fhir.get(address_of(made)).content == content


@pytest.mark.parametrize("body", [b"no gzip", gzip.compress(CONTENT)[:-9], gzip.compress(b"a") + b"rest"])
def test_what_is_not_in_its_encoding_is_refused(fhir, body):
    answer = fhir.post("Binary", content=body, headers={**PNG, "Content-Encoding": "gzip"})
    assert answer.status_code == 400


def test_other_encodings_are_not_supported(fhir):
    assert fhir.post("Binary", content=b"x", headers={**PNG, "Content-Encoding": "br"}).status_code == 415


@pytest.fixture(scope="module")
def narrow(site_with):
    """A client of an application with small limits."""
    flags = {
        "http.max_binary_mb": 1,
        "http.max_body_mb": 1,
        "http.body_timeout_s": 1,
        "http.binary_timeout_s": 1,
    }
    with site_with(flags) as client, httpx.Client(base_url=client.base_url.join("fhir/"), timeout=60) as fhir:
        yield fhir


@pytest.mark.parametrize(
    "headers", [PNG, {"Content-Type": "application/fhir+json"}], ids=["content", "resource"]
)
def test_what_is_too_large_is_refused_before_it_is_read(narrow, headers):
    with connected(narrow) as wire:
        wire.sendall(head(narrow, headers | {"Content-Length": "1000001"}))
        assert answered(wire).startswith(b"HTTP/1.1 413")


def test_what_becomes_too_large_on_the_way_is_refused(narrow, mongo_client, module_database_name):
    def parts():
        for _ in range(20):
            yield bytes(100_000)

    assert narrow.post("Binary", content=parts(), headers=PNG).status_code == 413
    packed = gzip.compress(bytes(2_000_000))
    assert (
        narrow.post("Binary", content=packed, headers={**PNG, "Content-Encoding": "gzip"}).status_code == 413
    )
    assert mongo_client[module_database_name]["bin.files"].count_documents({}) == 0
    assert mongo_client[module_database_name]["bin.chunks"].count_documents({}) == 0
    assert narrow.post("Binary", content=bytes(1_000_000), headers=PNG).status_code == 201
    mongo_client[module_database_name]["bin.files"].delete_many({})


@pytest.mark.parametrize(
    "headers", [PNG, {"Content-Type": "application/fhir+json"}], ids=["content", "resource"]
)
def test_slow_bodies_are_given_up(narrow, headers):
    with connected(narrow) as wire:
        wire.sendall(head(narrow, headers | {"Content-Length": "1000"}) + b"begin")
        assert answered(wire).startswith(b"HTTP/1.1 408")


def test_a_body_that_is_cut_off_leaves_nothing(narrow, mongo_client, module_database_name):
    database = mongo_client[module_database_name]
    before = database["Binary"].count_documents({})
    with connected(narrow) as wire:
        wire.sendall(head(narrow, PNG | {"Content-Length": "900000"}) + CONTENT)
        deadline = time.monotonic() + 5
        while not database["bin.files"].count_documents({"open": {"$exists": True}}):
            assert time.monotonic() < deadline
    while database["bin.files"].count_documents({"open": {"$exists": True}}):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert database["Binary"].count_documents({}) == before


def connected(client):
    return socket.create_connection((client.base_url.host, client.base_url.port), timeout=10)


def head(client, headers):
    lines = ["POST /fhir/Binary HTTP/1.1", f"Host: {client.base_url.host}"]
    return "\r\n".join([*lines, *(f"{name}: {value}" for name, value in headers.items()), "", ""]).encode()


def answered(wire):
    found = b""
    while part := wire.recv(65536):
        found += part
    return found


def messages(*parts):
    """An ASGI ``receive`` that gives these parts."""
    waiting = [{"type": "http.request", "body": part, "more_body": True} for part in parts]
    waiting.append({"type": "http.request", "body": b"", "more_body": False})

    async def receive():
        return waiting.pop(0)

    return receive


async def streamed(receive, headers, limit, seconds):
    return b"".join([part async for part in received(receive, headers, limit, seconds)])


@pytest.mark.parametrize("read", [whole, streamed])
@pytest.mark.parametrize(
    ("announced", "status"), [("6", None), ("7", 400), ("5", 400), ("11", 413), ("+6", None), ("", None)]
)
async def test_a_body_has_the_length_that_was_announced(read, announced, status):
    """Servers in front of the application may not see to that; what is no number is theirs to refuse."""
    receive, headers = messages(b"abc", b"def"), {"content-length": announced}
    if status is None:
        assert await read(receive, headers, 10, 5) == b"abcdef"
        return
    with pytest.raises(FhirError) as refused:
        await read(receive, headers, 10, 5)
    assert refused.value.status == status
    assert refused.value.headers["Connection"] == "close"


@pytest.mark.parametrize("read", [whole, streamed])
async def test_who_goes_away_is_not_answered(read):
    async def receive():
        return {"type": "http.disconnect"}

    with pytest.raises(Disconnected):
        await read(receive, {}, 10, 5)
