"""What tokens say: https://hl7.org/fhir/smart-app-launch/STU2.2/app-launch.html#obtain-access-token."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from joserfc import jwt
from joserfc.jwk import RSAKey

ALGORITHM = "RS256"


@dataclass(frozen=True, slots=True)
class Grant:
    """What one client may do for one user: the family of all tokens that come from one consent.

    ``user`` is ``Type/id``, "" for a client that acts for itself.
    """

    id: str
    client_id: str
    scopes: tuple[str, ...]
    user: str = ""
    patient: str = ""
    encounter: str = ""
    organization: str = ""
    profession: str = ""
    nonce: str = ""

    def as_document(self) -> dict[str, Any]:
        """Return what is stored."""
        return asdict(self)

    @property
    def context(self) -> dict[str, Any]:
        """The launch context, beside the token in the answer and in introspection."""
        found = {"patient": self.patient, "encounter": self.encounter}
        return {name: value for name, value in found.items() if value}


def of_document(document: Mapping[str, Any]) -> Grant:
    """Return what ``as_document`` made."""
    made = {name: document[name] for name in Grant.__dataclass_fields__}
    return Grant(**(made | {"scopes": tuple(made["scopes"])}))


@dataclass(frozen=True, slots=True)
class Minting:
    """An issuer that signs: its name, the FHIR server that its tokens are for, its key."""

    issuer: str
    audience: str
    key: RSAKey

    def access_token(self, grant: Grant, scopes: Sequence[str], token_id: str, now: int, seconds: int) -> str:
        """Return an access token (RFC 9068)."""
        claims = {
            "iss": self.issuer,
            "aud": self.audience,
            "sub": grant.user or grant.client_id,
            "client_id": grant.client_id,
            "scope": " ".join(scopes),
            "iat": now,
            "exp": now + seconds,
            "jti": token_id,
            "grant": grant.id,
            **({"fhirUser": grant.user} if grant.user else {}),
            **grant.context,
            **({"organization": grant.organization} if grant.organization else {}),
            **({"profession": grant.profession} if grant.profession else {}),
        }
        return self._signed(claims, "at+jwt")

    def id_token(self, grant: Grant, now: int, seconds: int) -> str:
        """Return an id_token (OpenID Connect Core, 2) with the user's address."""
        claims = {
            "iss": self.issuer,
            "sub": grant.user,
            "aud": grant.client_id,
            "iat": now,
            "exp": now + seconds,
            **({"nonce": grant.nonce} if grant.nonce else {}),
            **(
                {"fhirUser": f"{self.audience}/{grant.user}"}
                if {"fhirUser", "profile"} & set(grant.scopes)
                else {}
            ),
        }
        return self._signed(claims, "JWT")

    def _signed(self, claims: dict[str, Any], type_: str) -> str:
        header = {"alg": ALGORITHM, "typ": type_, "kid": self.key.kid}
        return jwt.encode(header, claims, self.key, algorithms=[ALGORITHM])
