"""The keys of one issuer: downloaded when needed, kept for a while, never used beyond that.

https://openid.net/specs/openid-connect-discovery-1_0.html, https://www.rfc-editor.org/rfc/rfc7517
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Callable

from joserfc.jwk import KeySet

from fhir_server.access.issuer import Issuer
from fhir_server.access.tokens import BadToken, keys
from fhir_server.rest.fetching import Fetched, NotFetched, fetched

_LOG = logging.getLogger("fhir_server")
#: Keys are kept so long at most, and so long when the issuer doesn't say, seconds.
KEPT = 900
#: Seconds between two downloads, and after one that failed.
PAUSE, PAUSE_AFTER_FAILURE = 60, 10
_WELL_KNOWN = "/.well-known/openid-configuration"


class IssuerKeys:
    """The key set of one issuer; ``clock`` counts seconds. Raises BadToken for a file that holds no keys."""

    def __init__(self, issuer: Issuer, clock: Callable[[], float] = time.monotonic) -> None:
        self._issuer = issuer
        self._clock = clock
        self._lock = asyncio.Lock()
        self._keys: KeySet | None = None
        self._until = float("-inf")
        self._next = float("-inf")
        if issuer.jwks_file is not None:
            self._keys, self._until = _of_file(issuer), float("inf")

    @property
    def is_usable(self) -> bool:
        """Tell whether there are keys now."""
        return self._keys is not None and self._clock() < self._until

    async def current(self) -> KeySet:
        """Return the keys; raise NotFetched when there are none that still count."""
        if not self.is_usable:
            async with self._lock:
                if not self.is_usable:
                    await self._download()
        assert self._keys is not None
        return self._keys

    async def newer(self, than: KeySet) -> KeySet:
        """Return keys for a token whose key is not among ``than``: the same ones within a minute of a download."""
        async with self._lock:
            if self._keys is than and self._issuer.jwks_file is None and self._clock() >= self._next:
                await self._download()
            return self._keys or than

    async def _download(self) -> None:
        if self._clock() < self._next:
            raise NotFetched("the keys could not be had a moment ago")
        self._next = self._clock() + PAUSE_AFTER_FAILURE
        try:
            answer = await fetched(self._issuer.jwks_uri or await self._discovered())
            found = keys(answer.document)
        except BadToken as problem:
            raise NotFetched(f"no key set: {problem}") from problem
        except NotFetched as problem:
            _LOG.warning("keys of issuer %s: %s", self._issuer.issuer, problem)
            raise
        self._keys, self._next = found, self._clock() + PAUSE
        self._until = self._clock() + _kept(answer)

    async def _discovered(self) -> str:
        found = (await fetched(self._issuer.issuer.rstrip("/") + _WELL_KNOWN)).document
        if not isinstance(found, dict) or found.get("issuer") != self._issuer.issuer:
            raise NotFetched("its OpenID configuration names another issuer")
        address = found.get("jwks_uri")
        if not isinstance(address, str):
            raise NotFetched("its OpenID configuration names no jwks_uri")
        return address


def _kept(answer: Fetched) -> int:
    """Return for how long keys are kept; not for less than the pause between two downloads."""
    return KEPT if answer.max_age is None else min(max(answer.max_age, PAUSE), KEPT)


def _of_file(issuer: Issuer) -> KeySet:
    assert issuer.jwks_file is not None
    try:
        document = json.loads(issuer.jwks_file.read_bytes())
    except (OSError, ValueError) as problem:
        raise BadToken(f"the keys of {issuer.issuer} can't be read: {problem}") from problem
    found = keys(document)
    if not found.keys or len(found.keys) != len(document["keys"]):
        raise BadToken(f"{issuer.jwks_file} must hold public RSA or EC keys, and only those")
    return found
