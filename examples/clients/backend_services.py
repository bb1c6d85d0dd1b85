"""A backend service (SMART Backend Services): registers, proves itself with its key, and reads with the token it gets.

    python backend_services.py http://localhost:8080/fhir [Patient]

The server needs the development authorization server (FHIR_AUTH_DEV_SERVER=true). With another one leave out
``registered``: you get a client_id from its operator, who gets your public key.
"""

from __future__ import annotations

import json
import secrets
import sys
import time
from urllib.parse import urlencode
from urllib.request import Request, urlopen

from joserfc import jwt
from joserfc.jwk import ECKey

ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"


def call(url: str, body: bytes | None = None, **headers: str) -> dict:
    """Return the JSON at a URL."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    with urlopen(Request(url, body, named), timeout=30) as answer:
        return json.load(answer)


def registered(address: str, key: ECKey) -> str:
    """Return the client_id of a new client with this key."""
    client = {
        "client_name": "Example of a backend service",
        "grant_types": ["client_credentials"],
        "token_endpoint_auth_method": "private_key_jwt",
        "jwks": {"keys": [key.as_dict(private=False)]},
        "scope": "system/*.rs",
    }
    return call(address, json.dumps(client).encode(), Content_Type="application/json")["client_id"]


def access_token(endpoint: str, client_id: str, key: ECKey, scope: str) -> str:
    """Return an access token; ask for a new one when it ends, after five minutes."""
    claims = {
        "iss": client_id,
        "sub": client_id,
        "aud": endpoint,
        "exp": int(time.time()) + 240,
        "jti": secrets.token_urlsafe(16),
    }
    form = {
        "grant_type": "client_credentials",
        "scope": scope,
        "client_assertion_type": ASSERTION,
        "client_assertion": jwt.encode({"alg": "ES384", "kid": key.kid}, claims, key, algorithms=["ES384"]),
    }
    answer = call(endpoint, urlencode(form).encode(), Content_Type="application/x-www-form-urlencoded")
    return answer["access_token"]


def main(base: str, type_: str = "Patient") -> None:
    """Search a type as a backend service."""
    key = ECKey.generate_key("P-384")
    key.ensure_kid()
    smart = call(f"{base}/.well-known/smart-configuration")
    client_id = registered(smart["registration_endpoint"], key)
    token = access_token(smart["token_endpoint"], client_id, key, f"system/{type_}.rs")
    found = call(f"{base}/{type_}?_count=5", Authorization=f"Bearer {token}")
    print(f"{client_id} reads {len(found.get('entry', []))} of {type_}")


if __name__ == "__main__":
    main(*sys.argv[1:])
