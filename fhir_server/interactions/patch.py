"""patch: a new version made out of the current one by operations.

https://hl7.org/fhir/R4/http.html#patch. 200; 404 where there is no such resource, 410 where it was deleted, 412 when
If-Match does not hold, 415 for other formats than JSON Patch, XML Patch and FHIRPath Patch. A conditional patch names
the resource by criteria: 404 when none matches, 412 when several do.
"""

from __future__ import annotations

from fhir_server.interactions.exchange import FhirRequest, FhirResponse, Server, Target
from fhir_server.interactions.patching import Patch, patch_of_body, patched
from fhir_server.interactions.read import current
from fhir_server.interactions.steps.criteria import read_criteria, the_one_match
from fhir_server.interactions.steps.guard import secured
from fhir_server.interactions.steps.in_space import commit
from fhir_server.interactions.steps.integrity import check_references, kept_references
from fhir_server.interactions.steps.preconditions import check_preconditions
from fhir_server.interactions.steps.prepare import stamped
from fhir_server.interactions.steps.representation import written
from fhir_server.interactions.update import ATTEMPTS, too_often
from fhir_server.outcome import error
from fhir_server.store.documents import Change, Method, Stored, VersionConflict


async def patch(server: Server, request: FhirRequest, target: Target) -> FhirResponse:
    """Return 200 when the new version is durable."""
    operations = patch_of_body(server, request.headers.get("content-type"), request.body)
    async with server.store.lock(target.type, target.id):
        for _ in range(ATTEMPTS):
            version = await current(server, request, target, "u")
            answer = await _commit(server, request, version, operations)
            if answer is not None:
                return answer
    raise too_often(target.type)


async def conditional_patch(server: Server, request: FhirRequest, target: Target) -> FhirResponse:
    """Return 200 when the new version of the resource that the criteria pick is durable."""
    operations = patch_of_body(server, request.headers.get("content-type"), request.body)
    criteria = read_criteria(server, target.type, request.query, request.base, "The address")
    for _ in range(ATTEMPTS):
        version = await the_one_match(server, request, criteria)
        if version is None:
            raise error("not-found", f"No {target.type} matches the criteria; nothing was changed.")
        answer = await _commit(server, request, version, operations)
        if answer is not None:
            return answer
    raise too_often(target.type)


async def _commit(
    server: Server, request: FhirRequest, version: Stored, operations: Patch
) -> FhirResponse | None:
    """Return the answer, or None when somebody else wrote first."""
    check_preconditions(request.headers, version)
    resource, assessed = patched(server, await server.store.contents.filled(version), operations)
    await check_references(server, request, resource)
    now = max(server.clock(), version.last_updated + 1)
    body = stamped(resource, version.type, version.id, version.version + 1, now)
    entries = server.indexer.entries(resource, request.base)
    change = Change(
        Method.PATCH,
        version.type,
        version.id,
        version.version,
        now,
        body,
        entries,
        replaces=version,
        security=secured(request, resource, entries, version),
        references=kept_references(server, resource, request.base),
    )
    try:
        await commit(server, request, resource, change)
    except VersionConflict:
        return None
    return written(request, change, assessed, is_new=False)
