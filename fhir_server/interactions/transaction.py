"""transaction: the entries of a Bundle as one atomic write.

https://hl7.org/fhir/R4/http.html#trules. The order is that of the specification: deletions, creates, updates and
patches, reads; then references by search. All issues of all entries are reported together; nothing is written unless
everything holds.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterable, Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from typing import Any

from fhir_server.interactions.batch import Dispatch
from fhir_server.interactions.exchange import FhirRequest, FhirResponse, Server
from fhir_server.interactions.steps.bundle_entries import SLICE, Problems, read_entry
from fhir_server.interactions.steps.bundle_response import Answer, response_bundle, response_entry
from fhir_server.interactions.steps.conditional_references import resolve_conditional_references
from fhir_server.interactions.steps.full_urls import FullUrls
from fhir_server.interactions.steps.provenance import provenance
from fhir_server.interactions.steps.read_entries import ReadEntries
from fhir_server.interactions.steps.representation import written
from fhir_server.interactions.steps.transaction_identities import assign_ids, check_overlaps
from fhir_server.interactions.steps.transaction_integrity import check_integrity, keep_references
from fhir_server.interactions.steps.transaction_matches import find_current, find_matches
from fhir_server.interactions.steps.transaction_rules import follow_rules
from fhir_server.interactions.steps.transaction_writes import Write, apply_patch, judge, read_write
from fhir_server.outcome import FhirError, error
from fhir_server.space.life import Space
from fhir_server.store.documents import Change, ClaimTaken, NameTaken, VersionConflict

#: How often a transaction without If-Match starts again when others wrote in between.
ATTEMPTS = 10
#: The ids of larger transactions are not locked against other requests of this process: the database decides.
_MOST_LOCKS = 200
#: Entries are read in slices of this size; then other requests have their turn.
_HUNDREDS = 200


class Outrun(Exception):  # noqa: N818 (the name says what happened)
    """Somebody else wrote in between: the transaction can be tried again from the start."""


async def transaction(
    server: Server, request: FhirRequest, bundle: dict[str, Any], dispatch: Dispatch
) -> FhirResponse:
    """Return 200 with a transaction-response when all changes are durable.

    Raises FhirError with the issues of all entries; Outrun when others were faster. The resources in ``bundle`` are
    changed in place.
    """
    problems = Problems()
    writes: list[Write] = []
    entries = []
    for number, received in enumerate(bundle.get("entry", ())):
        if number % _HUNDREDS == _HUNDREDS - 1:
            await asyncio.sleep(0)
        try:
            entry = read_entry(number, received, request.base)
            entries.append(entry)
            if entry.writes:
                writes.append(read_write(server, entry, request))
        except FhirError as problem:
            problems.add(f"Bundle.entry[{number}]", problem)
    problems.raise_any()
    reads = ReadEntries(server, request, [entry for entry in entries if not entry.writes], dispatch)

    await find_matches(server, request, writes, problems)
    problems.raise_any()
    async with AsyncExitStack() as locks:
        await _lock(server, writes, locks)
        await find_current(server, request, writes, problems)
        assign_ids(server, request, writes)
        check_overlaps(writes, problems)
        urls = FullUrls(request.base)
        for write in writes:
            place = write.place
            if place is not None:
                urls.add(write.entry.full_url, write.given_id, place)
        waiting = await _link_and_judge(server, request, writes, urls, problems)
        await resolve_conditional_references(server, request, waiting, writes, problems)
        await check_integrity(server, request, writes, problems)
        await reads.check(writes, problems)
        problems.raise_any()
        keep_references(server, request, writes)
        now = server.clock()
        changes: list[Change] = []
        for number, write in enumerate(writes):
            changes += write.changes(now)
            if number % SLICE == SLICE - 1:
                await asyncio.sleep(0)
        spaces = await follow_rules(server, request, writes, changes, problems)
        problems.raise_any()
        told = await provenance(server, request, changes)
        await _commit(server, changes if told is None else [*changes, told], spaces)
    answers = await reads.answers()
    answers |= {write.entry.number: _answer(write) for write in writes}
    return response_bundle("transaction", [answers[number] for number in sorted(answers)])


async def _lock(server: Server, writes: Iterable[Write], locks: AsyncExitStack) -> None:
    """Hold the locks of claims and of known ids, in one order for all, so that nobody waits in a circle."""
    keys = {key for write in writes for key in write.lock_keys()}
    if len(keys) <= _MOST_LOCKS:
        for type_, id_ in sorted(keys):
            await locks.enter_async_context(server.store.lock(type_, id_))


async def _link_and_judge(
    server: Server, request: FhirRequest, writes: Sequence[Write], urls: FullUrls, problems: Problems
) -> list[Write]:
    """Rewrite links and judge the resources; return the writes that wait for references by search."""
    waiting: list[Write] = []
    for number, write in enumerate(writes):
        await apply_patch(server, write, problems)
        if write.resource is not None:
            write.references = server.links.rewrite(write.resource, urls.resolver(write.entry.full_url))
            if write.conditional_references(request.base):
                waiting.append(write)
            else:
                judge(server, request, write, problems)
        if number % SLICE == SLICE - 1:
            await asyncio.sleep(0)
    return waiting


async def _commit(server: Server, changes: list[Change], spaces: list[Space]) -> None:
    if not changes:
        return
    try:
        await server.store.commit_many(changes, spaces)
    except NameTaken:
        text = "A national identity, statement number or active wish in this Bundle is another resource's already."
        raise error("duplicate", text) from None
    except (VersionConflict, ClaimTaken):
        await asyncio.sleep(random.uniform(0.002, 0.02))  # noqa: S311 (jitter is no secret)
        raise Outrun from None


def _answer(write: Write) -> Answer:
    entry = write.entry
    if write.matched is not None:
        response = written(write.request, write.matched, is_new=False)
        return replace(response_entry(entry, response, write.matched.last_updated), found=(write.matched,))
    change = write.change
    if change is None or write.resource is None:
        etag = (("ETag", f'W/"{change.version}"'),) if change is not None and len(write.targets) == 1 else ()
        return response_entry(entry, FhirResponse(204, etag))
    response = written(write.request, change, write.warnings, is_new=write.is_new)
    return response_entry(entry, response, change.last_updated)
