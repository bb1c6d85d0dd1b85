"""$reindex of a SearchParameter: its state by GET, all older resources indexed once more by POST.

``SearchParameter/[id]/$reindex`` and, for all of this server's own parameters, ``SearchParameter/$reindex``.
"""

from __future__ import annotations

from typing import Any

from fhir_server.datatypes.json_format import decode, encode
from fhir_server.interactions.exchange import FhirRequest, FhirResponse, Server, Target
from fhir_server.interactions.steps.prepare import instant
from fhir_server.interactions.stored_parameters import KIND, offer
from fhir_server.operations.rekey import rekey
from fhir_server.outcome import error
from fhir_server.search.customizing import defects, is_effective


async def reindex(server: Server, request: FhirRequest, target: Target) -> FhirResponse:
    """Return the state of jobs (GET), or begin one (POST); at the server itself it is about access keys."""
    if not target.type:
        return await rekey(server, request)
    return await (_start if request.method == "POST" else _state)(server, request, target)


async def _state(server: Server, request: FhirRequest, target: Target) -> FhirResponse:
    """Return 200 with Parameters: one ``job`` for each parameter, with state and progress."""
    if target.id:
        await _definition(server, request, target.id)
    jobs = [j for j in await server.store.jobs.all(KIND) if target.id in ("", j["parameter"])]
    return FhirResponse(200, (), (_parameters(jobs),))


async def _start(server: Server, request: FhirRequest, target: Target) -> FhirResponse:
    """Return 202 with Parameters when the job is waiting; 422 for a parameter that is not in effect."""
    if not target.id:
        raise error("required", "Name the SearchParameter: POST SearchParameter/[id]/$reindex.")
    definition = await _definition(server, request, target.id)
    if not is_effective(definition, server.registry):
        raise error("business-rule", "Only an active SearchParameter of this server's own can be indexed.")
    for _, reason in defects(definition, server.registry):
        raise error("business-rule", f"This SearchParameter is not in effect: {reason}")
    await offer(server, f"{KIND}:{target.id}", definition, anew=True)
    jobs = [j for j in await server.store.jobs.all(KIND) if j["parameter"] == target.id]
    location = ("Content-Location", f"{request.base}/SearchParameter/{target.id}/$reindex")
    return FhirResponse(202, (location,), (_parameters(jobs),))


async def _definition(server: Server, request: FhirRequest, id_: str) -> dict[str, Any]:
    row = await server.store.read("SearchParameter", id_, request.access)
    if row is None or row.is_deleted:
        raise error("not-found", "There is no such SearchParameter here.")
    return decode(row.body)


def _parameters(jobs: list[dict[str, Any]]) -> bytes:
    body: dict[str, Any] = {"resourceType": "Parameters"}
    if jobs:
        body["parameter"] = [{"name": "job", "part": _parts(job)} for job in jobs]
    return encode(body)


def _reference(parameter: str) -> dict[str, Any]:
    """Return a reference to a stored parameter by its id, to a package's by its URL."""
    if ":" in parameter:
        return {"identifier": {"system": "urn:ietf:rfc:3986", "value": parameter}}
    return {"reference": f"SearchParameter/{parameter}"}


def _parts(job: dict[str, Any]) -> list[dict[str, Any]]:
    parts: list[dict[str, Any]] = [
        {"name": "parameter", "valueReference": _reference(job["parameter"])},
        {"name": "code", "valueCode": job["code"]},
        {"name": "state", "valueCode": job["state"]},
        {"name": "searchable", "valueBoolean": job["state"] == "done"},
        {"name": "indexed", "valueInteger": job["indexed"]},
        {"name": "begun", "valueInstant": instant(job["begun"])},
    ]
    parts += [{"name": "type", "valueCode": type_} for type_ in job["types"]]
    if "ended" in job:
        parts.append({"name": "ended", "valueInstant": instant(job["ended"])})
    if "problem" in job:
        parts.append({"name": "problem", "valueString": job["problem"]})
    return parts
