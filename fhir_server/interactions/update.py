"""update: a new version of a resource, or the first one under an id that the client chose.

https://hl7.org/fhir/R4/http.html#update. 200, or 201 when the id was unknown (405 where update-as-create is switched
off), 412 when If-Match or If-None-Match do not hold.
"""

from __future__ import annotations

from fhir_server.interactions.exchange import FhirRequest, FhirResponse, Server, Target
from fhir_server.interactions.steps.assess import assess
from fhir_server.interactions.steps.guard import secured
from fhir_server.interactions.steps.in_space import commit
from fhir_server.interactions.steps.integrity import check_references, kept_references
from fhir_server.interactions.steps.preconditions import check_preconditions, refuse_unknown_id
from fhir_server.interactions.steps.prepare import body_of_type, require_id, stamped
from fhir_server.interactions.steps.representation import written
from fhir_server.outcome import FhirError, error
from fhir_server.store.documents import Change, Method, VersionConflict

#: How often a write without If-Match starts again when somebody else wrote between its read and its commit.
ATTEMPTS = 10


async def update(server: Server, request: FhirRequest, target: Target) -> FhirResponse:
    """Return 200 or 201 when the new version is durable."""
    resource = body_of_type(request, target.type)
    require_id(resource, target.id)
    assessed = assess(server, resource)
    await check_references(server, request, resource)
    entries = server.indexer.entries(resource, request.base)
    references = kept_references(server, resource, request.base)
    async with server.store.lock(target.type, target.id):
        for _ in range(ATTEMPTS):
            current = await server.store.read(target.type, target.id, request.access, "u")
            check_preconditions(request.headers, current)
            if current is None:
                refuse_unknown_id(server, request, target.type)
            previous = current.version if current else 0
            now = max(server.clock(), current.last_updated + 1 if current else 0)
            body = stamped(resource, target.type, target.id, previous + 1, now)
            change = Change(
                Method.PUT,
                target.type,
                target.id,
                previous,
                now,
                body,
                entries,
                replaces=current,
                security=secured(request, resource, entries, current),
                references=references,
                large=request.large,
            )
            try:
                await commit(server, request, resource, change)
            except VersionConflict:
                continue  # With If-Match the next round's check answers 412 and names the version that won.
            return written(request, change, assessed, is_new=current is None or current.is_deleted)
    raise too_often(target.type)


def too_often(type_: str) -> FhirError:
    """Return the 409 of a write that others always were faster than."""
    return error(
        "conflict",
        f"This {type_} is being changed by others so often that the write did not get through; send it again.",
        headers={"Retry-After": "1"},
    )
