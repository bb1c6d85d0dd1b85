"""vread: one version of a resource.

https://hl7.org/fhir/R4/http.html#vread. 404 when there is no such version, 410 when that version is the deletion.
"""

from __future__ import annotations

from fhir_server.interactions.exchange import FhirRequest, FhirResponse, Server, Target
from fhir_server.interactions.read import deleted, shown
from fhir_server.outcome import error
from fhir_server.store.documents import Stored


async def vread(server: Server, request: FhirRequest, target: Target) -> FhirResponse:
    """Return 200 with the version asked for, or 304."""
    return shown(server, request, await version_of(server, request, target))


async def version_of(server: Server, request: FhirRequest, target: Target) -> Stored:
    """Return the version asked for; raise FhirError 404 when there is none, 410 when it is a deletion."""
    number = int(target.version) if target.version.isascii() and target.version.isdigit() else 0
    stored = None
    if 0 < number < 2**31:
        stored = await server.store.version(target.type, target.id, number, request.access)
    if stored is None:
        raise error("not-found", f"There is no such version of a {target.type} with this id.")
    if stored.is_deleted:
        raise deleted(stored)
    return stored
