"""How a client proves itself with its key: https://www.rfc-editor.org/rfc/rfc7523.

https://hl7.org/fhir/smart-app-launch/STU2.2/client-confidential-asymmetric.html
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from joserfc.jwk import KeySet

from fhir_server.access.oauth.clients import Registration
from fhir_server.access.tokens import BadToken, check_dates, checked_signature, header_of, strings

TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
ALGORITHMS = ("RS384", "ES384")
#: Longest time that an assertion may be valid, seconds.
MAX_LIFE = 300
_SKEW = 5


def check_assertion(
    assertion: str, client: Registration, known: KeySet, audiences: Collection[str], now: int
) -> Mapping[str, Any]:
    """Return the claims of a client's assertion, whose ``jti`` is still to be seen for the first time.

    Raises UnknownKey or BadToken when it proves nothing.
    """
    if header_of(assertion).get("jku", client.jwks_uri) != client.jwks_uri:
        raise BadToken("jku is not the registered address of the keys")
    claims = checked_signature(assertion, known, ALGORITHMS, None)
    if claims.get("iss") != client.client_id or claims.get("sub") != client.client_id:
        raise BadToken("iss and sub are not the client")
    if not set(audiences).intersection(strings(claims.get("aud"))):
        raise BadToken("aud is not this endpoint")
    check_dates(claims, now, MAX_LIFE, skew=_SKEW)
    if not isinstance(claims.get("jti"), str) or not claims["jti"]:
        raise BadToken("no jti")
    return claims
