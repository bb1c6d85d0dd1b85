"""create: a new resource under an id that the server assigns.

https://hl7.org/fhir/R4/http.html#create. 201 with Location, ETag and Last-Modified; an id, versionId or lastUpdated in
the body is ignored, as R4 says.
"""

from __future__ import annotations

from fhir_server.interactions.exchange import FhirRequest, FhirResponse, Server, Target
from fhir_server.interactions.steps.assess import assess
from fhir_server.interactions.steps.preconditions import refuse_conditional_create
from fhir_server.interactions.steps.prepare import body_of_type, identified, stamped
from fhir_server.interactions.steps.representation import written
from fhir_server.store.documents import Change, Method


async def create(server: Server, request: FhirRequest, target: Target) -> FhirResponse:
    """Return 201 when the new resource is durable."""
    refuse_conditional_create(request.headers, request.query)
    resource = body_of_type(request, target.type)
    assessed = assess(server, resource)
    id_, entries = identified(server, resource, request.base)
    now = server.clock()
    change = Change(
        Method.POST, target.type, id_, 0, now, stamped(resource, target.type, id_, 1, now), entries
    )
    await server.store.commit(change)
    return written(request, change, assessed)
