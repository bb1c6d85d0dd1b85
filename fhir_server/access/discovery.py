"""What clients find out before they sign in: the SMART configuration, and security in the CapabilityStatement.

https://hl7.org/fhir/smart-app-launch/STU2.2/conformance.html
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

#: What this server does with scopes, whoever issues the token.
PERMISSIONS = ("permission-v1", "permission-v2")
_SSO = "sso-openid-connect"
_OAUTH_URIS = "http://fhir-registry.smarthealthit.org/StructureDefinition/oauth-uris"
_SERVICE = "http://terminology.hl7.org/CodeSystem/restful-security-service"


@dataclass(frozen=True, slots=True)
class SmartServer:
    """The authorization server that apps are sent to."""

    __pydantic_config__: ClassVar[Mapping[str, Any]] = {"extra": "forbid", "use_attribute_docstrings": True}

    token_endpoint: str
    """Where tokens are issued."""
    authorization_endpoint: str = ""
    """Where users authorize apps; without it only backend services can come."""
    introspection_endpoint: str = ""
    """Where tokens are asked about."""
    revocation_endpoint: str = ""
    """Where tokens are revoked."""
    registration_endpoint: str = ""
    """Where clients are registered."""
    management_endpoint: str = ""
    """Where users see and end what apps may do."""
    jwks_uri: str = ""
    """Where its keys are."""
    capabilities: tuple[str, ...] = ()
    """What it can do, by SMART's names (launch-standalone, client-public, ...)."""
    grant_types: tuple[str, ...] = ("authorization_code",)
    """The grant types that it knows."""
    token_endpoint_auth_methods: tuple[str, ...] = ("private_key_jwt",)
    """How clients prove who they are."""
    token_endpoint_auth_signing_algs: tuple[str, ...] = ("RS384", "ES384")
    """What clients may sign their assertions with."""
    scopes: tuple[str, ...] = ("openid", "fhirUser", "launch/patient", "offline_access")
    """Scopes that it gives, besides those for each type."""


def smart_configuration(issuer: str, server: SmartServer) -> dict[str, Any]:
    """Return the document at ``[base]/.well-known/smart-configuration``."""
    capabilities = (*PERMISSIONS, *(name for name in server.capabilities if name not in PERMISSIONS))
    launches = bool(server.authorization_endpoint)
    return {
        # Exactly when users sign in with OpenID Connect.
        **({"issuer": issuer, "jwks_uri": server.jwks_uri} if _SSO in capabilities else {}),
        **_present(server, "authorization_endpoint"),
        "token_endpoint": server.token_endpoint,
        **_present(
            server,
            "introspection_endpoint",
            "revocation_endpoint",
            "registration_endpoint",
            "management_endpoint",
        ),
        "grant_types_supported": list(server.grant_types),
        **({"response_types_supported": ["code"]} if launches else {}),
        "scopes_supported": [*server.scopes, *(f"{level}/*.{way}" for level, way in _WILDCARDS)],
        "token_endpoint_auth_methods_supported": list(server.token_endpoint_auth_methods),
        "token_endpoint_auth_signing_alg_values_supported": list(server.token_endpoint_auth_signing_algs),
        "code_challenge_methods_supported": ["S256"],
        "capabilities": list(capabilities),
    }


_WILDCARDS = [(level, way) for level in ("patient", "user", "system") for way in ("cruds", "rs", "read")]


def security(server: SmartServer) -> dict[str, Any]:
    """Return CapabilityStatement.rest.security, with the addresses that clients of SMART 1 look for."""
    addresses = {
        "authorize": server.authorization_endpoint,
        "token": server.token_endpoint,
        "introspect": server.introspection_endpoint,
        "revoke": server.revocation_endpoint,
        "register": server.registration_endpoint,
        "manage": server.management_endpoint,
    }
    return {
        "extension": [
            {
                "url": _OAUTH_URIS,
                "extension": [{"url": name, "valueUri": url} for name, url in addresses.items() if url],
            }
        ],
        "cors": True,
        "service": [
            {
                "coding": [{"system": _SERVICE, "code": "SMART-on-FHIR", "display": "SMART-on-FHIR"}],
                "text": "OAuth2 by SMART App Launch 2.2 (see .well-known/smart-configuration)",
            }
        ],
        "description": "Access tokens as Authorization: Bearer. Scopes of SMART 1 and 2, with conditions.",
    }


def _present(server: SmartServer, *names: str) -> dict[str, str]:
    return {name: getattr(server, name) for name in names if getattr(server, name)}
