"""Asking an issuer about a token: https://www.rfc-editor.org/rfc/rfc7662."""

from __future__ import annotations

from base64 import b64encode
from typing import Any
from urllib.parse import quote, urlencode

from fhir_server.access.issuer import Issuer
from fhir_server.access.tokens import SKEW, BadToken, check_dates, check_use, strings
from fhir_server.rest.fetching import NotFetched, fetched


async def introspected(token: str, issuer: Issuer, audiences: frozenset[str], now: int) -> dict[str, Any]:
    """Return the claims of a token as its issuer knows them; raise BadToken or NotFetched."""
    assert issuer.client_secret_file is not None
    try:
        secret = issuer.client_secret_file.read_text().strip()
    except OSError as problem:
        raise NotFetched(f"the secret for {issuer.issuer} can't be read: {problem}") from problem
    credentials = f"{quote(issuer.client_id, safe='')}:{quote(secret, safe='')}"
    answer = await fetched(
        issuer.introspection_endpoint,
        form=urlencode({"token": token, "token_type_hint": "access_token"}),
        headers={"Authorization": f"Basic {b64encode(credentials.encode()).decode()}"},
    )
    claims = answer.document
    if not isinstance(claims, dict):
        raise NotFetched(f"{issuer.introspection_endpoint} answered no JSON object")
    if claims.get("active") is not True:
        raise BadToken("not active")
    if claims.get("iss", issuer.issuer) != issuer.issuer:
        raise BadToken("another issuer")
    if "aud" in claims and not audiences.intersection(strings(claims["aud"])):
        raise BadToken("another audience")
    # An issuer may leave exp out: it vouches for the token now, and is asked again within a minute.
    check_dates({"exp": now + SKEW, **claims}, now, issuer.max_life_s)
    check_use(claims)
    return claims
