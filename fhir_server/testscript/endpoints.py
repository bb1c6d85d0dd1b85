"""The servers that a run talks to, and as whom: destinations and origins of TestScripts, with their credentials.

https://hl7.org/fhir/R4/testscript-definitions.html#TestScript.origin
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx

from fhir_server.datatypes.json_format import decode


class Denied(Exception):  # noqa: N818 (the name says what happened)
    """The authorization server refused the client."""


class Bearer(httpx.Auth):
    """A bearer token that is given."""

    def __init__(self, token: str) -> None:
        self._token = token

    def auth_flow(self, request: httpx.Request) -> Any:
        """Send the token, unless the script sends an Authorization of its own."""
        request.headers.setdefault("Authorization", f"Bearer {self._token}")
        yield request

    def secrets(self) -> tuple[str, ...]:
        """Return what must not be shown."""
        return (self._token,)


class ClientCredentials(httpx.Auth):
    """A token got with the OAuth 2.0 client credentials grant, renewed before it ends (RFC 6749, section 4.4)."""

    def __init__(self, token_url: str, client_id: str, secret: str, scope: str = "") -> None:
        self._token_url = token_url
        self._client = (client_id, secret)
        self._scope = scope
        self._lock = threading.Lock()
        self._token = ""
        self._ends = 0.0
        self._seen: set[str] = set()

    def token(self) -> str:
        """Return a token that is valid for half a minute at least; raises Denied, or httpx.HTTPError."""
        with self._lock:
            if time.monotonic() > self._ends - 30:
                self._renew()
            return self._token

    def _renew(self) -> None:
        form = {"grant_type": "client_credentials", **({"scope": self._scope} if self._scope else {})}
        answer = httpx.post(self._token_url, data=form, auth=self._client, timeout=30)
        try:
            content = answer.json()
            self._token = str(content["access_token"])
            lifetime = float(content.get("expires_in", 300))
        except (ValueError, KeyError, TypeError):
            said = f"{self._token_url} gave no token: status {answer.status_code}."
            raise Denied(said) from None
        self._seen.add(self._token)
        self._ends = time.monotonic() + max(lifetime, 31)

    def auth_flow(self, request: httpx.Request) -> Any:
        """Send the token, unless the script sends an Authorization of its own."""
        if "Authorization" not in request.headers:
            request.headers["Authorization"] = f"Bearer {self.token()}"
        yield request

    def secrets(self) -> tuple[str, ...]:
        """Return what must not be shown."""
        return (self._client[1], *self._seen)


Credentials = Bearer | ClientCredentials


@dataclass(frozen=True)
class Endpoints:
    """Bases by destination index and credentials by origin index; index 1 is the one that is meant without any."""

    bases: Mapping[int, str]
    credentials: Mapping[int, Credentials] = field(default_factory=dict)
    timeout_s: float = 30.0

    def base(self, index: int) -> str:
        """Return the base URL of a destination, without a slash at its end."""
        return self.bases[index].rstrip("/")

    def secrets(self) -> tuple[str, ...]:
        """Return all that must not be shown."""
        return tuple(secret for c in self.credentials.values() for secret in c.secrets() if secret)


class Transport:
    """Sends requests; safe to share between threads."""

    def __init__(self, endpoints: Endpoints) -> None:
        self.endpoints = endpoints
        self._client = httpx.Client(timeout=endpoints.timeout_s, follow_redirects=False)
        self._lock = threading.Lock()
        self._capabilities: dict[int, dict[str, Any]] = {}

    def send(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        body: bytes,
        *,
        origin: int,
        timeout_s: float,
        raw: bool = False,
    ) -> httpx.Response:
        """Return the answer; raises httpx.HTTPError when none comes, Denied when no token is given.

        ``raw`` sends the URL as it is written, without encoding.
        """
        encoded = [(name.encode(), value.encode()) for name, value in headers.items()]
        request = self._client.build_request(
            method, url, headers=encoded, content=body or None, timeout=timeout_s
        )
        if raw:
            path = url.partition("://")[2].partition("/")[2]
            request.extensions["target"] = b"/" + path.encode()
        credentials = self.endpoints.credentials.get(origin)
        # A token goes to the servers under test and to nobody else whom a script names.
        trusted = any(_is_below(url, base.rstrip("/")) for base in self.endpoints.bases.values())
        return self._client.send(request, auth=credentials if trusted else None)

    def capabilities(self, index: int) -> dict[str, Any]:
        """Return the CapabilityStatement of a destination, asked for once; raises as ``send`` does, and FhirError."""
        with self._lock:
            if index not in self._capabilities:
                answer = self.send(
                    "GET",
                    f"{self.endpoints.base(index)}/metadata",
                    {"accept": "application/fhir+json"},
                    b"",
                    origin=1,
                    timeout_s=self.endpoints.timeout_s,
                )
                self._capabilities[index] = decode(answer.content)
            return self._capabilities[index]

    def close(self) -> None:
        """Close the connections."""
        self._client.close()


def _is_below(url: str, base: str) -> bool:
    return url.startswith(base) and url[len(base) : len(base) + 1] in {"", "/", "?"}
