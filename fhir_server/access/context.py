"""Who asks: every call of the store takes an AccessContext, so that there is no path to data without one."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class AccessContext:
    """The caller of an interaction and what the caller may see.

    ``filter`` is the MongoDB filter (a plain dict over the document's access keys) that every stage of every query
    carries; an empty filter sees everything. ``actor`` names the caller in logs.
    """

    actor: str
    filter: dict[str, Any] = field(default_factory=dict)


#: Open mode: no sign-in, everything visible. Served on loopback only.
OPEN = AccessContext("anonymous")
