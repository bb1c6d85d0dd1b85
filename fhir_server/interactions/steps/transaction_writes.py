"""The writing entries of a transaction: what each changes, whether it may, and what it becomes.

https://hl7.org/fhir/R4/http.html#trules
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from fhir_server.datatypes.json_format import encode
from fhir_server.datatypes.references import parse
from fhir_server.interactions.exchange import FhirRequest, Server
from fhir_server.interactions.patching import Patch, patch_of_entry, patched
from fhir_server.interactions.steps.assess import assess
from fhir_server.interactions.steps.bundle_entries import Entry, Problems, as_request
from fhir_server.interactions.steps.criteria import (
    Criteria,
    if_none_exist,
    matches,
    read_criteria,
    settled,
    too_many,
)
from fhir_server.interactions.steps.full_urls import FullUrls, Place
from fhir_server.interactions.steps.preconditions import (
    check_preconditions,
    refuse_criteria_in_address,
    refuse_unknown_id,
)
from fhir_server.interactions.steps.prepare import of_type, require_form_of_id, require_id, stamped
from fhir_server.outcome import FhirError, Issue, error
from fhir_server.search import IndexEntries
from fhir_server.store.documents import Change, Method, Stored

#: So many searches and reads of one transaction are under way at the same time.
AT_ONCE = 64


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
                self.change = Change(Method.DELETE, self.type, target.id, target.version, at, replaces=target)
                yield self.change
            return
        assert self.resource is not None
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
            references=self.kept,
        )
        yield self.change


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


async def find_matches(
    server: Server, request: FhirRequest, writes: Sequence[Write], problems: Problems
) -> None:
    """Find what the criteria of conditional entries match; resources that the transaction deletes don't count.

    One match at most, but for deletions where the settings allow more.
    """
    conditional = [write for write in writes if write.criteria is not None]
    for write, found in zip(
        conditional, await _at_once(_search(server, write) for write in conditional), strict=True
    ):
        if isinstance(found, FhirError):
            problems.add(write.entry.name, found)
        else:
            write.found = found
    gone = {(w.type, w.id) for w in writes if w.method == "DELETE" and w.id}
    gone |= {(w.type, stored.id) for w in conditional if w.method == "DELETE" for stored in w.found}
    for write in conditional:
        if write.method == "DELETE":
            continue
        write.found = tuple(stored for stored in write.found if (stored.type, stored.id) not in gone)
        if len(write.found) > 1:
            assert write.criteria is not None
            problems.add(write.entry.name, await too_many(server, request, write.criteria, write.found))


async def _search(server: Server, write: Write) -> tuple[Stored, ...]:
    assert write.criteria is not None
    write.criteria = await settled(server, write.request, write.criteria)
    if write.method != "DELETE":
        return await matches(server, write.request, write.criteria, server.policy.max_bundle_entries)
    most = server.policy.max_conditional_deletes
    found = await matches(server, write.request, write.criteria, most + 1)
    if len(found) > most:
        raise await too_many(server, write.request, write.criteria, found)
    return found


async def _at_once(calls: Iterable[Any]) -> list[Any]:
    """Return the results in order, FhirErrors among them; a bounded number of calls is under way at a time."""
    waiting = list(calls)
    results: list[Any] = []
    for start in range(0, len(waiting), AT_ONCE):
        results += await asyncio.gather(*waiting[start : start + AT_ONCE], return_exceptions=True)
    for result in results:
        if isinstance(result, BaseException) and not isinstance(result, FhirError):
            raise result
    return results


async def find_current(
    server: Server, request: FhirRequest, writes: Sequence[Write], problems: Problems
) -> None:
    """Read the versions that are replaced, and check the preconditions of each entry against them."""
    named = [
        write
        for write in writes
        if write.id or (write.method == "PUT" and not write.found and write.given_id)
    ]
    read = await _at_once(
        server.store.read(write.type, write.id or write.given_id or "", request.access) for write in named
    )
    current = {write.entry.number: stored for write, stored in zip(named, read, strict=True)}
    for write in writes:
        try:
            _settle(server, write, current.get(write.entry.number))
        except FhirError as problem:
            problems.add(write.entry.name, problem)


def _settle(server: Server, write: Write, current: Stored | None) -> None:
    headers = write.request.headers
    found = write.found[0] if write.found else None
    if write.method == "POST":
        write.matched, write.is_new = found, found is None
        return
    if write.method == "DELETE":
        living = write.found if write.criteria is not None else (current,)
        if len(living) > 1 and "if-match" in headers:
            raise error("conflict", "If-Match is about one resource, but several match.", status=412)
        check_preconditions(headers, living[0] if living else None)
        write.targets = tuple(target for target in living if target is not None and not target.is_deleted)
        return
    if write.method == "PATCH":
        write.targets = (_to_patch(write, found if write.criteria is not None else current),)
        write.id = write.targets[0].id
        check_preconditions(headers, write.targets[0])
        return
    if write.criteria is None:
        check_preconditions(headers, current)
        if current is None:
            refuse_unknown_id(server, write.type)
    else:
        check_preconditions(headers, found)
        current = _by_criteria(server, write, found, current)
        write.id = current.id if current is not None else write.given_id or ""
    write.targets = (current,) if current is not None else ()
    write.is_new = current is None or current.is_deleted


def _to_patch(write: Write, current: Stored | None) -> Stored:
    if current is None:
        raise error("not-found", f"There is no {write.type} to patch with this id or these criteria.")
    if current.is_deleted:
        raise error("deleted", f"The {write.type} that is to be patched was deleted.")
    return current


def _by_criteria(server: Server, write: Write, found: Stored | None, named: Stored | None) -> Stored | None:
    """Return the version that a conditional update replaces; ``named`` is what the body's id names."""
    expression = f"{write.type}.id"
    if found is not None:
        if write.given_id is not None and write.given_id != found.id:
            text = (
                "The criteria match a resource with another id than the body's; leave the id out of the body."
            )
            raise error("value", text, expression=expression)
        return found
    if write.given_id is None:
        return None
    require_form_of_id(write.given_id)
    if named is not None and not named.is_deleted:
        text = f"Nothing matches the criteria, but there is a {write.type} with the id that the body names."
        raise error("conflict", text, expression=expression)
    if named is None:
        refuse_unknown_id(server, write.type)
    return named


def assign_ids(server: Server, request: FhirRequest, writes: Sequence[Write]) -> None:
    """Give new resources their ids: patients first, whose bucket the ids of their resources end with."""
    new = [
        write
        for write in writes
        if write.matched is None and write.method in ("POST", "PUT") and not write.id
    ]
    for write in new:
        if write.type == "Patient":
            write.id = server.new_id(None)
    urls = FullUrls(request.base)
    for write in writes:
        place = write.place
        if write.type == "Patient" and place is not None:
            urls.add(write.entry.full_url, write.given_id, place)
    for write in new:
        if not write.id:
            write.id = server.new_id(_home(server, write, urls))


def _home(server: Server, write: Write, urls: FullUrls) -> str | None:
    """Return the id of the patient whom a resource is about, as far as its links tell before they are rewritten."""
    resolve = urls.resolver(write.entry.full_url)
    homes = set()
    for branch in server.registry.parameters(write.type).home:
        for text in _texts(write.resource, (*branch.keys, "reference")):
            target = parse(resolve(text) or text)
            if target is not None and target.kind == "relative" and target.type == "Patient":
                homes.add(target.id)
    return homes.pop() if len(homes) == 1 else None


def _texts(value: Any, keys: tuple[str, ...]) -> Iterator[str]:
    if isinstance(value, list):
        for item in value:
            yield from _texts(item, keys)
    elif not keys:
        if isinstance(value, str):
            yield value
    elif isinstance(value, dict) and keys[0] in value:
        yield from _texts(value[keys[0]], keys[1:])


def check_overlaps(writes: Sequence[Write], problems: Problems) -> None:
    """Note the entries that change the same resource, or would create one for the same criteria."""
    known: dict[tuple[str, str], int] = {}
    for write in writes:
        keys = list(write.identities())
        if write.criteria is not None and not write.found and write.method in ("POST", "PUT"):
            keys.append((write.type, f"?{write.criteria.claim}"))
        for key in keys:
            first = known.setdefault(key, write.entry.number)
            if first != write.entry.number:
                note_overlap(write, first, problems)


def note_overlap(write: Write, first: int, problems: Problems) -> None:
    """Note that two entries are about one resource."""
    text = (
        f"Entries {first} and {write.entry.number} are about the same {write.type}; "
        "a resource can appear in a transaction once."
    )
    problems.add(
        write.entry.name,
        FhirError(
            Issue("error", "duplicate", text, f"Bundle.entry[{first}]"),
            Issue("error", "duplicate", text, write.entry.name),
            status=400,
        ),
    )


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
