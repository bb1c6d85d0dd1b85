"""From the Authorization header to a Caller: which issuer vouches for the token, with which keys, and what it says.

https://www.rfc-editor.org/rfc/rfc6750, https://hl7.org/fhir/smart-app-launch/STU2.2/
"""

from __future__ import annotations

import hashlib
import logging
import re
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from joserfc.jwk import KeySet

from fhir_server.access.caller import Caller
from fhir_server.access.identity import caller
from fhir_server.access.issuer import Issuer
from fhir_server.access.tokens import (
    MAX_LENGTH,
    Acceptance,
    BadToken,
    UnknownKey,
    is_jwt,
    issuer_of,
    verified,
)
from fhir_server.outcome import FhirError, error
from fhir_server.rest.fetching import NotFetched
from fhir_server.rest.introspection import introspected
from fhir_server.rest.issuer_keys import IssuerKeys

_LOG = logging.getLogger("fhir_server")
#: An answer about a token is believed for so long, seconds, and never beyond the token's end.
KEPT = 60
_MAX_KEPT = 10_000
_TOKEN = re.compile(r"[A-Za-z0-9\-._~+/]+=*").fullmatch
_OPAQUE_TAIL = 32


class Keys(Protocol):
    """Where an issuer's keys come from; both methods raise NotFetched when there are none."""

    @property
    def is_usable(self) -> bool:
        """Tell whether there are keys now."""

    async def current(self) -> KeySet:
        """Return the keys."""

    async def newer(self, than: KeySet) -> KeySet:
        """Return the keys after one of a token was not among ``than``."""


@dataclass(frozen=True, slots=True)
class Trusted:
    """An issuer and its keys; ``client`` and ``is_live`` are those of a server that runs in this process."""

    issuer: Issuer
    keys: Keys
    is_live: Callable[[Mapping[str, Any]], Awaitable[bool]] | None = None
    described: Callable[[Mapping[str, Any]], Awaitable[Issuer]] | None = None


class Authenticator:
    """Turns the headers of a request into its Caller; ``clock`` counts seconds since 1970.

    Raises ValueError when two issuers have one name, or more than one is to be asked about opaque tokens.
    """

    def __init__(
        self,
        trusted: Sequence[Trusted],
        base: str,
        types: Collection[str],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._trusted = {each.issuer.issuer: each for each in trusted}
        asked = [each for each in trusted if each.issuer.introspect != "never"]
        if len(self._trusted) != len(trusted) or len(asked) > 1:
            raise ValueError("issuers must have different names, and one at most be asked about tokens")
        self._asked = asked[0] if asked else None
        self._base, self._types, self._clock = base, types, clock
        self._kept: OrderedDict[bytes, tuple[Caller, float, Trusted, Mapping[str, Any]]] = OrderedDict()

    async def caller(self, headers: Mapping[str, str]) -> Caller:
        """Return who asks; ``headers`` have lower-case names, repeated ones are joined with a comma.

        Raises FhirError 401 (no token, or a bad one), 400 (several) and 503 (its issuer can't be asked).
        """
        token = _bearer(headers.get("authorization"))
        try:
            return await self._known(token)
        except BadToken as problem:
            _LOG.info("token refused: %s", problem)
            raise _refused(problem) from problem
        except NotFetched as problem:
            _LOG.warning("a token could not be judged: %s", problem)
            raise error(
                "transient",
                "The authorization server can't be asked about your token at the moment; try again soon.",
                headers={"Retry-After": "10"},
            ) from problem

    def health(self) -> dict[str, str]:
        """Return of each issuer whether its tokens can be judged now."""
        return {
            name: "ready" if each.keys.is_usable else "keys unreachable"
            for name, each in self._trusted.items()
        }

    async def prepare(self) -> None:
        """Get the keys of all issuers; those that can't be had now are asked for again when a token needs them."""
        for each in self._trusted.values():
            try:
                await each.keys.current()
            except NotFetched as problem:
                _LOG.warning("issuer %s: %s", each.issuer.issuer, problem)

    async def _known(self, token: str) -> Caller:
        if len(token) > MAX_LENGTH:
            raise BadToken("too long")
        digest, now = hashlib.sha256(token.encode()).digest(), self._clock()
        kept = self._kept.get(digest)
        if kept is None or kept[1] <= now:
            trusted, said, id_ = await self._judged(token, int(now))
            issuer = trusted.issuer if trusted.described is None else await trusted.described(said)
            found = caller(said, issuer, self._base, self._types, id_)
            kept = (found, min(now + KEPT, said.get("exp", now + KEPT)), trusted, said)
            self._keep(digest, kept)
        found, _, trusted, claims = kept
        if trusted.is_live is not None and not await trusted.is_live(claims):
            self._kept.pop(digest, None)
            raise BadToken("revoked")
        return found

    def _keep(self, digest: bytes, entry: tuple[Caller, float, Trusted, Mapping[str, Any]]) -> None:
        self._kept[digest] = entry
        self._kept.move_to_end(digest)
        if len(self._kept) > _MAX_KEPT:
            self._kept.popitem(last=False)

    async def _judged(self, token: str, now: int) -> tuple[Trusted, dict[str, Any], str]:
        """Return the issuer that vouches for a token, its claims, and what the audit keeps of it."""
        if not is_jwt(token):
            if self._asked is None:
                raise BadToken("no JWT")
            return self._asked, await self._answer(self._asked, token, now), token[-_OPAQUE_TAIL:]
        trusted = self._trusted.get(issuer_of(token))
        if trusted is None:
            raise BadToken("an unknown issuer")
        claims = await self._verified(trusted, token, now)
        if trusted.issuer.introspect == "always":
            claims |= await self._answer(trusted, token, now)
        id_ = claims.get("jti")
        return trusted, claims, f"urn:ietf:params:oauth:jti:{id_}" if id_ else token[-_OPAQUE_TAIL:]

    async def _verified(self, trusted: Trusted, token: str, now: int) -> dict[str, Any]:
        issuer = trusted.issuer
        acceptance = Acceptance(
            issuer.issuer, self._audiences(issuer), tuple(issuer.algorithms), issuer.max_life_s
        )
        keys = await trusted.keys.current()
        try:
            return verified(token, keys, acceptance, now)
        except UnknownKey:
            newer = await trusted.keys.newer(keys)
            if newer is keys:
                raise
            return verified(token, newer, acceptance, now)

    async def _answer(self, trusted: Trusted, token: str, now: int) -> dict[str, Any]:
        return await introspected(token, trusted.issuer, self._audiences(trusted.issuer), now)

    def _audiences(self, issuer: Issuer) -> frozenset[str]:
        return frozenset(issuer.audiences or (self._base, self._base + "/"))


def trusted(issuers: Sequence[Issuer]) -> list[Trusted]:
    """Return the issuers of the settings, with their keys; raise ValueError if a file of keys can't be used."""
    try:
        return [Trusted(issuer, IssuerKeys(issuer)) for issuer in issuers]
    except BadToken as problem:
        raise ValueError(str(problem)) from problem


def _bearer(header: str | None) -> str:
    """Return the one bearer token of a request: https://www.rfc-editor.org/rfc/rfc6750#section-2.1."""
    header = (header or "").strip()
    scheme, _, token = header.partition(" ")
    token = token.strip()
    if "," in header and "bearer" in header.lower():
        raise _several()
    if scheme.lower() != "bearer" or not token:
        raise error(
            "login",
            "Sign in: send an access token as Authorization: Bearer.",
            headers={"WWW-Authenticate": "Bearer"},
        )
    if " " in token:
        raise _several()
    if not _TOKEN(token):
        raise _refused(BadToken("characters that no token has"))
    return token


def _several() -> FhirError:
    return error(
        "value",
        "Send exactly one access token, in one Authorization header.",
        headers={"WWW-Authenticate": 'Bearer error="invalid_request"'},
    )


def _refused(problem: BadToken) -> FhirError:
    return error(
        "expired" if problem.is_expired else "login",
        "The access token is not accepted; sign in again.",
        status=401,
        headers={"WWW-Authenticate": 'Bearer error="invalid_token"'},
    )
