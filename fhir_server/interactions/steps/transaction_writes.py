"""The writing entries of a transaction: what each changes, whether it may, and what it becomes.

https://hl7.org/fhir/R4/http.html#trules
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from fhir_server.datatypes.json_format import encode
from fhir_server.datatypes.references import parse
from fhir_server.interactions.exchange import FhirRequest, Server, Target
from fhir_server.interactions.patching import Patch, patch_of_entry, patched
from fhir_server.interactions.steps.assess import assess
from fhir_server.interactions.steps.bundle_entries import Entry, Problems, as_request
from fhir_server.interactions.steps.criteria import (
    Criteria,
    if_none_exist,
    read_criteria,
)
from fhir_server.interactions.steps.full_urls import Place
from fhir_server.interactions.steps.guard import check_deletion, secured
from fhir_server.interactions.steps.permit import check_interaction
from fhir_server.interactions.steps.preconditions import (
    refuse_criteria_in_address,
)
from fhir_server.interactions.steps.prepare import of_type, require_id, stamped
from fhir_server.outcome import FhirError, Issue, error
from fhir_server.search import IndexEntries
from fhir_server.store.documents import Change, Method, Stored


@dataclass(slots=True)
class Write:
    """One writing entry and what is found out about it on the way.

    ``targets`` are the current versions that it replaces or deletes; ``patch`` makes ``resource`` of the first one;
    ``matched`` is what a conditional create found, so that it writes nothing.
    """

    entry: Entry
    request: FhirRequest
    type: str
    id: str = ""
    given_id: str | None = None
    criteria: Criteria | None = None
    found: tuple[Stored, ...] = ()
    matched: Stored | None = None
    targets: tuple[Stored, ...] = ()
    is_new: bool = False
    patch: Patch | None = None
    resource: dict[str, Any] | None = None
    references: list[dict[str, Any]] = field(default_factory=list)
    warnings: tuple[Issue, ...] = ()
    entries: IndexEntries | None = None
    kept: tuple[str, ...] = ()
    change: Change | None = None

    @property
    def method(self) -> str:
        """The entry's method."""
        return self.entry.method

    @property
    def version(self) -> int:
        """The version that the write makes; 1 for a new resource."""
        return (self.targets[0].version if self.targets else 0) + 1

    @property
    def place(self) -> Place | None:
        """Where the entry's resource is afterwards; None for a deletion."""
        if self.matched is not None:
            return Place(self.type, self.matched.id, self.matched.version)
        return None if self.method == "DELETE" else Place(self.type, self.id, self.version)

    def identities(self) -> Iterator[tuple[str, str]]:
        """Yield type and id of each resource that the entry changes."""
        if self.matched is not None:
            return
        if self.method == "DELETE":
            yield from ((self.type, target.id) for target in self.targets)
        elif self.id:
            yield self.type, self.id

    def lock_keys(self) -> Iterator[tuple[str, str]]:
        """Yield the keys under which single requests write the same: ids, and claims of criteria."""
        if self.criteria is not None:
            yield self.type, f"?{self.criteria.claim}"
        elif self.id:
            yield self.type, self.id
        yield from ((self.type, found.id) for found in self.found)

    def conditional_references(self, base: str) -> list[tuple[dict[str, Any], str, str]]:
        """Return the References by search: the object, the type, and the criteria."""
        found = []
        for reference in self.references:
            text = reference["reference"]
            if "?" in text:
                target = parse(text.removeprefix(f"{base}/"))
                if target is not None and target.kind == "conditional":
                    found.append((reference, target.type, text.partition("?")[2]))
        return found

    def changes(self, now: int) -> Iterator[Change]:
        """Yield the changes to commit."""
        if self.matched is not None:
            return
        if self.method == "DELETE":
            for target in self.targets:
                at = max(now, target.last_updated + 1)
                check_deletion(self.request, target)
                self.change = Change(
                    Method.DELETE, self.type, target.id, target.version, at, replaces=target, security={}
                )
                yield self.change
            return
        assert self.resource is not None
        assert self.entries is not None
        current = self.targets[0] if self.targets else None
        at = max(now, current.last_updated + 1) if current else now
        claim = self.criteria.claim if self.criteria is not None and not self.found else None
        body = stamped(self.resource, self.type, self.id, self.version, at)
        self.change = Change(
            Method(self.method),
            self.type,
            self.id,
            self.version - 1,
            at,
            body,
            self.entries,
            claim,
            current,
            security=secured(self.request, self.resource, self.entries, current),
            references=self.kept,
        )
        yield self.change


#: What a method on a resource is.
_INTERACTIONS = {"POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}


def read_write(server: Server, entry: Entry, request: FhirRequest) -> Write:
    """Return the write of an entry; raise FhirError for addresses and bodies that don't go together."""
    single = as_request(entry, request)
    path, method = entry.path, entry.method
    type_ = path[0]
    place = f"{entry.name}.request.url"
    if any(part.startswith("$") for part in path):
        raise error("not-supported", "A transaction takes no operations; send it alone.", expression=place)
    if type_ not in server.definitions.types.resource_type_names:
        raise error("not-supported", "request.url names no resource type of R4.", expression=place)
    check_interaction(server, single, Target(type_, *path[1:2]), _INTERACTIONS[method])
    allowed = {"POST": (1,), "PUT": (1, 2), "PATCH": (1, 2), "DELETE": (1, 2)}[method]
    if len(path) not in allowed:
        raise error("not-supported", f"{method} does not go with this request.url.", expression=place)
    write = Write(entry, single, type_)
    if method == "PATCH":
        assert entry.resource is not None
        write.patch = patch_of_entry(server, entry.resource, len(encode(entry.resource)))
    elif method in ("POST", "PUT"):
        assert entry.resource is not None
        write.resource = of_type(entry.resource, type_)
        given = write.resource.get("id")
        write.given_id = given if isinstance(given, str) else None
    if method == "POST":
        refuse_criteria_in_address(entry.query)
        write.criteria = if_none_exist(server, single, type_)
    elif len(path) == 1:
        write.criteria = read_criteria(server, type_, entry.query, request.base, "request.url")
    else:
        write.id = path[1]
        if write.resource is not None:
            require_id(write.resource, write.id)
    return write


async def apply_patch(server: Server, write: Write, problems: Problems) -> None:
    """Make the resource of a PATCH entry out of the current version."""
    if write.patch is not None and write.targets:
        try:
            body = await server.store.contents.filled(write.targets[0])
            write.resource, _ = patched(server, body, write.patch)
        except FhirError as problem:
            problems.add(write.entry.name, problem)


def judge(server: Server, request: FhirRequest, write: Write, problems: Problems) -> None:
    """Validate the resource of a write, as it is after its links were rewritten, and make its index entries."""
    resource = write.resource
    if resource is None or write.matched is not None:
        return
    resource["id"] = write.id
    try:
        write.warnings = assess(server, resource)
    except FhirError as problem:
        problems.add(write.entry.name, problem)
        return
    write.entries = server.indexer.entries(resource, request.base)
