"""delete: the resource is gone from reads and searches, its history stays.

https://hl7.org/fhir/R4/http.html#delete. 204, also when there is nothing to delete.
"""

from __future__ import annotations

from fhir_server.interactions.conditional_delete import deletion
from fhir_server.interactions.exchange import FhirRequest, FhirResponse, Server, Target
from fhir_server.interactions.steps.integrity import check_not_referred_to
from fhir_server.interactions.steps.preconditions import check_preconditions
from fhir_server.interactions.update import ATTEMPTS, too_often
from fhir_server.store.documents import VersionConflict


async def delete(server: Server, request: FhirRequest, target: Target) -> FhirResponse:
    """Return 204 with the ETag of the deletion when it is durable."""
    async with server.store.lock(target.type, target.id):
        for _ in range(ATTEMPTS):
            current = await server.store.read(target.type, target.id, request.access, "d")
            check_preconditions(request.headers, current)
            if current is None or current.is_deleted:
                return FhirResponse(204)
            await check_not_referred_to(server, request, [current])
            change = deletion(server, request, current)
            try:
                await server.store.commit(change)
            except VersionConflict:
                continue
            return FhirResponse(204, (("ETag", f'W/"{change.version}"'),))
    raise too_often(target.type)
