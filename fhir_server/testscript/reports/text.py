"""What reports have in common: texts of servers may hold characters that XML and FHIR don't have."""

from __future__ import annotations


def clean(text: str) -> str:
    """Return a text whose control characters and non-characters are replaced by U+FFFD."""
    return "".join(c if (c >= " " and c not in "\ufffe\uffff") or c in "\t\n" else "\ufffd" for c in text)
