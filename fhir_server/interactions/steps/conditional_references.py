"""References by search in a transaction: ``Patient?identifier=...`` becomes the one resource that matches.

https://hl7.org/fhir/R4/http.html#trules. They are resolved last: what the transaction creates and changes counts, what
it deletes doesn't.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any
from urllib.parse import unquote

from fhir_server.access.context import REFER
from fhir_server.interactions.exchange import FhirRequest, Server
from fhir_server.interactions.steps.bundle_entries import SLICE, Problems
from fhir_server.interactions.steps.criteria import Criteria, matches, read_criteria, settled
from fhir_server.interactions.steps.links import place_of
from fhir_server.interactions.steps.new_resources import NewResources
from fhir_server.interactions.steps.transaction_identities import note_overlap
from fhir_server.interactions.steps.transaction_matches import AT_ONCE
from fhir_server.interactions.steps.transaction_writes import Write, judge
from fhir_server.outcome import FhirError, error


async def resolve_conditional_references(
    server: Server,
    request: FhirRequest,
    waiting: Sequence[Write],
    writes: Sequence[Write],
    problems: Problems,
) -> None:
    """Put the matches into the references by search, then judge the resources that hold them.

    No match or several are noted as 412. A resource that itself waits can be a match as soon as its own references are
    resolved.
    """
    new = NewResources(writes)
    searches = _Searches(server, request, writes, new)
    await searches.run(waiting)
    remaining = list(waiting)
    while remaining:
        blocked = []
        for number, write in enumerate(remaining):
            if searches.put_matches_into(write):
                judge(server, request, write, problems)
            else:
                blocked.append(write)
            if number % SLICE == SLICE - 1:
                await asyncio.sleep(0)
        new.renew()
        if len(blocked) == len(remaining):
            break
        remaining = blocked
    for write in remaining:
        searches.note_unresolved(write, problems)
    if not problems:
        _check_new_matches(new, writes, problems)


def referring(request: FhirRequest, text: str) -> FhirRequest:
    """Return the request that looks for the one whose identifier is told: it may find what a reference may lead to.

    Who deposits names a citizen or an institution so, without a right to read; other criteria would be a way to search.
    """
    name, _, value = text.partition("=")
    system, bar, number = unquote(value).partition("|")
    is_exact = name == "identifier" and bool(system and bar and number) and not set(value) & set("&,")
    if not is_exact or request.access.is_open:
        return request
    policy = request.access.policy
    access = replace(request.access, policy=lambda type_, _: policy(type_, REFER))
    return replace(request, access=access)


class _Searches:
    """The distinct searches that references ask for: ids found in the store, and among the new resources."""

    def __init__(
        self, server: Server, request: FhirRequest, writes: Sequence[Write], new: NewResources
    ) -> None:
        self._server = server
        self._request = request
        self._new = new
        self._changed = {identity for write in writes for identity in write.identities()}
        self._stored: dict[tuple[str, str], tuple[Criteria, tuple[str, ...]] | FhirError] = {}

    async def run(self, waiting: Iterable[Write]) -> None:
        """Search the store, once for each distinct text."""
        wanted = list(
            dict.fromkeys((type_, text) for write in waiting for _, type_, text in self._by_search(write))
        )
        for start in range(0, len(wanted), AT_ONCE):
            slice_ = wanted[start : start + AT_ONCE]
            found = await asyncio.gather(*(self._search(type_, text) for type_, text in slice_))
            self._stored.update(zip(slice_, found, strict=True))

    async def _search(self, type_: str, text: str) -> tuple[Criteria, tuple[str, ...]] | FhirError:
        try:
            if type_ not in self._server.definitions.types.resource_type_names:
                raise error("value", f"{type_} is no resource type of R4.", status=400)
            criteria = read_criteria(self._server, type_, text, self._request.base, "The reference")
            asking = referring(self._request, text)
            criteria = await settled(self._server, asking, criteria)
            most = 2 + sum(1 for changed, _ in self._changed if changed == type_)
            rows = await matches(self._server, asking, criteria, most)
        except FhirError as problem:
            return problem
        return criteria, tuple(row.id for row in rows if (type_, row.id) not in self._changed)

    def _by_search(self, write: Write) -> list[tuple[dict[str, Any], str, str]]:
        return write.conditional_references(self._request.base)

    def _find(self, type_: str, text: str) -> tuple[str, ...] | FhirError:
        found = self._stored[type_, text]
        if isinstance(found, FhirError):
            return found
        criteria, ids = found
        return (*ids, *(write.id for write in self._new.matches(type_, criteria.query.expression)))

    def put_matches_into(self, write: Write) -> bool:
        """Replace the references if each has exactly one match; else leave them all and return False."""
        replaced: list[tuple[dict[str, Any], str]] = []
        for reference, type_, text in self._by_search(write):
            found = self._find(type_, text)
            if isinstance(found, FhirError) or len(found) != 1:
                return False
            replaced.append((reference, f"{type_}/{found[0]}"))
        for reference, text in replaced:
            reference["reference"] = text
        return True

    def note_unresolved(self, write: Write, problems: Problems) -> None:
        """Note each reference of the write that has not exactly one match."""
        for reference, type_, text in self._by_search(write):
            found = self._find(type_, text)
            if isinstance(found, FhirError):
                why = found.issues[0].diagnostics
            elif len(found) == 1:
                continue
            else:
                count = "several resources match" if found else "no resource matches"
                why = f"{count}; it must pick one {type_}."
            place = place_of(write.resource, reference, write.type)
            problems.add(
                write.entry.name,
                error(
                    "multiple-matches" if not isinstance(found, FhirError) and found else "not-found",
                    f"The reference by search can't be resolved: {why}",
                    expression=f"{place}.reference",
                    status=412,
                ),
            )


def _check_new_matches(new: NewResources, writes: Sequence[Write], problems: Problems) -> None:
    """Note conditional entries whose criteria pick a resource that another entry of the transaction creates.

    Which of the two came first would depend on the order of the entries.
    """
    for write in writes:
        if write.criteria is None or write.matched is not None or write.method not in ("POST", "PUT"):
            continue
        for other in new.matches(write.type, write.criteria.query.expression):
            if other is not write and other.is_new:
                note_overlap(write, other.entry.number, problems)
                break
