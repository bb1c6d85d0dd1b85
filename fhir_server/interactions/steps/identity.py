"""Logical ids that the server assigns.

A UUIDv7 (RFC 9562), so that ids grow with time and the ``_id`` index stays compact, then a hyphen and four base32
characters of the home patient's bucket, so that a later shard key can be read off the id. The bucket is a keyed hash:
outsiders can't compute it from a patient's id. See docs/decisions/0007-ids.md.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import re
from collections.abc import Callable
from functools import lru_cache

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


def natural_id(new: str, secret: bytes, patient: str, key: bytes) -> str:
    """Return the id of what has a natural key: a UUIDv8 (RFC 9562, 5.8) with the bucket of the id ``new``.

    Its beginning is the patient's, so that what is stored of one patient together lies together in the index.
    """
    beginning = hmac.digest(secret, patient.encode(), hashlib.sha256)[:6]
    number = int.from_bytes(beginning + hmac.digest(secret, key, hashlib.sha256)[:10], "big")
    number = number & ~(0xF << 76) | 0x8 << 76
    return f"{_text(number)}{new[-5:]}"


def uuid7(milliseconds: int, random: bytes) -> str:
    """Return the UUIDv7 text of a moment and ten random bytes (RFC 9562, 5.7)."""
    number = (milliseconds & (1 << 48) - 1) << 80 | int.from_bytes(random, "big")
    number = number & ~(0xF << 76) | 0x7 << 76
    return _text(number)


def _text(number: int) -> str:
    number = number & ~(0x3 << 62) | 0x2 << 62
    digits = f"{number:032x}"
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"
