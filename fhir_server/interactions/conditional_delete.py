"""conditional delete: the resource that criteria pick, or all of them where the settings allow it.

https://hl7.org/fhir/R4/http.html#3.1.0.7.1. 204, also when nothing matches; 412 with the number of matches when there
are several and ``delete.conditional`` is single.
"""

from __future__ import annotations

from fhir_server.interactions.exchange import FhirRequest, FhirResponse, Server, Target
from fhir_server.interactions.steps.criteria import Criteria, matches, read_criteria, too_many
from fhir_server.interactions.steps.guard import check_deletion
from fhir_server.interactions.steps.integrity import check_not_referred_to
from fhir_server.interactions.steps.preconditions import check_preconditions
from fhir_server.interactions.update import ATTEMPTS, too_often
from fhir_server.outcome import error
from fhir_server.store.documents import Change, Method, Stored, VersionConflict


async def conditional_delete(server: Server, request: FhirRequest, target: Target) -> FhirResponse:
    """Return 204 when the deletions are durable: all of them or none."""
    criteria = read_criteria(server, target.type, request.query, request.base, "The address")
    for _ in range(ATTEMPTS):
        found = await matches_to_delete(server, request, criteria)
        check_each(request, found)
        if not found:
            return FhirResponse(204)
        await check_not_referred_to(server, request, found)
        changes = [deletion(server, request, current) for current in found]
        try:
            if len(changes) == 1:
                await server.store.commit(changes[0])
            else:
                await server.store.commit_many(changes)
        except VersionConflict:
            continue
        return FhirResponse(204)
    raise too_often(target.type)


async def matches_to_delete(server: Server, request: FhirRequest, criteria: Criteria) -> tuple[Stored, ...]:
    """Return what a conditional delete deletes; raise FhirError 412 when that is more than the settings allow."""
    most = server.policy.max_conditional_deletes
    found = await matches(server, request, criteria, most + 1)
    if len(found) > most:
        raise await too_many(server, request, criteria, found)
    return found


def check_each(request: FhirRequest, found: tuple[Stored, ...]) -> None:
    """Raise FhirError 412 unless the preconditions hold; If-Match is about one version of one resource."""
    if len(found) > 1 and "if-match" in request.headers:
        raise error("conflict", "If-Match is about one resource, but several match the criteria.", status=412)
    check_preconditions(request.headers, found[0] if found else None)


def deletion(server: Server, request: FhirRequest, current: Stored) -> Change:
    """Return the change that deletes a version; raise FhirError 403 when it is not the caller's to delete."""
    check_deletion(request, current)
    now = max(server.clock(), current.last_updated + 1)
    return Change(
        Method.DELETE, current.type, current.id, current.version, now, replaces=current, security={}
    )
