"""Authorization requests and proofs: https://www.rfc-editor.org/rfc/rfc6749#section-4.1, RFC 7636 (PKCE).

https://hl7.org/fhir/smart-app-launch/STU2.2/app-launch.html#obtain-authorization-code
"""

from __future__ import annotations

import hashlib
import hmac
import re
from base64 import urlsafe_b64encode
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from urllib.parse import urlencode

from fhir_server.access.oauth.clients import Registration
from fhir_server.access.oauth.errors import OAuthError
from fhir_server.access.oauth.scoping import grantable

#: Longest state that is echoed.
MAX_STATE = 1024
_CHALLENGE = re.compile(r"[A-Za-z0-9_-]{43}").fullmatch
_VERIFIER = re.compile(r"[A-Za-z0-9\-._~]{43,128}").fullmatch


@dataclass(frozen=True, slots=True)
class AuthorizationRequest:
    """An authorization request that holds; ``scopes`` are those that can be given."""

    client_id: str
    redirect_uri: str
    names_redirect: bool
    scopes: tuple[str, ...]
    state: str
    challenge: str
    launch: str = ""
    nonce: str = ""


def redirect_of(parameters: Mapping[str, str], client: Registration | None) -> str:
    """Return where the answer goes; raise OAuthError, to be shown and not sent anywhere, if that isn't proven."""
    if client is None or not client.enabled or "authorization_code" not in client.grant_types:
        raise OAuthError("invalid_request", "This app is not registered here.")
    given = parameters.get("redirect_uri")
    if given is None and len(client.redirect_uris) == 1:
        return client.redirect_uris[0]
    if given not in client.redirect_uris:  # by its exact text
        raise OAuthError("invalid_request", "The redirect URI is not one that the app has registered.")
    if len(parameters.get("state", "")) > MAX_STATE:
        raise OAuthError("invalid_request", f"The state is longer than {MAX_STATE} characters.")
    return given


def authorization_request(
    parameters: Mapping[str, str], client: Registration, redirect: str, base: str, types: Collection[str]
) -> AuthorizationRequest:
    """Return the request; raise OAuthError, to be sent to the redirect URI, if it doesn't hold."""
    if "state" not in parameters:
        raise OAuthError("invalid_request", "state is required.")
    if parameters.get("response_type") != "code":
        code = "unsupported_response_type" if "response_type" in parameters else "invalid_request"
        raise OAuthError(code, "response_type must be code.")
    if "request" in parameters or "request_uri" in parameters:
        raise OAuthError("request_not_supported", "Request objects are not supported.")
    if parameters.get("aud") not in (base, base + "/"):
        raise OAuthError("invalid_request", "aud must be the address of the FHIR server.")
    if parameters.get("code_challenge_method") != "S256" or not _CHALLENGE(
        parameters.get("code_challenge", "")
    ):
        raise OAuthError(
            "invalid_request", "PKCE is required: code_challenge with code_challenge_method S256."
        )
    if parameters.get("prompt") == "none":
        raise OAuthError("login_required", "There is no session to go on with.")
    scopes = grantable(parameters.get("scope", ""), client.scope, types, ("patient", "user"))
    if not scopes:
        raise OAuthError("invalid_scope", "None of the scopes can be given.")
    if "launch" in scopes and "launch" not in parameters:
        raise OAuthError("invalid_request", "The scope launch needs the launch parameter.")
    return AuthorizationRequest(
        client.client_id,
        redirect,
        "redirect_uri" in parameters,
        scopes,
        parameters["state"],
        parameters["code_challenge"],
        parameters.get("launch", ""),
        parameters.get("nonce", ""),
    )


def answered(redirect: str, state: str | None, **answer: str) -> str:
    """Return the address to which the browser goes with the answer."""
    pairs = {**answer, **({"state": state} if state is not None else {})}
    return f"{redirect}{'&' if '?' in redirect else '?'}{urlencode(pairs)}"


def proves(verifier: str, challenge: str) -> bool:
    """Tell whether a code verifier belongs to a challenge by S256."""
    if not _VERIFIER(verifier):
        return False
    made = urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
    return hmac.compare_digest(made, challenge)
