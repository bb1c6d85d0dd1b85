"""read: the current version of a resource.

https://hl7.org/fhir/R4/http.html#read. 404 when there never was such a resource, 410 when it is deleted, 304 when
If-None-Match or If-Modified-Since say that the client has it.
"""

from __future__ import annotations

from fhir_server.interactions.exchange import FhirRequest, FhirResponse, Server, Target
from fhir_server.interactions.steps.preconditions import is_not_modified
from fhir_server.interactions.steps.representation import represented, version_headers
from fhir_server.interactions.steps.security_context import by_document
from fhir_server.outcome import FhirError, error
from fhir_server.store.documents import Stored


async def read(server: Server, request: FhirRequest, target: Target) -> FhirResponse:
    """Return 200 with the resource, or 304."""
    return shown(server, request, await current(server, request, target))


async def current(server: Server, request: FhirRequest, target: Target, letter: str = "r") -> Stored:
    """Return the current version; raise FhirError 404 or 410 where there is none for ``letter`` of a scope."""
    stored = await server.store.read(target.type, target.id, request.access, letter)
    if stored is None and target.type == "Binary" and letter == "r":
        stored = await by_document(server, request, target.id)
    if stored is None:
        raise error("not-found", f"There is no {target.type} with this id.")
    if stored.is_deleted:
        raise deleted(stored)
    return stored


def shown(server: Server, request: FhirRequest, stored: Stored) -> FhirResponse:
    """Return 200 with a version, or 304 when the client has it."""
    if is_not_modified(request.headers, stored):
        return FhirResponse(304, version_headers(stored), shown=(stored,))
    return represented(server, request, stored)


def deleted(stored: Stored) -> FhirError:
    """Return the 410 of a deleted resource; its ETag is the deletion's version."""
    return error(
        "deleted",
        f"This {stored.type} was deleted; earlier versions are at {stored.type}/{stored.id}/_history.",
        headers=dict(version_headers(stored)),
    )
