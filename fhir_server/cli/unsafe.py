"""What is refused before a socket is opened: settings that would show data to those who should not have them.

docs/protection.md lists them.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from typing import TYPE_CHECKING

from fhir_server.settings.serving import named

if TYPE_CHECKING:
    from fhir_server.settings import Settings

#: Beginnings of secrets that stand in documentation and examples.
_KNOWN_SECRETS = ("changeme", "change-me", "secret", "password", "example", "test", "0123456789")


def unsafe(settings: Settings, *, is_production: bool) -> list[str]:
    """Return what must not be served like this, a sentence with the remedy each."""
    found = list(_never(settings))
    if is_production:
        found += [*_production_signing_in(settings), *_production_wire(settings), *_production_data(settings)]
    elif (
        not settings.auth.is_on and not is_loopback(settings.http.host) and not settings.access.open_anywhere
    ):
        found.append(
            f"Nobody has to sign in, so all who reach {settings.http.host} could read and change everything: "
            "listen on 127.0.0.1, or name auth.issuers (access.open_anywhere=true overrides this)."
        )
    return found


def _never(settings: Settings) -> Iterator[str]:
    if settings.auth.dev_server and not settings.http.base_path:
        yield (
            "The development authorization server is at /auth, which http.base_path (empty) makes a part of the FHIR "
            "API: give http.base_path a value, such as /fhir."
        )
    if settings.sandbox.on and settings.http.workers > 1:
        yield "A sandbox has one worker, which knows the faults that wait: leave out http.workers."


def _production_signing_in(settings: Settings) -> Iterator[str]:
    auth = settings.auth
    if settings.sandbox.on:
        yield "A sandbox lets callers replace all data: --production refuses sandbox.on."
    if not auth.issuers and not auth.dev_server:
        yield "Nobody has to sign in: --production needs auth.issuers."
    if auth.dev_server:
        yield "auth.dev_server lets anybody sign in as anybody: --production refuses it."
    if settings.access.open_anywhere:
        yield "access.open_anywhere is for servers where nobody signs in: --production refuses it."
    if any(issuer.issuer.startswith("http:") for issuer in auth.issuers):
        yield "auth.issuers has one without https, which is for trying out: --production refuses it."
    if any(origin.startswith("http:") for origin in auth.allowed_origins):
        yield "auth.origins has a page without https, whose content anybody on the way can change."
    if settings.limits.requests == "off" or settings.limits.anonymous == "off":
        yield "limits.requests and limits.anonymous must not be off: --production needs rates, however generous."


def _production_wire(settings: Settings) -> Iterator[str]:
    http = settings.http
    if http.base_url is None or not http.base_url.startswith("https:"):
        yield "--production needs http.base_url, the public address, which begins with https."
    if http.tls_cert is None and not named(http.proxies):
        yield (
            "Nothing encrypts the way to the clients: --production needs http.tls_cert and http.tls_key, or "
            "http.proxies, the addresses of the TLS proxy in front."
        )
    if any(ipaddress.ip_network(name).prefixlen == 0 for name in named(http.proxies)):
        yield "http.proxies names every address, so anybody could claim another's: name your proxies' own."
    if any(ipaddress.ip_network(name).prefixlen == 0 for name in named(http.metrics_for)):
        yield "http.metrics_for shows /metrics to everybody: name the addresses of your monitoring."


def _production_data(settings: Settings) -> Iterator[str]:
    key = settings.cursor.key.get_secret_value() if settings.cursor.key is not None else ""
    if not key:
        yield "--production needs cursor.key, the same for all servers behind one address."
    elif len(set(key)) < 8 or key.lower().startswith(_KNOWN_SECRETS):
        yield 'cursor.key can be guessed: make one with "openssl rand -hex 32".'
    uri = settings.mongodb.uri.get_secret_value() if settings.mongodb.uri is not None else ""
    if not uri:
        yield "The embedded MongoDB knows no users and no copies: --production needs mongodb.uri."
    elif "@" not in uri.partition("://")[2] and "MONGODB-X509" not in uri:
        yield "mongodb.uri names no user: --production needs a MongoDB where one signs in."
    if settings.audit.mode == "off":
        yield "audit.mode=off leaves no trace of who saw what: --production refuses it."
    if settings.search.explain:
        yield "search.explain shows what access allows: --production refuses it."
    if settings.expunge.allow == "everything":
        yield "expunge.allow=everything is for test servers: --production refuses it."
    if settings.examples.load:
        yield "examples.load puts invented persons among real ones: --production refuses it."
    if settings.space.test_identities == "accept":
        yield "--production needs space.test_identities=refuse: test identities are no citizens."
    if settings.log.level == "debug":
        yield "log.level=debug writes more than operators may see: --production refuses it."


def is_loopback(host: str) -> bool:
    """Tell whether only programs on this machine reach an address."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
