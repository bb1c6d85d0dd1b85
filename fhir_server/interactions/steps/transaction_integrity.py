"""Referential integrity of a transaction, as a whole: what it creates may be referred to, what it deletes may not.

See ``integrity`` for single requests.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from fhir_server.interactions.exchange import FhirRequest, Server
from fhir_server.interactions.steps.attachments import BINARY, DOCUMENT, check_attachments
from fhir_server.interactions.steps.bundle_entries import Problems
from fhir_server.interactions.steps.integrity import dangling, missing_of, referred_to, targets
from fhir_server.interactions.steps.transaction_writes import Write
from fhir_server.outcome import FhirError


async def check_integrity(
    server: Server, request: FhirRequest, writes: Sequence[Write], problems: Problems
) -> None:
    """Note what a transaction would break: references to nothing, and deletions of what is referred to.

    Documents that are not what their references say are noted, too.
    """
    await _check_documents(server, request, writes, problems)
    policy = server.policy
    if policy.check_references_on_write:
        wanted = {write.entry.number: targets(write.references, request.base) for write in writes}
        gone = {f"{type_}/{id_}" for w in writes if w.method == "DELETE" for type_, id_ in w.identities()}
        here = {f"{type_}/{id_}" for w in writes if w.method != "DELETE" for type_, id_ in w.identities()}
        names = {name for by_name in wanted.values() for name in by_name} - here
        missing = gone | await missing_of(server, request, names - gone)
        for write in writes:
            if write.resource is None or write.matched is not None:
                continue
            by_name = wanted[write.entry.number]
            issues = [
                i for name in by_name if name in missing for i in dangling(write.resource, by_name[name])
            ]
            if issues:
                problems.add(write.entry.name, FhirError(*issues))
    if policy.check_references_on_delete:
        changed = {f"{type_}/{id_}" for write in writes for type_, id_ in write.identities()}
        for write in writes:
            if write.method == "DELETE" and write.targets:
                names = {f"{stored.type}/{stored.id}" for stored in write.targets}
                referrers = await server.store.referrers(names, changed, request.access)
                if referrers:
                    problems.add(write.entry.name, referred_to(referrers))


async def _check_documents(
    server: Server, request: FhirRequest, writes: Sequence[Write], problems: Problems
) -> None:
    documents = [w for w in writes if w.type == DOCUMENT and w.resource is not None and w.matched is None]
    if not documents:
        return
    made = {
        f"{BINARY}/{w.id}": (w.resource, tuple(content for target in w.targets for content in target.large))
        for w in writes
        if w.type == BINARY and w.resource is not None and w.matched is None
    }
    for write in documents:
        assert write.resource is not None
        try:
            await check_attachments(server, request, write.resource, made)
        except FhirError as problem:
            problems.add(write.entry.name, problem)


def keep_references(server: Server, request: FhirRequest, writes: Iterable[Write]) -> None:
    """Note in each write what its document remembers of its references."""
    if server.policy.check_references_on_delete:
        for write in writes:
            write.kept = tuple(targets(write.references, request.base))
