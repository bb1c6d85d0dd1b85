"""What a sandbox has besides a server: faults on demand, a clock and ids that can be foretold, a way back.

Only where ``sandbox.on`` is set; see docs/sandbox.md.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import count
from typing import TYPE_CHECKING

from fhir_server.outcome import FhirError, error

if TYPE_CHECKING:
    from fhir_server.interactions.exchange import Server

#: Headers of one request: a fault, the time that it is, the beginning of the ids that it makes.
FAULT, CLOCK, IDS = "x-sandbox-fault", "x-sandbox-clock", "x-sandbox-ids"
#: The snapshot that is made when the server has started.
START = "start"
#: What can be made to go wrong.
FAULTS = ("409", "429", "503", "slow", "slow-page", "expired-token")
#: Most seconds that an answer is held back, or that Retry-After asks for.
MOST_SECONDS = 300
_OWN = frozenset({"$fault", "$reset", "$snapshot", "metadata"})


@dataclass(frozen=True, slots=True)
class Fault:
    """One kind of fault for the next ``times`` requests; ``method`` and ``type`` ("" any) say for which."""

    kind: str
    seconds: int = 1
    times: int = 1
    method: str = ""
    type: str = ""

    def concerns(self, method: str, path: tuple[str, ...]) -> bool:
        """Tell whether it is meant for a request."""
        if path[-1:] and path[-1] in _OWN:
            return False
        is_page = method == "GET" and len(path) in (0, 1, 3)
        is_meant = self.method in ("", method) and self.type in ("", *path[:1])
        return is_meant and (self.kind != "slow-page" or is_page)


class Sandbox:
    """The state of a sandbox.

    ``start`` (milliseconds UTC) and ``ids`` make its clock and ids ones that can be foretold.
    The clock goes on by a second with each request, and stands still within one.
    """

    def __init__(self, start: int | None = None, ids: str = "") -> None:
        self._start = start
        self._ids = ids
        self.faults: list[Fault] = []
        #: Is awaited after the data were replaced.
        self.afterwards: list[Callable[[], Awaitable[None]]] = []
        self._requests, self._made = count(), count(1)

    async def reset(self) -> None:
        """Forget faults, begin clock and ids anew, and let those know who keep what was stored."""
        self.faults.clear()
        self._requests, self._made = count(), count(1)
        for call in self.afterwards:
            await call()

    async def fail(self, method: str, path: tuple[str, ...], headers: Mapping[str, str]) -> None:
        """Raise FhirError if this request is to fail, wait if it is to be slow; 400 for a fault that isn't known."""
        fault = read_fault(headers[FAULT]) if FAULT in headers else self._next(method, path)
        if fault is None or not fault.concerns(method, path):
            return
        if fault.kind.startswith("slow"):
            await asyncio.sleep(fault.seconds)
            return
        raise refusal(fault)

    def _next(self, method: str, path: tuple[str, ...]) -> Fault | None:
        for place, fault in enumerate(self.faults):
            if fault.concerns(method, path):
                left = replace(fault, times=fault.times - 1)
                self.faults[place : place + 1] = [left] if left.times else []
                return fault
        return None

    def serving(self, server: Server, headers: Mapping[str, str]) -> Server:
        """Return the server with the clock and the ids of one request; 400 for a time that can't be read."""
        seeds, now = headers.get(IDS), self._now(headers)
        if now is not None:
            server = replace(server, clock=lambda: now)
        if seeds is not None or self._ids:
            made = count(1) if seeds is not None else self._made
            beginning = _beginning(self._ids if seeds is None else seeds)
            server = replace(server, new_id=lambda _: f"{beginning}-{next(made):06d}")
        return server

    def _now(self, headers: Mapping[str, str]) -> int | None:
        if CLOCK in headers:
            return milliseconds(headers[CLOCK])
        return None if self._start is None else self._start + 1000 * next(self._requests)


def milliseconds(text: str) -> int:
    """Return an instant as milliseconds UTC; FhirError 400 when it is none."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise error("value", f'"{text}" is no instant: write 2026-01-31T12:00:00Z.')
    return int(moment.timestamp() * 1000)


def _beginning(text: str) -> str:
    if not text or len(text) > 40 or not all(c.isascii() and (c.isalnum() or c in "-.") for c in text):
        raise error("value", f'Ids can\'t begin with "{text}": letters, digits, "-" and ".", 40 at most.')
    return text


def read_fault(text: str) -> Fault:
    """Return the fault that a header names, ``429; seconds=2``; FhirError 400 when it can't be read."""
    kind, _, rest = (part.strip() for part in text.partition(";"))
    name, _, value = rest.partition("=")
    if rest and (name.strip() != "seconds" or not value.strip().isdecimal()):
        raise error("value", f'X-Sandbox-Fault is "{text}"; write it as 429 or 429; seconds=2.')
    return checked(Fault(kind, int(value) if rest else 1))


def checked(fault: Fault) -> Fault:
    """Return a fault that can be made; FhirError 400 otherwise."""
    if fault.kind not in FAULTS:
        raise error("value", f'There is no fault "{fault.kind}"; there are {", ".join(FAULTS)}.')
    if not 0 <= fault.seconds <= MOST_SECONDS:
        raise error("value", f"A fault takes up to {MOST_SECONDS} seconds.")
    return fault


def refusal(fault: Fault) -> FhirError:
    """Return the refusal that a fault is."""
    said = "The sandbox was asked to fail here (docs/sandbox.md)."
    if fault.kind == "409":
        return error("conflict", f"{said} The resource was changed by somebody else: read it, and try again.")
    if fault.kind == "expired-token":
        challenge = 'Bearer error="invalid_token", error_description="The access token expired"'
        return error(
            "login", f"{said} The access token has expired.", headers={"WWW-Authenticate": challenge}
        )
    code = "throttled" if fault.kind == "429" else "transient"
    headers = {"Retry-After": str(fault.seconds)}
    return error(code, f"{said} Try again in {fault.seconds} s.", headers=headers)
