"""The development authorization server: who is a client, what was granted, which tokens live. Not for production.

https://hl7.org/fhir/smart-app-launch/STU2.2/app-launch.html, https://www.rfc-editor.org/rfc/rfc9700
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import secrets
import time
from base64 import b64decode
from collections.abc import Collection, Mapping
from typing import Any
from urllib.parse import unquote_plus

from joserfc.jwk import KeySet, RSAKey

from fhir_server.access.discovery import SmartServer
from fhir_server.access.issuer import Client, Issuer
from fhir_server.access.oauth import clients, issuing
from fhir_server.access.oauth.assertions import TYPE, check_assertion
from fhir_server.access.oauth.authorization import AuthorizationRequest, proves
from fhir_server.access.oauth.clients import GRANT_TYPES, Registration, registration
from fhir_server.access.oauth.errors import OAuthError
from fhir_server.access.oauth.issuing import ALGORITHM, Grant, Minting
from fhir_server.access.oauth.scoping import OTHERS, grantable, narrowed
from fhir_server.access.tokens import Acceptance, BadToken, claims_of, keys, verified
from fhir_server.rest.fetching import NotFetched, fetched
from fhir_server.store.grants import Grants

#: How long things live, seconds: codes, access tokens of users and of programs, refresh tokens, clients.
CODE, TOKEN, BACKEND_TOKEN, REFRESH, FOR_EVER = 60, 3600, 300, 90 * 86_400, 3650 * 86_400
_CAPABILITIES = (
    "launch-ehr",
    "launch-standalone",
    "authorize-post",
    "client-public",
    "client-confidential-symmetric",
    "client-confidential-asymmetric",
    "sso-openid-connect",
    "context-ehr-patient",
    "context-ehr-encounter",
    "context-standalone-patient",
    "context-banner",
    "permission-offline",
    "permission-online",
    "permission-patient",
    "permission-user",
    "permission-v1",
    "permission-v2",
)


def announced(url: str) -> SmartServer:
    """Return what the SMART configuration says of the server at a URL."""
    return SmartServer(
        token_endpoint=f"{url}/token",
        authorization_endpoint=f"{url}/authorize",
        introspection_endpoint=f"{url}/introspect",
        revocation_endpoint=f"{url}/revoke",
        registration_endpoint=f"{url}/register",
        jwks_uri=f"{url}/jwks",
        capabilities=_CAPABILITIES,
        grant_types=GRANT_TYPES,
        token_endpoint_auth_methods=clients.AUTH_METHODS,
        scopes=OTHERS,
    )


class AuthorizationServer:
    """``url`` is its own name, ``base`` the FHIR server's URL, ``types`` the resource types."""

    def __init__(self, grants: Grants, url: str, base: str, types: Collection[str]) -> None:
        self.grants, self.url, self.base, self.types = grants, url, base, types
        self.endpoint = f"{self.url}/token"
        self._minting: Minting | None = None
        #: The public keys.
        self.key_set = KeySet([])

    async def start(self) -> None:
        """Get the key that signs; whoever starts first makes it, for all workers."""
        made = await asyncio.to_thread(RSAKey.generate_key, 2048)
        fields = {"pem": made.as_pem(private=True).decode()}
        if not await self.grants.put("key", "signing", fields, FOR_EVER):
            found = await self.grants.find("key", "signing")
            assert found is not None
            made = RSAKey.import_key(found["pem"])
        made.ensure_kid()
        self._minting = Minting(self.url, self.base, made)
        self.key_set = keys({"keys": [made.as_dict(private=False)]})

    @property
    def minting(self) -> Minting:
        """What signs."""
        assert self._minting is not None, "the authorization server has not been started"
        return self._minting

    # Clients

    async def client(self, client_id: str | None) -> Registration | None:
        """Return a client that is registered, even if it is disabled."""
        found = await self.grants.find("client", client_id) if client_id else None
        return clients.of_document(found) if found is not None else None

    async def clients(self) -> list[Registration]:
        """Return the clients that may be used."""
        found = [clients.of_document(document) for document in await self.grants.all("client")]
        return [client for client in found if client.enabled]

    async def register(self, document: Any) -> dict[str, Any]:
        """Register a client; return it with its secret and the token that manages it, which are not kept."""
        client = registration(document, secrets.token_urlsafe(16))
        secret, manager = secrets.token_urlsafe(32), secrets.token_urlsafe(32)
        stored = client.as_document() | {"manager": _hash(manager)}
        answer: dict[str, Any] = {
            **document,
            "client_id": client.client_id,
            "client_name": client.client_name,
        }
        if client.auth_method == "client_secret_basic":
            stored["secret"] = _hash(secret)
            answer |= {"client_secret": secret, "client_secret_expires_at": 0}
        await self.grants.put("client", client.client_id, stored, FOR_EVER)
        return {
            **answer,
            "token_endpoint_auth_method": client.auth_method,
            "grant_types": list(client.grant_types),
            "kind": client.kind,
            "client_id_issued_at": int(time.time()),
            "registration_access_token": manager,
            "registration_client_uri": f"{self.url}/register/{client.client_id}",
        }

    async def disable(self, client_id: str, manager: str) -> bool:
        """Disable a client and with it all its tokens; False when the token doesn't manage it."""
        found = await self.grants.find("client", client_id)
        if found is None or not hmac.compare_digest(found["manager"], _hash(manager)):
            return False
        await self.grants.change("client", client_id, {"enabled": False})
        return True

    async def authenticated(self, authorization: str | None, form: Mapping[str, str]) -> Registration:
        """Return the client that makes a request of its own; raise OAuthError invalid_client."""
        ways = (authorization is not None) + ("client_assertion" in form or "client_assertion_type" in form)
        if ways > 1 or "client_secret" in form:
            raise OAuthError(
                "invalid_request", "Prove who the client is in one way; a secret goes by HTTP Basic."
            )
        if authorization is not None:
            return await self._by_secret(authorization)
        if ways:
            return await self._by_key(form)
        client = await self.client(form.get("client_id") or await self._holder(form))
        if client is None or not client.enabled or client.auth_method != "none":
            raise OAuthError("invalid_client", "The client is unknown, or must prove who it is.")
        return client

    async def _holder(self, form: Mapping[str, str]) -> str | None:
        """Return to which client a refresh token was given: a public one need not name itself again.

        https://www.rfc-editor.org/rfc/rfc6749#section-6; fhirclient.js doesn't.
        """
        secret = form.get("refresh_token")
        found = await self.grants.find("refresh", secret) if secret else None
        return found["client_id"] if found is not None else None

    async def _by_secret(self, authorization: str) -> Registration:
        scheme, _, credentials = authorization.partition(" ")
        try:
            name, _, secret = b64decode(credentials, validate=True).decode().partition(":")
        except ValueError:
            name = secret = ""
        client = await self.client(unquote_plus(name)) if scheme.lower() == "basic" else None
        offered = _hash(unquote_plus(secret))
        is_right = hmac.compare_digest(offered, client.secret if client is not None else _hash(""))
        if client is None or not is_right or not client.enabled:
            raise OAuthError("invalid_client", "The client or its secret is wrong.", status=401)
        return client

    async def _by_key(self, form: Mapping[str, str]) -> Registration:
        refused = OAuthError("invalid_client", "The client assertion proves nothing.")
        try:
            assertion = form["client_assertion"]
            if form.get("client_assertion_type") != TYPE:
                raise refused
            client = await self.client(str(claims_of(assertion).get("iss")))
            if client is None or not client.enabled or client.auth_method != "private_key_jwt":
                raise refused
            if form.get("client_id", client.client_id) != client.client_id:
                raise refused
            now = int(time.time())
            known = keys(client.jwks or (await fetched(client.jwks_uri)).document)
            claims = check_assertion(assertion, client, known, (self.endpoint,), now)
        except (KeyError, BadToken, NotFetched) as problem:
            raise refused from problem
        seen = f"{client.client_id} {claims['jti']}"
        if not await self.grants.put("jti", seen, {}, claims["exp"] - now + 5):
            raise refused
        return client

    # Grants and tokens

    async def code_for(self, request: AuthorizationRequest, grant: Grant) -> str:
        """Return a code for a grant that a user has just made."""
        code = secrets.token_urlsafe(32)
        fields = {
            "grant": grant.id,
            "client_id": request.client_id,
            "redirect_uri": request.redirect_uri if request.names_redirect else None,
            "challenge": request.challenge,
        }
        await self.grants.put("grant", grant.id, grant.as_document() | {"revoked": False}, REFRESH)
        await self.grants.put("code", code, fields, CODE)
        return code

    async def token(self, client: Registration, form: Mapping[str, str]) -> dict[str, Any]:
        """Return the answer of the token endpoint; raise OAuthError."""
        if form["grant_type"] not in client.grant_types and form["grant_type"] != "refresh_token":
            raise OAuthError("unauthorized_client", "The client is not registered for this grant type.")
        match form["grant_type"]:
            case "authorization_code":
                return await self._of_code(client, form)
            case "refresh_token":
                return await self._of_refresh(client, form)
            case _:
                return await self._of_client(client, form)

    async def _of_code(self, client: Registration, form: Mapping[str, str]) -> dict[str, Any]:
        if "code" not in form:
            raise OAuthError("invalid_request", "code is required.")
        refused = OAuthError("invalid_grant", "The code is not valid, or not for this request.")
        code = await self.grants.take("code", form["code"])
        if code is None:
            raise refused
        if code["used"]:
            await self.revoke_grant(code["grant"])  # somebody else has it: whoever was first may be the thief
            raise refused
        if (
            code["client_id"] != client.client_id
            or form.get("redirect_uri") != (code["redirect_uri"] or form.get("redirect_uri"))
            or not proves(form.get("code_verifier", ""), code["challenge"])
        ):
            raise refused
        grant = await self._grant(code["grant"])
        if grant is None:
            raise refused
        return await self._tokens(client, grant, grant.scopes, TOKEN)

    async def _of_refresh(self, client: Registration, form: Mapping[str, str]) -> dict[str, Any]:
        refused = OAuthError("invalid_grant", "The refresh token is not valid.")
        secret = form.get("refresh_token")
        if secret is None:
            raise OAuthError("invalid_request", "refresh_token is required.")
        found = await self.grants.find("refresh", secret)
        if found is None or found["client_id"] != client.client_id:
            raise refused
        grant = await self._grant(found["grant"])
        if grant is None:
            raise refused
        scopes = narrowed(form.get("scope", ""), " ".join(grant.scopes), self.types)
        if scopes is None:
            raise OAuthError("invalid_scope", "More was asked for than was granted.")
        taken = await self.grants.take("refresh", secret)
        if taken is None or taken["used"]:
            await self.revoke_grant(grant.id)  # used twice: one of the two holders stole it
            raise refused
        return await self._tokens(client, grant, scopes or grant.scopes, TOKEN)

    async def _of_client(self, client: Registration, form: Mapping[str, str]) -> dict[str, Any]:
        scopes = grantable(form.get("scope", ""), client.scope, self.types, ("system",))
        if not scopes:
            raise OAuthError("invalid_scope", "None of the scopes can be given; ask for system/ scopes.")
        grant = Grant(secrets.token_urlsafe(16), client.client_id, scopes)
        await self.grants.put("grant", grant.id, grant.as_document() | {"revoked": False}, BACKEND_TOKEN)
        return await self._tokens(client, grant, scopes, BACKEND_TOKEN)

    async def _tokens(
        self, client: Registration, grant: Grant, scopes: tuple[str, ...], seconds: int
    ) -> dict[str, Any]:
        now = int(time.time())
        answer: dict[str, Any] = {
            "access_token": self.minting.access_token(grant, scopes, secrets.token_urlsafe(16), now, seconds),
            "token_type": "Bearer",
            "expires_in": seconds,
            "scope": " ".join(scopes),
            **grant.context,
        }
        if grant.patient:
            answer["need_patient_banner"] = True
        if grant.user and "openid" in grant.scopes:
            answer["id_token"] = self.minting.id_token(grant, now, seconds)
        if {"offline_access", "online_access"} & set(grant.scopes) and "refresh_token" in client.grant_types:
            answer["refresh_token"] = secrets.token_urlsafe(32)
            fields = {"grant": grant.id, "client_id": client.client_id}
            await self.grants.put("refresh", answer["refresh_token"], fields, REFRESH)
        return answer

    async def introspected(self, token: str) -> dict[str, Any]:
        """Return what is to be known of a token: https://www.rfc-editor.org/rfc/rfc7662#section-2.2."""
        claims = self._own(token)
        grant = (
            await self._grant(claims["grant"]) if claims is not None and await self.is_live(claims) else None
        )
        if claims is None or grant is None:
            return {"active": False}
        names = ("scope", "client_id", "exp", "iat", "aud", "iss", "sub", "jti")
        user = {"fhirUser": f"{self.base}/{grant.user}"} if grant.user and "openid" in grant.scopes else {}
        said = {name: claims[name] for name in names}
        return {"active": True, "token_type": "Bearer", **said, **user, **grant.context}

    async def revoke(self, token: str, client: Registration) -> None:
        """Revoke what a token of a client belongs to: the whole grant, as RFC 7009 allows."""
        claims = self._own(token)
        found = claims if claims is not None else await self.grants.find("refresh", token)
        if found is not None and found["client_id"] == client.client_id:
            await self.revoke_grant(found["grant"])

    async def revoke_grant(self, grant: str) -> None:
        """Revoke all tokens that come from one consent."""
        await self.grants.change("grant", grant, {"revoked": True})

    async def is_live(self, claims: Mapping[str, Any]) -> bool:
        """Tell whether the grant of a token and its client still stand."""
        client = await self.client(claims.get("client_id"))
        return (
            client is not None and client.enabled and await self._grant(str(claims.get("grant"))) is not None
        )

    async def describe(self, claims: Mapping[str, Any]) -> Issuer:
        """Return this server as an issuer whose one client is that of a token."""
        client = await self.client(claims.get("client_id"))
        known = {client.client_id: Client(client.kind, client.organization)} if client is not None else {}
        return Issuer(self.url, known)

    async def _grant(self, id_: str) -> Grant | None:
        found = await self.grants.find("grant", id_)
        return issuing.of_document(found) if found is not None and not found["revoked"] else None

    def _own(self, token: str) -> dict[str, Any] | None:
        """Return the claims of an access token of this server that hasn't ended."""
        acceptance = Acceptance(self.url, frozenset((self.base,)), (ALGORITHM,))
        try:
            return verified(token, self.key_set, acceptance, int(time.time()))
        except BadToken:
            return None


class OwnKeys:
    """The keys of the server in this process, as an Authenticator wants them."""

    is_usable = True

    def __init__(self, server: AuthorizationServer) -> None:
        self._server = server

    async def current(self) -> KeySet:
        """Return the keys."""
        return self._server.key_set

    async def newer(self, than: KeySet) -> KeySet:
        """Return the same keys: they don't change while the server runs."""
        return than


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
