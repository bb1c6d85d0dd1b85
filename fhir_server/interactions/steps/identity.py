"""Logical ids that the server assigns.

A UUIDv7 (RFC 9562), so that ids grow with time and the ``_id`` index stays compact, then a hyphen and four base32
characters of the home patient's bucket, so that a later shard key can be read off the id. The bucket is a keyed hash:
outsiders can't compute it from a patient's id. See docs/decisions/0007-ids.md.
"""

from __future__ import annotations

import base64
import hmac
import os
import re
from collections.abc import Callable
from functools import lru_cache

#: Citizens whose part of an id is remembered.
_REMEMBERED = 65536
_SERVER_ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}-([a-z2-7]{4})")


def id_source(secret: bytes, clock: Callable[[], int]) -> Callable[[str | None], str]:
    """Return the function that makes ids; its argument is the home patient's id, None where there is none."""

    @lru_cache(maxsize=65536)
    def bucket(patient: str) -> str:
        own = _SERVER_ID.fullmatch(patient)
        if own:
            return own[1]
        digest = hmac.digest(secret, patient.encode(), "sha256")
        return base64.b32encode(digest[:3])[:4].decode().lower()

    def new_id(patient: str | None) -> str:
        text = uuid7(clock(), os.urandom(10))
        return f"{text}-{bucket(patient or text)}"

    return new_id


class NaturalIds:
    """Makes the ids of what has a natural key: UUIDv8 (RFC 9562, 5.8) with the bucket of the citizen.

    Their beginning is the citizen's, so that what is stored of one together lies together in the index.
    """

    def __init__(self, secret: bytes, new_id: Callable[[str | None], str]) -> None:
        self._secret = secret
        self._new_id = new_id
        self._citizens: dict[str, tuple[int, str]] = {}

    def of(self, patient: str, key: bytes) -> str:
        """Return the id of what has this key, of one citizen."""
        known = self._citizens.get(patient)
        if known is None:
            if len(self._citizens) >= _REMEMBERED:
                self._citizens.clear()
            beginning = hmac.digest(self._secret, patient.encode(), "sha256")[:6]
            known = int.from_bytes(beginning, "big") << 80, self._new_id(patient)[-5:]
            self._citizens[patient] = known
        number = known[0] | int.from_bytes(hmac.digest(self._secret, key, "sha256")[:10], "big")
        return f"{_text(number & ~(0xF << 76) | 0x8 << 76)}{known[1]}"


def uuid7(milliseconds: int, random: bytes) -> str:
    """Return the UUIDv7 text of a moment and ten random bytes (RFC 9562, 5.7)."""
    number = (milliseconds & (1 << 48) - 1) << 80 | int.from_bytes(random, "big")
    number = number & ~(0xF << 76) | 0x7 << 76
    return _text(number)


def _text(number: int) -> str:
    number = number & ~(0x3 << 62) | 0x2 << 62
    digits = f"{number:032x}"
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"
