"""A SMART app, and the person at its browser, for the tests of the development authorization server."""

from __future__ import annotations

import hashlib
import re
import secrets
import time
from base64 import urlsafe_b64encode
from html import unescape
from urllib.parse import parse_qsl, urlsplit

import httpx
from joserfc import jwt
from joserfc.jwk import ECKey, RSAKey

CALLBACK = "https://app.example.org/callback"
ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"


def challenge(verifier):
    return urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()


def answer_of(response):
    """Return what a redirect tells the app."""
    assert response.status_code == 303, response.text
    return dict(parse_qsl(urlsplit(response.headers["location"]).query))


class App:
    """A registered app; ``site`` is the origin of the server."""

    def __init__(self, site, **registration):
        self.site, self.base = site, site + "/fhir"
        document = {
            "client_name": "<b>Demo</b>",
            "redirect_uris": [CALLBACK],
            "token_endpoint_auth_method": "none",
            "grant_types": ["authorization_code", "refresh_token"],
        }
        answer = httpx.post(f"{site}/auth/register", json=document | registration)
        assert answer.status_code == 201, answer.text
        self.registered = answer.json()
        self.id = self.registered["client_id"]
        secret = self.registered.get("client_secret")
        self.auth = (self.id, secret) if secret else None
        self.verifier = secrets.token_urlsafe(48)

    def asks(self, **changes):
        """Return the answer to an authorization request."""
        made = {
            "response_type": "code",
            "client_id": self.id,
            "redirect_uri": CALLBACK,
            "scope": "openid fhirUser launch/patient patient/*.rs offline_access",
            "state": "s<&>é",
            "aud": self.base,
            "code_challenge": challenge(self.verifier),
            "code_challenge_method": "S256",
            "nonce": "n1",
        }
        query = {name: value for name, value in (made | changes).items() if value is not None}
        return httpx.get(f"{self.site}/auth/authorize", params=query)

    def agrees(self, page, **changes):
        """Return what the consent page's form answers when the person sends it."""
        text = page.text
        scopes = [unescape(s) for s in re.findall(r'name="scope" value="([^"]*)"', text)]
        form = {
            "request": re.search(r'name="request" value="([^"]*)"', text)[1],
            "persona": "Patient/a",
            "action": "allow",
            "scope": scopes,
        } | changes
        name, _, value = page.headers["set-cookie"].partition(";")[0].partition("=")
        headers = {"Cookie": f"{name}={changes.get('cookie', value)}"}
        return httpx.post(
            f"{self.site}/auth/consent",
            data={k: v for k, v in form.items() if v is not None},
            headers=headers,
        )

    def code(self, asked=None, **choice):
        return answer_of(self.agrees(self.asks(**(asked or {})), **choice))["code"]

    def exchange(self, **form):
        """Return the answer of the token endpoint."""
        made = {"grant_type": "authorization_code", "redirect_uri": CALLBACK, "code_verifier": self.verifier}
        if self.auth is None:
            made["client_id"] = self.id
        data = {name: value for name, value in (made | form).items() if value is not None}
        return httpx.post(f"{self.site}/auth/token", data=data, auth=self.auth)

    def tokens(self, asked=None, **choice):
        answer = self.exchange(code=self.code(asked, **choice))
        assert answer.status_code == 200, answer.text
        return answer.json()

    def refresh(self, token, **form):
        return self.exchange(
            grant_type="refresh_token", refresh_token=token, redirect_uri=None, code_verifier=None, **form
        )


class Backend(App):
    """A program with a key of its own."""

    def __init__(self, site, algorithm="RS384", **registration):
        self.algorithm = algorithm
        self.key = (
            RSAKey.generate_key(2048, {"kid": "b1"})
            if algorithm.startswith("RS")
            else ECKey.generate_key("P-384", {"kid": "b1"})
        )
        super().__init__(
            site,
            **(
                {
                    "redirect_uris": [],
                    "token_endpoint_auth_method": "private_key_jwt",
                    "grant_types": ["client_credentials"],
                    "jwks": {"keys": [self.key.as_dict(private=False)]},
                }
                | registration
            ),
        )

    def assertion(self, header=None, **changes):
        claims = {
            "iss": self.id, "sub": self.id, "aud": f"{self.site}/auth/token",
            "exp": int(time.time()) + 240, "jti": secrets.token_urlsafe(8),
        } | changes  # fmt: skip
        claims = {name: value for name, value in claims.items() if value is not None}
        head = {"alg": self.algorithm, "kid": "b1", "typ": "JWT"} | (header or {})
        return jwt.encode(head, claims, self.key, algorithms=[self.algorithm])

    def asks_token(self, assertion=None, **form):
        made = {
            "grant_type": "client_credentials",
            "scope": "system/*.rs",
            "client_assertion_type": ASSERTION,
            "client_assertion": assertion or self.assertion(),
        } | form
        return httpx.post(f"{self.site}/auth/token", data=made)
