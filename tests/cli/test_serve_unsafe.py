"""What ``serve`` refuses because it would show data to everybody."""

from __future__ import annotations

import pytest

from fhir_server.cli.serve import unsafe
from fhir_server.settings import load

ISSUER = [{"issuer": "https://id.example", "clients": {"portal": {"kind": "person"}}}]
SAFE = {"auth.issuers": ISSUER, "http.base_url": "https://space.example/fhir", "cursor.key": "k" * 32}


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
    ],
)
def test_open_mode_is_for_loopback(flags, is_refused):
    assert bool(unsafe(load(flags), is_production=False)) is is_refused


@pytest.mark.parametrize(
    ("flags", "word"),
    [
        ({**SAFE, "auth.issuers": [], "access.open_anywhere": True}, "auth.issuers"),
        ({**SAFE, "cursor.key": None}, "cursor.key"),
        ({**SAFE, "http.base_url": "http://space.example/fhir"}, "base_url"),
        ({**SAFE, "search.explain": True}, "explain"),
        ({**SAFE, "expunge.allow": "everything"}, "expunge"),
    ],
)
def test_production_refuses_what_is_unsafe(flags, word):
    [refusal] = unsafe(load(flags), is_production=True)
    assert word in refusal
    assert unsafe(load(SAFE), is_production=True) == []
