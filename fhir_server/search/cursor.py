"""Cursors of paging links: sealed, because they hold search values, and links end up in logs.

A cursor carries the query itself and a position, for one place (a type, a compartment) and one caller. It
proves no right: access is evaluated again on every page. The same page gets the same cursor (AES-SIV needs no nonce).
"""

from __future__ import annotations

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha512
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESSIV

from fhir_server.outcome import error
from fhir_server.search.paging import Position
from fhir_server.search.sorting import Cut

#: How long a link may be followed, in milliseconds: one day.
LIFETIME = 86_400_000


@dataclass(frozen=True, slots=True)
class Cursor:
    """What a link opens to: the pairs of the query, where its page is, and how many rows were asked for."""

    pairs: tuple[tuple[str, str], ...]
    position: Position


class Cursors:
    """Seals cursors with the first of the keys, and opens those sealed with any of them (rotation)."""

    def __init__(self, keys: Sequence[bytes], lifetime: int = LIFETIME) -> None:
        if not keys or not all(keys):
            raise ValueError("at least one key is needed, and none may be empty")
        # AES-256-SIV takes 64 bytes; any secret of the settings is stretched to that.
        self._ciphers = [AESSIV(sha512(key).digest()) for key in keys]
        self._lifetime = lifetime

    def seal(
        self, pairs: Sequence[tuple[str, str]], position: Position, *, place: str, actor: str, now: int
    ) -> str:
        """Return the cursor of a page of these pairs at this place for this caller, as text for a URL."""
        cut = position.cut
        state = [tuple(pairs), int(position.backwards), None if cut is None else [cut.values, cut.id]]
        return self.seal_state(state, place=place, actor=actor, now=now)

    def open(self, text: str, place: str, *, actor: str, now: int) -> Cursor:
        """Return what a cursor holds; raises FhirError as ``open_state`` does."""
        pairs, backwards, cut = self.open_state(text, place, actor=actor, now=now)
        at = None if cut is None else Cut(tuple(cut[0]), cut[1])
        return Cursor(tuple((name, value) for name, value in pairs), Position(at, bool(backwards)))

    def seal_state(self, state: Any, *, place: str, actor: str, now: int) -> str:
        """Return any JSON value, sealed for this place and this caller, as text for a URL."""
        text = json.dumps([now // 60_000, state], ensure_ascii=False, separators=(",", ":")).encode()
        sealed = self._ciphers[0].encrypt(text, _bound_to(place, actor))
        return urlsafe_b64encode(sealed).decode().rstrip("=")

    def open_state(self, text: str, place: str, *, actor: str, now: int) -> Any:
        """Return the value that was sealed.

        Raises FhirError 404 for a text that was not sealed here for this place and caller, 410 for an expired
        one.
        """
        issued, state = self._opened(text, place, actor)
        if now - issued * 60_000 > self._lifetime:
            raise error("not-found", "This page has expired; start again from the first page.", status=410)
        return state

    def _opened(self, text: str, place: str, actor: str) -> Any:
        try:
            sealed = urlsafe_b64decode(text + "=" * (-len(text) % 4))
        except ValueError:
            sealed = b""
        for cipher in self._ciphers if len(sealed) > 16 else ():
            try:
                return json.loads(cipher.decrypt(sealed, _bound_to(place, actor)))
            except InvalidTag:
                continue
        raise error("not-found", "There is no such page; start again from the first page.")


def _bound_to(place: str, actor: str) -> list[bytes]:
    return [b"page", place.encode(), actor.encode()]
