"""What stands before the FHIR API: who asks, how often, which pages may read, and where to sign in.

https://hl7.org/fhir/smart-app-launch/STU2.2/conformance.html
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Protocol

from fhir_server.access.caller import ANONYMOUS, Caller
from fhir_server.access.rules import Rule, rule
from fhir_server.interactions.exchange import FhirResponse
from fhir_server.outcome import FhirError
from fhir_server.rest.cors import Allows, is_preflight, permission, shared
from fhir_server.rest.rate_limits import RateLimit

#: What every client may ask for before it signs in.
_PUBLIC = (("metadata",),)
SMART_CONFIGURATION = (".well-known", "smart-configuration")
_FOR_ALL = (("access-control-allow-origin", "*"), ("cache-control", "public, max-age=300"))


class Authenticates(Protocol):
    """Anything that knows callers by their headers."""

    async def caller(self, headers: Mapping[str, str]) -> Caller:
        """Return who asks; raise FhirError 400, 401 or 503."""


class Gatekeeper:
    """``configuration`` is the SMART configuration as JSON; ``allows`` knows the origins of web pages.

    Without an authenticator nobody signs in. ``rate`` counts the requests of each client and user, ``anonymous`` those
    of each address whose tokens, if any, were refused.
    """

    def __init__(
        self,
        authenticator: Authenticates | None,
        configuration: bytes | None,
        allows: Allows,
        rate: RateLimit | None = None,
        anonymous: RateLimit | None = None,
    ) -> None:
        self._authenticator = authenticator
        self._configuration = configuration
        self._allows = allows
        self._rate, self._anonymous = rate, anonymous

    async def first(
        self, method: str, path: tuple[str, ...], headers: Mapping[str, str]
    ) -> FhirResponse | None:
        """Return the answer to what isn't for the FHIR API: preflights, and the SMART configuration."""
        if path == SMART_CONFIGURATION and self._configuration and method in ("GET", "HEAD", "OPTIONS"):
            if method == "OPTIONS":
                return FhirResponse(204, permission(_FOR_ALL[:1]))
            return FhirResponse(200, _FOR_ALL, (self._configuration,), content_type="application/json")
        if is_preflight(method, headers):
            return FhirResponse(204, permission(await shared(headers, self._allows)))
        return None

    async def caller(self, path: tuple[str, ...], headers: Mapping[str, str], address: str) -> Caller | None:
        """Return who asks: None when nobody signs in, ANONYMOUS without a token where something is public.

        Raises FhirError 400, 401 or 503, and Throttled (429) for who asks too often.
        """
        is_public = path in _PUBLIC or ("authorization" not in headers and _is_conformance(path))
        if self._authenticator is None or is_public:
            if self._anonymous is not None:
                self._anonymous.hit(address)
            return None if self._authenticator is None else ANONYMOUS
        if self._anonymous is not None:
            self._anonymous.check(address)
        try:
            caller = await self._authenticator.caller(headers)
        except FhirError:
            if self._anonymous is not None:
                self._anonymous.hit(address)
            raise
        if self._rate is not None:
            self._rate.hit(f"{caller.client}|{caller.subject}")
        return caller

    async def shared(self, response: FhirResponse, headers: Mapping[str, str]) -> FhirResponse:
        """Return the answer as a page of another origin may read it."""
        if any(name == "access-control-allow-origin" for name, _ in response.headers):
            return response
        return replace(response, headers=(*response.headers, *await shared(headers, self._allows)))


def _is_conformance(path: tuple[str, ...]) -> bool:
    """Tell whether a path begins with a type that everybody may read (nobody writes it without signing in)."""
    return bool(path) and rule(path[0]) is Rule.CONFORMANCE
