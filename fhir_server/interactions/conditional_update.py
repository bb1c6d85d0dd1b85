"""conditional update: a new version of the resource that criteria pick, or the first one if they pick none.

https://hl7.org/fhir/R4/http.html#cond-update. One match: 200; none: 201, under the id in the body if there is one; 400
when the body's id is not the match's; 409 when it belongs to a resource that does not match; 412 for several matches.
"""

from __future__ import annotations

import asyncio
import random

from fhir_server.interactions.exchange import FhirRequest, FhirResponse, Server, Target
from fhir_server.interactions.steps.assess import assess
from fhir_server.interactions.steps.criteria import CLAIMED_TRIES, read_criteria, the_one_match
from fhir_server.interactions.steps.guard import secured
from fhir_server.interactions.steps.in_space import commit
from fhir_server.interactions.steps.integrity import check_references, kept_references
from fhir_server.interactions.steps.preconditions import check_preconditions, refuse_unknown_id
from fhir_server.interactions.steps.prepare import body_of_type, identified, require_form_of_id, stamped
from fhir_server.interactions.steps.representation import written
from fhir_server.interactions.update import ATTEMPTS, too_often
from fhir_server.outcome import error
from fhir_server.store.documents import Change, ClaimTaken, Method, Stored, VersionConflict


async def conditional_update(server: Server, request: FhirRequest, target: Target) -> FhirResponse:
    """Return 200 or 201 when the new version is durable."""
    resource = body_of_type(request, target.type)
    criteria = read_criteria(server, target.type, request.query, request.base, "The address")
    assessed = assess(server, resource)
    await check_references(server, request, resource)
    references = kept_references(server, resource, request.base)
    given = resource.get("id")
    async with server.store.lock(target.type, f"?{criteria.claim}"):
        for tries in range(ATTEMPTS):
            found = await the_one_match(server, request, criteria)
            check_preconditions(request.headers, found)
            current = await version_to_replace(server, request, target.type, given, found)
            known = current.id if current is not None else given
            if known is not None:
                id_ = resource["id"] = str(known)
                entries = server.indexer.entries(resource, request.base)
            else:
                id_, entries = identified(server, resource, request.base)
            previous = current.version if current else 0
            now = max(server.clock(), current.last_updated + 1 if current else 0)
            body = stamped(resource, target.type, id_, previous + 1, now)
            claim = criteria.claim if found is None and tries < CLAIMED_TRIES else None
            change = Change(
                Method.PUT,
                target.type,
                id_,
                previous,
                now,
                body,
                entries,
                claim,
                current,
                security=secured(request, resource, entries, current),
                references=references,
                large=request.large,
            )
            try:
                await commit(server, request, resource, change)
            except (VersionConflict, ClaimTaken):
                # Two workers that take turns at losing would both give up.
                await asyncio.sleep(random.uniform(0, 0.01))  # noqa: S311 (jitter is no secret)
                continue
            return written(request, change, assessed, is_new=found is None)
    raise too_often(target.type)


async def version_to_replace(
    server: Server, request: FhirRequest, type_: str, given: str | None, found: Stored | None
) -> Stored | None:
    """Return the version that the update replaces: the match, or a deletion under the id that the body names.

    Raises FhirError 400, 405 or 409 where the body's id does not go with the match.
    """
    if found is not None:
        if given is not None and given != found.id:
            raise error(
                "value",
                "The criteria match a resource with another id than the body's; leave the id out of the body.",
                expression=f"{type_}.id",
            )
        return found
    if given is None:
        return None
    require_form_of_id(given)
    current = await server.store.read(type_, given, request.access, "u")
    if current is not None and not current.is_deleted:
        raise error(
            "conflict",
            f"Nothing matches the criteria, but there is a {type_} with the id that the body names; it was left alone.",
            expression=f"{type_}.id",
        )
    if current is None:
        refuse_unknown_id(server, request, type_)
    return current
