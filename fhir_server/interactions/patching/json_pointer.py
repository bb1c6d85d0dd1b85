"""JSON Pointer (RFC 6901): where in a document."""

from __future__ import annotations

import re
from typing import Any

from fhir_server.outcome import error

Pointer = tuple[str, ...]

_WRONG_ESCAPE = re.compile(r"~(?![01])")
_INDEX = re.compile(r"0|[1-9][0-9]{0,9}")


def parse(text: str, where: str) -> Pointer:
    """Return the reference tokens of a pointer; ``where`` begins the sentence of the FhirError 400."""
    if text and not text.startswith("/"):
        raise error("value", f'{where}: a JSON Pointer is empty or starts with "/".')
    if _WRONG_ESCAPE.search(text):
        raise error("value", f'{where}: in a JSON Pointer "~" is written "~0" and "/" inside a name "~1".')
    return tuple(token.replace("~1", "/").replace("~0", "~") for token in text.split("/")[1:])


def index(token: str, length: int) -> int | None:
    """Return the position that a token names in an array of this length, None when there is no such element."""
    if not _INDEX.fullmatch(token):
        return None
    position = int(token)
    return position if position < length else None


def child(holder: Any, token: str) -> tuple[bool, Any]:
    """Return whether an object or array has such a member, and its value."""
    if isinstance(holder, dict):
        return (True, holder[token]) if token in holder else (False, None)
    if isinstance(holder, list):
        position = index(token, len(holder))
        if position is not None:
            return True, holder[position]
    return False, None
