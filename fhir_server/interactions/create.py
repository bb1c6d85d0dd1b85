"""create: a new resource under an id that the server assigns, or none if there is a match (If-None-Exist).

https://hl7.org/fhir/R4/http.html#create, https://hl7.org/fhir/R4/http.html#ccreate. 201 with Location, ETag and
Last-Modified; an id, versionId or lastUpdated in the body is ignored, as R4 says. With If-None-Exist 200 when one
resource matches, 412 when several do. A measure of the health space that is there already is answered with 200, too
(docs/measures.md).
"""

from __future__ import annotations

from functools import partial
from typing import Any

from fhir_server.interactions.exchange import FhirRequest, FhirResponse, Server, Target
from fhir_server.interactions.steps.assess import assess
from fhir_server.interactions.steps.criteria import (
    CLAIMED_TRIES,
    Criteria,
    if_none_exist,
    the_one_match,
)
from fhir_server.interactions.steps.deposit import deposit
from fhir_server.interactions.steps.first_version import first_version
from fhir_server.interactions.steps.in_space import commit
from fhir_server.interactions.steps.integrity import check_references
from fhir_server.interactions.steps.preconditions import refuse_criteria_in_address
from fhir_server.interactions.steps.prepare import body_of_type, identified
from fhir_server.interactions.steps.recurrence import measured_once, the_measure
from fhir_server.interactions.steps.representation import written
from fhir_server.space.documents import is_deposit
from fhir_server.store.documents import Change, ClaimTaken, VersionConflict


async def create(server: Server, request: FhirRequest, target: Target) -> FhirResponse:
    """Return 201 when the new resource is durable."""
    refuse_criteria_in_address(request.query)
    resource = body_of_type(request, target.type)
    if is_deposit(resource):
        return await deposit(server, request, resource)
    criteria = if_none_exist(server, request, target.type)
    if criteria is not None:
        return await _unless_there(server, request, resource, criteria)
    assessed = assess(server, resource)
    await check_references(server, request, resource)
    change = await measured_once(server, resource, _change(server, request, resource))
    try:
        await commit(server, request, resource, change)
    except VersionConflict:  # only an id that is made from a natural key can be taken
        return written(request, await the_measure(server, request, resource, change.id), is_new=False)
    return written(request, change, assessed)


async def _unless_there(
    server: Server, request: FhirRequest, resource: dict[str, Any], criteria: Criteria
) -> FhirResponse:
    """Create the resource unless one matches; the claim in the document decides between workers.

    Those that come with equal criteria while one creates wait for it, then look together, not one after the other.
    """
    looking = True
    while looking:
        found = await server.store.shared.join(
            (criteria.claim, request.base, request.access),
            partial(the_one_match, server, request, criteria),
        )
        if found is not None:
            return written(request, found, is_new=False)
        looking = await server.store.unlocked(criteria.type, f"?{criteria.claim}")
    assessed = None
    async with server.store.lock(criteria.type, f"?{criteria.claim}"):
        tries = 0
        while True:
            found = await the_one_match(server, request, criteria)
            if found is not None:
                return written(request, found, is_new=False)
            if assessed is None:
                assessed = assess(server, resource)
                await check_references(server, request, resource)
            claim = criteria.claim if tries < CLAIMED_TRIES else None
            change = _change(server, request, resource, claim)
            try:
                await commit(server, request, resource, change)
            except ClaimTaken:
                tries += 1
                continue
            return written(request, change, assessed)


def _change(
    server: Server, request: FhirRequest, resource: dict[str, Any], claim: str | None = None
) -> Change:
    id_, entries = identified(server, resource, request.base)
    now = server.clock()
    return first_version(
        server, request, resource, id_=id_, entries=entries, now=now, claim=claim, large=request.large
    )
