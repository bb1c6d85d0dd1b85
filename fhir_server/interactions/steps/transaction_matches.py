"""What the writing entries of a transaction find: matches of criteria, current versions, preconditions.

https://hl7.org/fhir/R4/http.html#trules
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from typing import Any

from fhir_server.interactions.exchange import FhirRequest, Server
from fhir_server.interactions.steps.bundle_entries import Problems
from fhir_server.interactions.steps.criteria import matches, settled, too_many
from fhir_server.interactions.steps.preconditions import check_preconditions, refuse_unknown_id
from fhir_server.interactions.steps.prepare import require_form_of_id
from fhir_server.interactions.steps.transaction_writes import Write
from fhir_server.outcome import FhirError, error
from fhir_server.store.documents import Stored

#: So many searches and reads of one transaction are under way at the same time.
AT_ONCE = 64


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
        server.store.read(
            write.type,
            write.id or write.given_id or "",
            request.access,
            "d" if write.method == "DELETE" else "u",
        )
        for write in named
    )
    current = {write.entry.number: stored for write, stored in zip(named, read, strict=True)}
    for write in writes:
        try:
            _settle(server, request, write, current.get(write.entry.number))
        except FhirError as problem:
            problems.add(write.entry.name, problem)


def _settle(server: Server, request: FhirRequest, write: Write, current: Stored | None) -> None:
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
            refuse_unknown_id(server, request, write.type)
    else:
        check_preconditions(headers, found)
        current = _by_criteria(server, request, write, found, current)
        write.id = current.id if current is not None else write.given_id or ""
    write.targets = (current,) if current is not None else ()
    write.is_new = current is None or current.is_deleted


def _to_patch(write: Write, current: Stored | None) -> Stored:
    if current is None:
        raise error("not-found", f"There is no {write.type} to patch with this id or these criteria.")
    if current.is_deleted:
        raise error("deleted", f"The {write.type} that is to be patched was deleted.")
    return current


def _by_criteria(
    server: Server, request: FhirRequest, write: Write, found: Stored | None, named: Stored | None
) -> Stored | None:
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
        refuse_unknown_id(server, request, write.type)
    return named
