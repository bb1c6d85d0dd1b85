"""Which resources the writing entries of a transaction are about: ids of new ones, and no resource twice.

https://hl7.org/fhir/R4/http.html#trules
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from fhir_server.datatypes.references import parse
from fhir_server.interactions.exchange import FhirRequest, Server
from fhir_server.interactions.steps.bundle_entries import Problems
from fhir_server.interactions.steps.full_urls import FullUrls
from fhir_server.interactions.steps.transaction_writes import Write
from fhir_server.outcome import FhirError, Issue


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
