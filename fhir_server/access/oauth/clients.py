"""Registered clients: https://www.rfc-editor.org/rfc/rfc7591, https://www.rfc-editor.org/rfc/rfc8252."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, get_args
from urllib.parse import urlsplit

from fhir_server.access.issuer import ClientKind, is_safe
from fhir_server.access.oauth.errors import OAuthError
from fhir_server.access.tokens import BadToken, keys

AUTH_METHODS = ("none", "client_secret_basic", "private_key_jwt")
GRANT_TYPES = ("authorization_code", "refresh_token", "client_credentials")
_MAX_TEXT = 2000
_MAX_URIS = 20


@dataclass(frozen=True, slots=True)
class Registration:
    """One client. ``scope`` is the most that it gets ("" for anything); ``secret`` the SHA-256 of its secret.

    ``kind``, ``organization`` and ``may_introspect`` are ours: what the client is to this server.
    """

    client_id: str
    client_name: str
    redirect_uris: tuple[str, ...]
    auth_method: str
    grant_types: tuple[str, ...]
    scope: str = ""
    launch_uri: str = ""
    jwks: Mapping[str, Any] | None = None
    jwks_uri: str = ""
    kind: ClientKind = "app"
    organization: str | None = None
    may_introspect: bool = False
    secret: str = ""
    enabled: bool = True

    def as_document(self) -> dict[str, Any]:
        """Return what is stored."""
        return asdict(self)

    @property
    def origins(self) -> frozenset[str]:
        """The origins of its web pages."""
        parts = [urlsplit(uri) for uri in self.redirect_uris]
        return frozenset(f"{p.scheme}://{p.netloc}" for p in parts if p.scheme in ("http", "https"))


def of_document(document: Mapping[str, Any]) -> Registration:
    """Return what ``as_document`` made."""
    names = Registration.__dataclass_fields__
    made = {name: value for name, value in document.items() if name in names}
    lists = {name: tuple(made[name]) for name in ("redirect_uris", "grant_types")}
    return Registration(**(made | lists))


def registration(document: Any, client_id: str) -> Registration:
    """Return the client that a registration request describes; raise OAuthError when it can't be one."""
    if not isinstance(document, dict):
        raise _unusable("The body is one JSON object.")
    method = document.get("token_endpoint_auth_method", "client_secret_basic")
    grants = _texts(document, "grant_types") or ("authorization_code",)
    redirects = _texts(document, "redirect_uris")
    if method not in AUTH_METHODS:
        raise _unusable(f"token_endpoint_auth_method is one of {', '.join(AUTH_METHODS)}.")
    if set(grants) - set(GRANT_TYPES):
        raise _unusable(f"grant_types are among {', '.join(GRANT_TYPES)}.")
    if "authorization_code" in grants and not redirects:
        raise OAuthError("invalid_redirect_uri", "redirect_uris must name at least one address.")
    for uri in redirects:
        if not _is_redirect(uri):
            raise OAuthError(
                "invalid_redirect_uri",
                "A redirect URI is https, http on this machine, or a scheme of your own with a dot; no fragment.",
            )
    backend = "client_credentials" in grants
    if backend and method == "none":
        raise _unusable("client_credentials needs private_key_jwt or client_secret_basic.")
    made = Registration(
        client_id,
        _text(document, "client_name") or client_id,
        redirects,
        method,
        grants,
        scope=_text(document, "scope"),
        launch_uri=_address(document, "launch_uri"),
        jwks=document.get("jwks"),
        jwks_uri=_address(document, "jwks_uri"),
        kind=document.get("kind", "system" if backend and not redirects else "app"),
        organization=_text(document, "organization") or None,
        may_introspect=document.get("may_introspect") is True,
    )
    if made.kind not in get_args(ClientKind):
        raise _unusable(f"kind is one of {', '.join(get_args(ClientKind))}.")
    if method == "private_key_jwt":
        _check_keys(made)
    return made


def _check_keys(client: Registration) -> None:
    if (client.jwks is None) == (not client.jwks_uri):
        raise _unusable("private_key_jwt needs jwks_uri or jwks, one of them.")
    try:
        if client.jwks is not None and not keys(client.jwks).keys:
            raise _unusable("jwks holds no public RSA or EC key.")
    except BadToken as problem:
        raise _unusable("jwks is no JWK set.") from problem


def _is_redirect(uri: str) -> bool:
    try:
        parts = urlsplit(uri)
    except ValueError:
        return False
    if (
        parts.fragment
        or "#" in uri
        or parts.username is not None
        or len(uri) > _MAX_TEXT
        or not uri.isascii()
    ):
        return False
    return is_safe(uri) or ("." in parts.scheme and parts.scheme not in ("http", "https"))


def _address(document: Mapping[str, Any], name: str) -> str:
    found = _text(document, name)
    if found and not is_safe(found):
        raise _unusable(f"{name} is an https URL (http only on this machine).")
    return found


def _text(document: Mapping[str, Any], name: str) -> str:
    value = document.get(name, "")
    if not isinstance(value, str) or len(value) > _MAX_TEXT:
        raise _unusable(f"{name} is a text of at most {_MAX_TEXT} characters.")
    return value


def _texts(document: Mapping[str, Any], name: str) -> tuple[str, ...]:
    value = document.get(name, [])
    if not isinstance(value, list) or len(value) > _MAX_URIS or not all(isinstance(v, str) for v in value):
        raise _unusable(f"{name} is a list of texts, {_MAX_URIS} at most.")
    return tuple(value)


def _unusable(description: str) -> OAuthError:
    return OAuthError("invalid_client_metadata", description)
