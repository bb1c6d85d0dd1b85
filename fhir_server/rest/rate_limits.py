"""How many requests a client may send: counted in windows of fixed length, in this process.

Rates are written as the library ``limits`` reads them (``600/minute``). It keeps its counts in a storage that looks
through all clients at each request, so the counting is done here: one dictionary a window. docs/decisions/0083-rates.md
"""

from __future__ import annotations

import time
from collections.abc import Callable

from limits import parse

from fhir_server.outcome import FhirError, error


class Throttled(FhirError):  # noqa: N818 (as the issue code is called)
    """A client sent too much; ``is_first`` tells that it is the first refusal in its window, which the audit keeps."""

    def __init__(self, problem: FhirError, *, is_first: bool) -> None:
        super().__init__(*problem.issues, status=problem.status, headers=problem.headers)
        self.is_first = is_first


class RateLimit:
    """One rate for every client; ``name`` says what is counted, ``clock`` counts seconds.

    Raises ValueError if the rate is none, such as ``600/minute``.
    """

    def __init__(self, name: str, rate: str, clock: Callable[[], float] = time.time) -> None:
        parsed = parse(rate)
        self._name, self._most, self._seconds = name, parsed.amount, parsed.get_expiry()
        self._clock = clock
        self._window = -1
        self._counts: dict[str, int] = {}

    def hit(self, client: str) -> None:
        """Count once; raise Throttled (429) when it is once too many."""
        count = self._seen(client) + 1
        self._counts[client] = count
        if count > self._most:
            raise self._throttled(is_first=count == self._most + 1)

    def check(self, client: str) -> None:
        """Raise Throttled when what was counted before is all that may be."""
        count = self._seen(client)
        if count >= self._most:
            self._counts[client] = count + 1
            raise self._throttled(is_first=count == self._most)

    def _seen(self, client: str) -> int:
        window = int(self._clock() // self._seconds)
        if window != self._window:
            self._window, self._counts = window, {}
        return self._counts.get(client, 0)

    def _throttled(self, *, is_first: bool) -> Throttled:
        wait = int((self._window + 1) * self._seconds - self._clock()) + 1
        headers = {
            "Retry-After": str(wait),
            "RateLimit-Policy": f'"{self._name}";q={self._most};w={self._seconds}',
            "RateLimit": f'"{self._name}";r=0;t={wait}',
        }
        text = f"That is more than {self._most} {self._name} in {self._seconds} s: go on after {wait} s, more slowly."
        return Throttled(error("throttled", text, status=429, headers=headers), is_first=is_first)
