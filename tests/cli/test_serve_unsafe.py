"""What ``serve`` refuses because it would show data to everybody."""

from __future__ import annotations

import pytest

from fhir_server.cli.unsafe import unsafe
from fhir_server.settings import load

ISSUER = [{"issuer": "https://id.example", "clients": {"portal": {"kind": "person"}}}]
LOCAL_ISSUER = [{"issuer": "http://127.0.0.1:9000", "clients": {"portal": {"kind": "person"}}}]
KEY = "8c1f0a52d9b7e6430fd2c8a17b5e9f3046ad1c7e"
SAFE = {
    "auth.issuers": ISSUER,
    "http.base_url": "https://space.example/fhir",
    "http.proxies": "10.0.0.7",
    "cursor.key": KEY,
    "mongodb.uri": "mongodb://fhir:s3cret@db1,db2/?replicaSet=rs0&tls=true",
    "space.test_identities": "refuse",
}


@pytest.mark.parametrize(
    ("flags", "is_refused"),
    [
        ({}, False),
        ({"http.host": "localhost"}, False),
        ({"http.host": "::1"}, False),
        ({"http.host": "0.0.0.0"}, True),
        ({"http.host": "192.168.1.4"}, True),
        ({"http.host": "example.org"}, True),
        ({"http.host": "0.0.0.0", "access.open_anywhere": True}, False),
        ({"http.host": "0.0.0.0", "auth.issuers": ISSUER}, False),
        ({"auth.dev_server": True, "http.base_path": ""}, True),
        ({"auth.dev_server": True}, False),
        ({"http.base_path": ""}, False),
    ],
)
def test_open_mode_is_for_loopback(flags, is_refused):
    assert bool(unsafe(load(flags), is_production=False)) is is_refused


UNSAFE = [
    ({"auth.issuers": []}, "auth.issuers"),
    ({"auth.dev_server": True}, "auth.dev_server"),
    ({"access.open_anywhere": True}, "access.open_anywhere"),
    ({"auth.issuers": LOCAL_ISSUER}, "auth.issuers"),
    ({"auth.origins": "https://a.example, http://b.example"}, "auth.origins"),
    ({"limits.requests": "off"}, "limits.requests"),
    ({"limits.anonymous": "off"}, "limits.anonymous"),
    ({"http.base_url": None}, "http.base_url"),
    ({"http.base_url": "http://space.example/fhir"}, "http.base_url"),
    ({"http.proxies": ""}, "http.tls_cert"),
    ({"http.proxies": "0.0.0.0/0"}, "http.proxies"),
    ({"http.proxies": "10.0.0.7, ::/0"}, "http.proxies"),
    ({"http.metrics_for": "0.0.0.0/0"}, "http.metrics_for"),
    ({"cursor.key": None}, "cursor.key"),
    ({"cursor.key": "k" * 32}, "cursor.key"),
    ({"cursor.key": "changeme-8c1f0a52d9b7e6430fd2c8a17b5e9f3046ad1c7e"}, "cursor.key"),
    ({"mongodb.uri": None}, "mongodb.uri"),
    ({"mongodb.uri": "mongodb://db1,db2/?replicaSet=rs0"}, "mongodb.uri"),
    ({"audit.mode": "off"}, "audit.mode"),
    ({"search.explain": True}, "search.explain"),
    ({"expunge.allow": "everything"}, "expunge.allow"),
    ({"examples.load": True}, "examples.load"),
    ({"space.test_identities": "accept"}, "space.test_identities"),
    ({"log.level": "debug"}, "log.level"),
]


@pytest.mark.parametrize(("change", "name"), UNSAFE)
def test_production_refuses_what_is_unsafe(change, name):
    [refusal] = unsafe(load(SAFE | change), is_production=True)
    assert name in refusal


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"http.proxies": "", "http.tls_cert": "/etc/cert.pem", "http.tls_key": "/etc/key.pem"},
        {"mongodb.uri": "mongodb://db/?authMechanism=MONGODB-X509&tls=true"},
        {"auth.origins": "https://a.example"},
        {"limits.requests": "100/second"},
    ],
)
def test_production_runs_what_is_safe(change):
    assert unsafe(load(SAFE | change), is_production=True) == []
