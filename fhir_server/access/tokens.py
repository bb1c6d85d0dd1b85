"""Whether an access token in the form of a JWT may be believed; pure: keys and the time are arguments.

https://www.rfc-editor.org/rfc/rfc7519 (JWT), https://www.rfc-editor.org/rfc/rfc9068 (access tokens),
https://www.rfc-editor.org/rfc/rfc8725 (best practice).
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, KeySet, RSAKey

#: Longest token that is looked at, bytes.
MAX_LENGTH = 8192
#: What an issuer may sign with. Symmetric algorithms are not among them: who can verify could sign.
ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512")
#: Seconds that another server's clock may be ahead.
SKEW = 60
_TYPES = ("jwt", "at+jwt", "application/at+jwt")
_COMPACT = re.compile(r"([\w-]+)\.([\w-]+)\.([\w-]+)", re.ASCII).fullmatch
#: Kinds of token that some issuers name in the payload, none of which is for an API.
_OTHER_USES = ("ID", "Refresh", "Offline", "Logout")
_MAX_KID = 512


class BadToken(Exception):  # noqa: N818 (named for what happened)
    """A token is not accepted. The reason is for the log; ``is_expired`` is all that its holder is told."""

    def __init__(self, reason: str, *, is_expired: bool = False) -> None:
        super().__init__(reason)
        self.is_expired = is_expired


class UnknownKey(BadToken):
    """The token names a key that is not in the set: newer keys may have it."""


@dataclass(frozen=True, slots=True)
class Acceptance:
    """What one issuer's tokens must keep: exact ``issuer``, one of the ``audiences``, ``max_life`` in seconds."""

    issuer: str
    audiences: frozenset[str]
    algorithms: tuple[str, ...] = ALGORITHMS
    max_life: int = 86_400


def is_jwt(token: str) -> bool:
    """Tell a JWT from an opaque token: three parts with two dots between them."""
    return token.count(".") == 2


def header_of(token: str) -> dict[str, Any]:
    """Return the header of a JWT; nothing is proven. Raises BadToken when it is malformed."""
    return _part(token, 1)


def claims_of(token: str) -> dict[str, Any]:
    """Return the claims of a JWT; nothing is proven. Raises BadToken when it is malformed."""
    return _part(token, 2)


def issuer_of(token: str) -> str:
    """Return the issuer that a token names, so that its keys can be had; nothing is proven yet.

    Raises BadToken when the token is malformed or names none.
    """
    issuer = claims_of(token).get("iss")
    if not isinstance(issuer, str):
        raise BadToken("no issuer")
    return issuer


def keys(document: Any) -> KeySet:
    """Return the public keys in a JWK set that can verify tokens; others in it are passed over.

    Raises BadToken when it is no JWK set. https://www.rfc-editor.org/rfc/rfc7517#section-5
    """
    if not isinstance(document, dict) or not isinstance(document.get("keys"), list):
        raise BadToken("no JWK set")
    found: list[Any] = []
    for key in document["keys"]:
        if not isinstance(key, dict) or key.get("use", "sig") != "sig" or key.get("kty") not in ("RSA", "EC"):
            continue
        try:
            made = (RSAKey if key["kty"] == "RSA" else ECKey).import_key(key)
        except (JoseError, ValueError):
            continue
        if not made.is_private:
            found.append(made)
    return KeySet(found)


def verified(token: str, known: KeySet, acceptance: Acceptance, now: int) -> dict[str, Any]:
    """Return the claims of a token whose signature, dates, issuer and audience hold; ``now`` in seconds.

    Raises UnknownKey when ``known`` lacks the key that it names, BadToken for all else.
    """
    claims = checked_signature(token, known, acceptance.algorithms, _TYPES)
    if claims.get("iss") != acceptance.issuer:
        raise BadToken("another issuer")
    check_dates(claims, now, acceptance.max_life)
    if not acceptance.audiences.intersection(strings(claims.get("aud"))):
        raise BadToken("another audience")
    check_use(claims)
    return claims


def checked_signature(
    token: str, known: KeySet, algorithms: Collection[str], types: Collection[str] | None
) -> dict[str, Any]:
    """Return the claims of a JWT with a good signature; ``types`` are the values of ``typ`` (None: any, or none)."""
    header, claims = header_of(token), claims_of(token)
    algorithm = header.get("alg")
    if algorithm not in algorithms:
        raise BadToken("an algorithm that is not accepted")
    if types is not None and str(header.get("typ")).lower() not in types:
        raise BadToken("no access token by its typ")
    # No extension is understood, so that each that must be is one too many. (RFC 7515, 4.1.11)
    if "crit" in header or "b64" in header:
        raise BadToken("a critical extension")
    key = _key(known, header.get("kid"))
    try:
        # jku, x5u, x5c and jwk in the header are never looked at: the key is one of the issuer's set.
        jws.deserialize_compact(token, key, algorithms=[str(algorithm)])
    except (JoseError, ValueError) as problem:
        raise BadToken(f"a bad signature: {problem}") from problem
    return claims


def check_dates(claims: Mapping[str, Any], now: int, max_life: int, skew: int = SKEW) -> None:
    """Raise BadToken unless ``exp`` is ahead and not too far, and ``nbf`` and ``iat`` are past."""
    expires = _moment(claims, "exp")
    if expires is None:
        raise BadToken("no exp")
    if expires <= now:
        raise BadToken("expired", is_expired=True)
    if expires > now + max_life + skew:
        raise BadToken("an exp too far ahead")
    for name in ("nbf", "iat"):
        moment = _moment(claims, name)
        if moment is not None and moment > now + SKEW:
            raise BadToken(f"{name} is in the future")


def check_use(claims: Mapping[str, Any]) -> None:
    """Raise BadToken for what isn't for a plain bearer at an API."""
    if "cnf" in claims:
        raise BadToken("bound to its sender's key, which a bearer token can't prove")
    if claims.get("typ") in _OTHER_USES or "at_hash" in claims:
        raise BadToken("no access token")


def strings(value: Any) -> tuple[str, ...]:
    """Return the texts of a claim that is one text or a list of them."""
    found: Iterable[Any] = value if isinstance(value, list) else (value,)
    return tuple(text for text in found if isinstance(text, str))


def _moment(claims: Mapping[str, Any], name: str) -> int | None:
    value = claims.get(name)
    if value is None and name not in claims:
        return None
    if type(value) is not int:
        raise BadToken(f"{name} is no whole number")
    return value


def _key(known: KeySet, kid: Any) -> Any:
    if kid is None:
        if len(known.keys) == 1:
            return known.keys[0]
        raise BadToken("no kid, and the issuer has several keys")
    if not isinstance(kid, str) or len(kid) > _MAX_KID:
        raise BadToken("no kid that a key could have")
    for key in known.keys:
        if key.kid == kid:
            return key
    raise UnknownKey("a key that the issuer doesn't publish")


def _part(token: str, number: int) -> dict[str, Any]:
    """Return one JSON object of a JWT; raise BadToken if it isn't exactly that, or says something twice."""
    match = _COMPACT(token) if len(token) <= MAX_LENGTH else None
    if match is None:
        raise BadToken("no compact JWT")
    text = match[number]
    try:
        data = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
        value = json.loads(data.decode(), object_pairs_hook=_once, parse_constant=_no_number)
    except (binascii.Error, ValueError, RecursionError) as problem:
        raise BadToken(f"malformed: {problem}") from problem
    if not isinstance(value, dict):
        raise BadToken("no JSON object")
    return value


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        raise ValueError("a name twice in one object")
    return made


def _no_number(text: str) -> NoReturn:
    raise ValueError(f"{text} is no JSON")
