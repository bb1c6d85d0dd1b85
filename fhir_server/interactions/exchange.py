"""FhirRequest and FhirResponse: what the HTTP edge and the interactions hand to each other; and Server, the parts.

https://hl7.org/fhir/R4/http.html
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from fhir_server.access import OPEN, AccessContext


@dataclass(frozen=True, slots=True)
class FhirRequest:
    """One interaction request, free of transport: HTTP and batch entries make the same.

    ``path`` is relative to the base, without leading slash and percent-decoded per segment; ``query`` the raw query
    string; ``headers`` have lower-case names; ``base`` is the absolute base URL that links and Location start with.
    """

    method: str
    path: tuple[str, ...]
    query: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    base: str = ""
    access: AccessContext = OPEN


@dataclass(frozen=True, slots=True)
class FhirResponse:
    """One interaction's answer: status, headers without content type and length, and the body in parts.

    ``body`` is a sequence of byte strings that are sent one after the other: stored bytes are spliced, not copied.
    """

    status: int
    headers: Sequence[tuple[str, str]] = ()
    body: Sequence[bytes] = ()


Clock = Callable[[], int]
"""Returns now as milliseconds UTC."""

NewId = Callable[[str | None], str]
"""Returns a new logical id; the argument is the id of the home patient, if any."""
