"""FhirRequest and FhirResponse, what the HTTP edge and the interactions hand to each other; Server, the parts.

https://hl7.org/fhir/R4/http.html
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field

from fhir_server.access import OPEN, AccessContext
from fhir_server.definitions import Definitions
from fhir_server.interactions.steps.links import Links
from fhir_server.search import Cursors, Indexer, Registry
from fhir_server.store import Store
from fhir_server.terminology import CodeSets
from fhir_server.validation import Validator

Clock = Callable[[], int]
"""Returns now as milliseconds UTC."""

NewId = Callable[[str | None], str]
"""Returns a new logical id; the argument is the id of the home patient, if any."""


@dataclass(frozen=True, slots=True)
class FhirRequest:
    """One interaction request, free of transport: HTTP and batch entries make the same.

    ``path`` holds the segments behind the base, percent-decoded; ``query`` is the raw query string; ``headers`` have
    lower-case names; ``base`` is the absolute base URL that links and Location start with, without trailing slash.
    """

    method: str
    path: tuple[str, ...]
    query: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    base: str = ""
    access: AccessContext = OPEN


@dataclass(frozen=True, slots=True)
class Target:
    """What a path names: a resource type, a logical id, a version id; each "" where the path has none."""

    type: str = ""
    id: str = ""
    version: str = ""


@dataclass(frozen=True, slots=True)
class FhirResponse:
    """One interaction's answer: status, headers without content type and length, and the body in parts.

    ``body`` is a sequence of byte strings that are sent one after the other: stored bytes are spliced, not decoded.
    ``content_type`` is that of a Binary's own content, which is sent as it is; "" for FHIR's formats.
    ``interaction`` is the R4 code of what was done, for logs and metrics ("" when no interaction matched).
    """

    status: int
    headers: Sequence[tuple[str, str]] = ()
    body: Sequence[bytes] = ()
    interaction: str = ""
    type: str = ""
    content_type: str = ""


@dataclass(frozen=True, slots=True)
class Policy:
    """The settings that interactions obey, as ``app`` read them."""

    update_create: bool = True
    strict_search: bool = True
    default_count: int = 50
    max_count: int = 1000
    explain: bool = False
    max_conditional_deletes: int = 1
    max_bundle_entries: int = 10_000
    max_bundle_mb: int = 64
    check_references_on_write: bool = False
    check_references_on_delete: bool = False


@dataclass(frozen=True, slots=True)
class Server:
    """The read-only bundle of parts that ``app`` builds and every handler gets."""

    store: Store
    definitions: Definitions
    validator: Validator
    code_sets: CodeSets
    registry: Registry
    indexer: Indexer
    cursors: Cursors
    clock: Clock
    new_id: NewId
    policy: Policy
    links: Links
    capabilities: Mapping[str, bytes]
    operations: Mapping[str, Operation] = field(default_factory=dict)


Handler = Callable[[Server, FhirRequest, Target], Awaitable[FhirResponse]]
"""Answers one kind of request."""


@dataclass(frozen=True, slots=True)
class Operation:
    """One $operation, as ``operations.catalogue`` lists it and the router finds it.

    ``name`` begins with ``$``; ``definition`` is the canonical URL of its OperationDefinition; ``levels`` are those
    out of system, type and instance at which it can be called; ``methods`` the HTTP methods; ``types`` the resource
    types that have it, empty for all.
    """

    name: str
    definition: str
    levels: frozenset[str]
    methods: frozenset[str]
    handler: Handler
    types: frozenset[str] = frozenset()
