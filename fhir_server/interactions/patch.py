"""patch: a new version made out of the current one by operations.

https://hl7.org/fhir/R4/http.html#patch. 200; 404 where there is no such resource, 410 where it was deleted, 412 when
If-Match does not hold, 415 for other formats than JSON Patch and FHIRPath Patch.
"""

from __future__ import annotations

from fhir_server.interactions.exchange import FhirRequest, FhirResponse, Server, Target
from fhir_server.interactions.patching import patch_of_body, patched
from fhir_server.interactions.read import deleted
from fhir_server.interactions.steps.preconditions import check_preconditions
from fhir_server.interactions.steps.prepare import stamped
from fhir_server.interactions.steps.representation import written
from fhir_server.interactions.update import ATTEMPTS
from fhir_server.outcome import error
from fhir_server.store.documents import Change, Method, VersionConflict


async def patch(server: Server, request: FhirRequest, target: Target) -> FhirResponse:
    """Return 200 when the new version is durable."""
    change_of = patch_of_body(server, request.headers.get("content-type"), request.body)
    async with server.store.lock(target.type, target.id):
        for _ in range(ATTEMPTS):
            current = await server.store.read(target.type, target.id, request.access)
            if current is None:
                raise error("not-found", f"There is no {target.type} with this id.")
            if current.is_deleted:
                raise deleted(current)
            check_preconditions(request.headers, current)
            resource, assessed = patched(server, current.body, change_of)
            now = max(server.clock(), current.last_updated + 1)
            body = stamped(resource, target.type, target.id, current.version + 1, now)
            entries = server.indexer.entries(resource, request.base)
            change = Change(
                Method.PATCH, target.type, target.id, current.version, now, body, entries, replaces=current
            )
            try:
                await server.store.commit(change)
            except VersionConflict:
                continue
            return written(request, change, assessed)
    raise error(
        "conflict",
        f"This {target.type} is being changed by others so often that the patch did not get through; send it again.",
        headers={"Retry-After": "1"},
    )
