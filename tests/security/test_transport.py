"""Rows H of the checklist about HTTP itself: what is sent on a raw socket, and what must come back."""

from __future__ import annotations

import socket
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from fhir_server.cli.tls import context_problem, own_context, server_context
from fhir_server.rest.protocol import GuardedProtocol
from tests.security.wire import address, exchanged

PATIENT = b'{"resourceType":"Patient"}'
HOST = b"Host: localhost\r\n"


def _get(*headers: bytes, path: bytes = b"/fhir/metadata", version: bytes = b"1.1") -> bytes:
    return b"GET %s HTTP/%s\r\n%s\r\n" % (path, version, b"".join(headers))


def _post(*headers: bytes, body: bytes = PATIENT) -> bytes:
    return b"POST /fhir/Patient HTTP/1.1\r\nContent-Type: application/fhir+json\r\n%s\r\n%s" % (
        b"".join(headers),
        body,
    )


LENGTH = b"Content-Length: %d\r\n" % len(PATIENT)
CHUNKED = b"Transfer-Encoding: chunked\r\n"
SMUGGLED = _get(HOST, path=b"/fhir/Patient/smuggled")


@pytest.mark.parametrize(
    "sent",
    [
        pytest.param(_post(HOST, LENGTH, CHUNKED, body=b"0\r\n\r\n" + SMUGGLED), id="length and chunked"),
        pytest.param(_post(HOST, CHUNKED, LENGTH, body=b"0\r\n\r\n" + SMUGGLED), id="chunked and length"),
        pytest.param(_post(HOST, LENGTH, b"Content-Length: 5\r\n"), id="two lengths"),
        pytest.param(_post(HOST, b"Content-Length: 5, 5\r\n"), id="a list of lengths"),
        pytest.param(_post(HOST, b"Content-Length: +26\r\n"), id="a signed length"),
        pytest.param(_post(HOST, b"Transfer-Encoding: xchunked\r\n", body=b"0\r\n\r\n"), id="xchunked"),
        pytest.param(
            _post(HOST, b"Transfer-Encoding: chunked, identity\r\n", body=b"0\r\n\r\n"), id="chunked is not the last"
        ),
        pytest.param(_post(HOST, b"Transfer-Encoding : chunked\r\n", body=b"0\r\n\r\n"), id="blank before the colon"),
        pytest.param(_post(HOST, CHUNKED, body=b"zz\r\n\r\n"), id="a chunk without a size"),
        pytest.param(_get(HOST, b"Host: elsewhere\r\n"), id="two hosts"),
        pytest.param(_get(), id="no host"),
        pytest.param(_get(b"Host: localhost\n"), id="bare LF"),
        pytest.param(_get(HOST, b"X-A: 1\r\n folded\r\n"), id="a folded line"),
        pytest.param(_get(HOST, b"X-A: a\x00b\r\n"), id="NUL in a header"),
        pytest.param(_get(HOST, b"X-A: a\rb\r\n"), id="CR in a header"),
        pytest.param(_get(HOST, b": nothing\r\n"), id="a header without a name"),
        pytest.param(_get(HOST, path=b"http://elsewhere/fhir/metadata"), id="an address of elsewhere"),
        pytest.param(b"GET /fhir/metadata\r\n\r\n", id="HTTP/0.9"),
        pytest.param(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", id="TLS on a port without"),
    ],
)  # fmt: skip
def test_H33_requests_that_two_readers_read_differently(site: httpx.Client, sent: bytes):
    [answer] = exchanged(site, sent)
    assert answer.status == 400
    assert answer.headers["connection"] == "close"
    assert answer.outcome() in ("structure", "value")
    assert answer.rest == b""


@pytest.mark.parametrize(
    "sent",
    [
        pytest.param(_get(HOST, b"Connection: close\r\n"), id="plain"),
        pytest.param(
            _get(HOST, b"Connection: close\r\n", path=b"http://localhost/fhir/metadata"), id="absolute, of ours"
        ),
        pytest.param(_get(HOST, version=b"1.0"), id="HTTP/1.0 with Host"),
    ],
)  # fmt: skip
def test_H33_what_is_unusual_and_right_is_answered(site: httpx.Client, sent: bytes):
    [answer] = exchanged(site, sent)
    assert answer.status == 200


def test_H33_a_foreign_host_is_refused_where_hosts_are_named(site_with):
    with site_with({"http.hosts": "space.example, api.example"}) as client:
        for host, status in (
            ("space.example", 200), ("SPACE.example:8443", 200), ("localhost:1", 200), ("127.0.0.1", 200),
            ("evil.example", 400), ("space.example.evil.example", 400), ("space.example@evil.example", 400),
        ):  # fmt: skip
            assert client.get("fhir/metadata", headers={"Host": host}).status_code == status, host


@pytest.mark.parametrize("method", ["TRACE", "CONNECT", "OPTIONS", "PROPFIND", "LINK"])
def test_H34_methods(site: httpx.Client, method: str):
    target = "localhost:1" if method == "CONNECT" else "/fhir/Patient"
    [answer] = exchanged(
        site, f"{method} {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode()
    )
    assert answer.status == 405
    assert answer.outcome() == "not-supported"


def test_H34_a_method_in_a_header_is_no_method(site: httpx.Client):
    made = site.post("fhir/Patient", json={"resourceType": "Patient"}).json()
    for name in ("X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override"):
        answer = site.get(f"fhir/Patient/{made['id']}", headers={name: "DELETE"})
        assert answer.status_code == 200
    assert site.get(f"fhir/Patient/{made['id']}").status_code == 200


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        pytest.param(b"GET /fhir/metadata HTTP/1.1\r\n" + HOST + b"X-A: " + b"a" * 3_000_000, 431, id="3 MB header"),
        pytest.param(_get(HOST, *[b"X-%d: a\r\n" % n for n in range(10_000)]), 431, id="10,000 headers"),
        pytest.param(_get(HOST, *[b"X-%d: a\r\n" % n for n in range(101)]), 431, id="101 headers"),
        pytest.param(_get(HOST, b"X-A: " + b"a" * 33_000 + b"\r\n"), 431, id="33 KB of headers"),
        pytest.param(_get(HOST, path=b"/fhir/Patient?name=" + b"a" * 1_000_000), 414, id="1 MB address"),
        pytest.param(_get(HOST, path=b"/fhir/Patient?name=" + b"a" * 17_000), 414, id="17 KB address"),
    ],
)  # fmt: skip
def test_H46_headers_and_addresses_have_an_end(site: httpx.Client, sent: bytes, status: int):
    [answer] = exchanged(site, sent)
    assert (answer.status, answer.outcome()) == (status, "too-long")


def test_H13_headers_that_do_not_come_are_given_up(site: httpx.Client, monkeypatch):
    monkeypatch.setattr(GuardedProtocol, "header_s", 0.4)
    [dripped] = exchanged(site, *[bytes([b]) for b in b"GET /fhir/met"], pause=0.1)
    [silent] = exchanged(site, b"", pause=0.1)
    assert (dripped.status, silent.status) == (408, 408)
    assert dripped.outcome() == "timeout"


def test_H13_a_slow_body_has_its_own_time_and_others_go_on(site: httpx.Client, monkeypatch):
    monkeypatch.setattr(GuardedProtocol, "header_s", 0.4)
    waiting = [socket.create_connection(address(site)) for _ in range(200)]
    try:
        slow = exchanged(
            site, _post(HOST, LENGTH, b"Connection: close\r\n", body=b""), PATIENT[:9], PATIENT[9:], pause=0.3
        )
        assert [answer.status for answer in slow] == [201]
        assert site.get("fhir/metadata").status_code == 200
        assert all(b"408" in wire.recv(1000) for wire in waiting)
    finally:
        for wire in waiting:
            wire.close()


def test_H33_a_refusal_never_breaks_into_another_answer(site: httpx.Client):
    answers = exchanged(site, _get(HOST) + b"NONSENSE\r\n\r\n")
    assert len(answers) <= 1
    assert all(answer.status == 200 and answer.rest == b"" for answer in answers)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("X-Request-Id", "a\r\nX-Injected: 1"),
        ("Prefer", "return=minimal\r\nX-Injected: 1"),
        ("X-Request-Id", "\xe9\xff"),
        ("Prefer", "\xe9"),
    ],
)
def test_H32_no_header_can_be_injected(site: httpx.Client, name: str, value: str):
    header = f"{name}: {value}\r\n".encode("latin-1")
    for answer in exchanged(site, _post(HOST, LENGTH, header, b"Connection: close\r\n")):
        assert answer.status in (201, 400)
        assert "x-injected" not in answer.headers
        assert "\xe9" not in answer.headers["x-request-id"]


@pytest.mark.parametrize(
    "path", ["fhir/Patient/%0d%0aX-Injected:1", "fhir/Patient?_format=json%0d%0aX-Injected:%201"]
)
def test_H32_nor_by_an_address(site: httpx.Client, path: str):
    answer = site.get(path)
    assert answer.status_code in (400, 404, 406)
    assert "x-injected" not in answer.headers


# TLS


@pytest.fixture(scope="module")
def certificate(tmp_path_factory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("tls")
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "space.example")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("space.example")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    (folder / "cert.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    (folder / "key.pem").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    return folder / "cert.pem", folder / "key.pem"


@pytest.mark.parametrize(
    ("minimum", "spoken", "is_accepted"),
    [
        ("1.2", ssl.TLSVersion.TLSv1_1, False),
        ("1.2", ssl.TLSVersion.TLSv1_2, True),
        ("1.2", ssl.TLSVersion.TLSv1_3, True),
        ("1.3", ssl.TLSVersion.TLSv1_2, False),
        ("1.3", ssl.TLSVersion.TLSv1_3, True),
    ],
)
@pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1_1 is deprecated")
def test_versions_of_tls(certificate, minimum, spoken, is_accepted):
    cert, key = certificate

    def made():
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(cert, key)
        return context

    server = server_context(None, made, minimum=minimum)
    client = own_context(cert)
    client.set_ciphers("DEFAULT:@SECLEVEL=0")
    client.minimum_version = client.maximum_version = spoken
    assert _shake(server, client) is is_accepted


def _shake(server: ssl.SSLContext, client: ssl.SSLContext) -> bool:
    """Tell whether two contexts come to terms, over pipes in memory."""
    up, down = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = [
        server.wrap_bio(up, down, server_side=True),
        client.wrap_bio(down, up, server_hostname="space.example"),
    ]
    done = set()
    for _ in range(10):
        for end in ends:
            try:
                end.do_handshake()
                done.add(end)
            except ssl.SSLWantReadError:
                pass
            except ssl.SSLError:
                return False
    return len(done) == 2


def test_a_key_of_another_certificate_is_refused_before_start(certificate, tmp_path):
    cert, key = certificate
    other = tmp_path / "key.pem"
    other.write_bytes(
        ec.generate_private_key(ec.SECP256R1()).private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    assert context_problem(cert, key) == ""
    assert "can't be used together" in context_problem(cert, other)
    assert "can't be used together" in context_problem(cert, tmp_path / "absent.pem")
