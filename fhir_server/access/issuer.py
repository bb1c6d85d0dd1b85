"""An authorization server that this server believes, as the settings describe it.

https://hl7.org/fhir/smart-app-launch/STU2.2/app-launch.html, https://www.rfc-editor.org/rfc/rfc7662 (introspection)
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal
from urllib.parse import urlsplit

from fhir_server.access.tokens import ALGORITHMS

#: The settings refuse names that nothing claims, as everywhere.
_STRICT: Mapping[str, Any] = {"extra": "forbid", "use_attribute_docstrings": True}
_LOOPBACK = ("localhost", "127.0.0.1", "::1")

ClientKind = Literal["person", "app", "payer-feed", "insurer", "system", "auditor", "operator"]


def is_safe(url: str) -> bool:
    """Tell whether secrets and keys may travel to a URL: https, or http on this machine."""
    try:
        parts = urlsplit(url)
        host = parts.hostname
    except ValueError:
        return False
    if not host or parts.username is not None or parts.fragment or "\\" in url:
        return False
    return parts.scheme == "https" or (parts.scheme == "http" and host in _LOOPBACK)


@dataclass(frozen=True, slots=True)
class Client:
    """A client that is registered at an issuer: what it is decides what its tokens can do here."""

    __pydantic_config__: ClassVar[Mapping[str, Any]] = _STRICT

    kind: ClientKind
    """person: a first-party program, whose user is what fhirUser says (a citizen, a representative, a professional).
    app: a third party's, held to patient/ scopes. The others act for themselves."""
    organization: str | None = None
    """The organisation on whose behalf a system, a feed or an insurer acts, such as Organization/x."""
    roles: tuple[str, ...] = ()
    """Roles that every token of the client has."""


@dataclass(frozen=True, slots=True)
class ClaimPaths:
    """Where an issuer's tokens say what; dots lead into objects, the first path that is there counts."""

    __pydantic_config__: ClassVar[Mapping[str, Any]] = _STRICT

    client: tuple[str, ...] = ("client_id", "azp")
    fhir_user: tuple[str, ...] = ("fhirUser",)
    patient: tuple[str, ...] = ("patient",)
    organization: tuple[str, ...] = (
        "organization",
        "extensions.ihe_iua.subject_organization_id",
    )
    profession: tuple[str, ...] = ("profession",)
    roles: tuple[str, ...] = ("roles", "extensions.ihe_iua.subject_role")
    purpose: tuple[str, ...] = ("purpose_of_use", "extensions.ihe_iua.purpose_of_use")


@dataclass(frozen=True, slots=True)
class Issuer:
    """One authorization server; raises ValueError when the description can't be used."""

    __pydantic_config__: ClassVar[Mapping[str, Any]] = _STRICT

    issuer: str
    """The issuer exactly as its tokens name it in iss."""
    clients: Mapping[str, Client]
    """Its clients that may come here, by client_id; tokens of others are refused."""
    audiences: tuple[str, ...] = ()
    """What aud must have one of. Default: this server's base URL."""
    algorithms: tuple[str, ...] = ALGORITHMS
    """Signature algorithms. RS256 and ES256 are verified the fastest."""
    jwks_uri: str = ""
    """Where its keys are. Default: as its OpenID configuration says."""
    jwks_file: Path | None = None
    """A file with its keys (a JWK set) in place of a download."""
    max_life_s: int = 86_400
    """Longest time that a token may be valid, seconds."""
    introspection_endpoint: str = ""
    """Where tokens are asked about (RFC 7662)."""
    introspect: Literal["never", "opaque", "always"] = "never"
    """opaque: tokens that are no JWT are asked about. always: JWTs too, so that a revocation counts within a minute."""
    client_id: str = ""
    """What this server calls itself at the introspection endpoint."""
    client_secret_file: Path | None = None
    """A file with the secret for it."""
    claims: ClaimPaths = field(default_factory=ClaimPaths)
    """Where its tokens say what."""

    def __post_init__(self) -> None:
        if not is_safe(self.issuer):
            raise ValueError(f"issuer {self.issuer} must be an https URL (http only on this machine)")
        for url in filter(None, (self.jwks_uri, self.introspection_endpoint)):
            if not is_safe(url):
                raise ValueError(f"{url} must be an https URL (http only on this machine)")
        if unknown := sorted(set(self.algorithms) - set(ALGORITHMS)):
            raise ValueError(
                f"algorithms: {', '.join(unknown)} is not accepted; one of {', '.join(ALGORITHMS)}"
            )
        if not 1 <= self.max_life_s <= 30 * 86_400:
            raise ValueError("max_life_s must be between 1 second and 30 days")
        if (self.introspect != "never") != bool(self.introspection_endpoint):
            raise ValueError('introspection_endpoint and introspect ("opaque" or "always") go together')
        if self.introspection_endpoint and (not self.client_id or self.client_secret_file is None):
            raise ValueError("introspection needs client_id and client_secret_file")
