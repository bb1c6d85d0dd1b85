"""FhirRequest and FhirResponse, what the HTTP edge and the interactions hand to each other; Server, the parts.

https://hl7.org/fhir/R4/http.html
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from fhir_server.access import AccessContext
from fhir_server.access.matrix import DEFAULT, Matrix
from fhir_server.datatypes.xml_format import XmlFormat
from fhir_server.definitions import Definitions
from fhir_server.interactions.sandbox import Sandbox
from fhir_server.interactions.steps.links import Links
from fhir_server.outcome import Issue
from fhir_server.search import Cursors, Indexer, Registry
from fhir_server.store import Store
from fhir_server.store.auditing import AuditLog
from fhir_server.store.content import Content, Extent
from fhir_server.store.documents import Change, Stored
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
    ``body`` is JSON; ``sent`` is the text as the client wrote it, in whatever format; of an entry of a batch it is
    empty, and ``locate`` finds the places of issues in that of the Bundle;
    ``faults`` is what could not be read of it: only operations that judge a resource go on with those. ``incoming`` is
    a body that is still on its way, in place of ``body``: the content of a Binary, or a stream of lines. ``large`` are
    the contents whose tokens stand in the body. ``client`` is the network address that it came from, ``id`` what the
    logs call it.
    """

    method: str
    path: tuple[str, ...]
    query: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    base: str = ""
    access: AccessContext = field(kw_only=True)
    sent: bytes = b""
    faults: tuple[Issue, ...] = ()
    locate: Callable[[Sequence[Issue]], tuple[Issue, ...]] | None = None
    incoming: AsyncIterator[bytes] | None = None
    large: tuple[Content, ...] = ()
    client: str = ""
    id: str = ""


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
    ``interaction`` is the R4 code of what was done, for logs and metrics ("" when no interaction matched).
    ``content_type`` is that of a body that isn't in one of FHIR's formats (a Binary's own content, a JSON Schema): it
    goes out as it is. ``large`` are the contents whose tokens stand in the body, to be replaced while it is sent;
    ``extent`` is what is sent of a content in place of a body. ``shown`` are the versions that the answer tells of.
    """

    status: int
    headers: Sequence[tuple[str, str]] = ()
    body: Sequence[bytes] = ()
    interaction: str = ""
    type: str = ""
    content_type: str = ""
    large: tuple[Content, ...] = ()
    extent: Extent | None = None
    shown: Sequence[Stored | Change] = ()


@dataclass(frozen=True, slots=True)
class Policy:
    """The settings that interactions obey, as ``app`` read them; ``security`` is CapabilityStatement.rest.security."""

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
    expunge: Literal["off", "on", "everything"] = "off"
    audit: bool = False
    sandbox: bool = False
    ingest_lines: int = 10_000
    measures_per_day: int = 20_000
    contacts_max: int = 5
    enforce_spaces: bool = False
    consents_verified: bool = False
    masked_in_emergency: bool = False
    professions: Matrix = DEFAULT
    refuse_test_identities: bool = False
    space_cohort: str = "born-from:2022-01-01"
    space_opening_days: int = 42
    space_erasure_years: int = 10
    security: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Server:
    """The read-only bundle of parts that ``app`` builds and every handler gets; ``audit`` is None when it is off.

    So is ``sandbox`` where the server is none.
    """

    store: Store
    definitions: Definitions
    xml: XmlFormat
    validator: Validator
    code_sets: CodeSets
    registry: Registry
    indexer: Indexer
    cursors: Cursors
    clock: Clock
    new_id: NewId
    policy: Policy
    links: Links
    capabilities: Callable[[], bytes]
    operations: Mapping[str, Operation] = field(default_factory=dict)
    audit: AuditLog | None = None
    sandbox: Sandbox | None = None


Handler = Callable[[Server, FhirRequest, Target], Awaitable[FhirResponse]]
"""Answers one kind of request."""


@dataclass(frozen=True, slots=True)
class Operation:
    """One $operation, as ``operations.catalogue`` lists it and the router finds it.

    ``name`` begins with ``$``; ``definition`` is the canonical URL of its OperationDefinition; ``levels`` are those
    out of system, type and instance at which it can be called; ``methods`` the HTTP methods; ``types`` the resource
    types that have it, empty for all; ``judges_faults`` tells that it makes something of ``FhirRequest.faults``;
    ``versions`` that it can be called on one version of a resource (its level is instance); ``access`` who may call it;
    ``streams`` that its body is read while it works, as ``FhirRequest.incoming``.
    """

    name: str
    definition: str
    levels: frozenset[str]
    methods: frozenset[str]
    handler: Handler
    types: frozenset[str] = frozenset()
    access: str = field(kw_only=True)
    judges_faults: bool = False
    versions: bool = False
    streams: bool = False
