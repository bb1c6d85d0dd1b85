"""Prefixes of ordered values: https://hl7.org/fhir/R4/search.html#prefix."""

from __future__ import annotations

import re
from decimal import Decimal

PREFIXES = frozenset({"eq", "ne", "gt", "lt", "ge", "le", "sa", "eb", "ap"})

_NUMBER = re.compile(r"[+-]?(\d+)(?:\.(\d+))?(?:[eE]([+-]?\d{1,3}))?", re.ASCII)

Bounds = tuple[Decimal, Decimal, Decimal]


def split_prefix(text: str) -> tuple[str, str]:
    """Return the prefix (``eq`` when there is none) and the rest."""
    return (text[:2], text[2:]) if text[:2] in PREFIXES else ("eq", text)


def read_number(text: str) -> Bounds | None:
    """Return the number and the range that its written precision means: (value, low, high), high exclusive.

    The last digit written counts: ``100`` is [99.5, 100.5), ``5.40e-3`` is [0.005395, 0.005405). One digit
    with an exponent counts as two: R4 gives ``1e2`` as [95, 105). None when it is not a number.
    """
    match = _NUMBER.fullmatch(text)
    if match is None or len(text) > 60:
        return None
    value = Decimal(text)
    last_digit = int(match[3] or 0) - len(match[2] or "")
    if match[3] and len(match[1] + (match[2] or "")) == 1:
        last_digit -= 1
    half = Decimal((0, (5,), last_digit - 1))
    return value, value - half, value + half
