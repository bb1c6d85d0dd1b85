"""The text of a reference, taken apart.

https://hl7.org/fhir/R4/references.html#literal
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_ID = r"[A-Za-z0-9\-.]{1,64}"
_LITERAL = re.compile(
    rf"(?:(?P<base>https?://[^\s?#]+)/)?(?P<type>[A-Z][A-Za-z]+)/(?P<id>{_ID})"
    rf"(?:/_history/(?P<version>{_ID}))?(?:#(?P<fragment>\S+))?"
).fullmatch
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:\S+").fullmatch
_CONTAINED = re.compile(rf"#(?:{_ID})?").fullmatch
_CONDITIONAL = re.compile(r"(?P<type>[A-Z][A-Za-z]+)\?\S+").fullmatch


@dataclass(frozen=True, slots=True)
class Target:
    """Where a reference points to.

    ``kind`` is relative (``Patient/1``), absolute (a URL; type and id are set if it has the form of a RESTful
    one), urn, contained (``#id``; id is empty for ``#``, the container) or conditional (``Patient?name=x``).
    """

    kind: str
    type: str = ""
    id: str = ""
    version: str = ""
    base: str = ""


def parse(reference: str) -> Target | None:
    """Return what ``reference`` points to, or None if it has none of the forms that R4 knows.

    Whether the type exists is for the caller to ask.
    """
    found = _LITERAL(reference)
    if found is not None:
        base = found["base"] or ""
        kind = "absolute" if base else "relative"
        return Target(kind, found["type"], found["id"], found["version"] or "", base)
    if _CONTAINED(reference):
        return Target("contained", id=reference[1:])
    if reference.startswith("urn:"):
        return Target("urn") if _SCHEME(reference) else None
    if _SCHEME(reference):
        return Target("absolute")
    found = _CONDITIONAL(reference)
    return Target("conditional", found["type"]) if found is not None else None
