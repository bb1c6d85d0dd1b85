"""From a request body to the final bytes: decode, check what the path says, stamp id and meta, encode once.

https://hl7.org/fhir/R4/resource.html#Meta, https://hl7.org/fhir/R4/http.html#create
"""

from __future__ import annotations

from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from fhir_server.datatypes.json_format import decode, encode
from fhir_server.datatypes.primitives import is_id
from fhir_server.interactions.exchange import FhirRequest, Server
from fhir_server.interactions.steps.subsetting import is_subsetted
from fhir_server.outcome import error
from fhir_server.search import IndexEntries


def body_of_type(request: FhirRequest, type_: str) -> dict[str, Any]:
    """Return the decoded body; raise FhirError 400 when it is malformed or of another type than the path says."""
    return of_type(decode(request.body), type_)


def of_type(resource: dict[str, Any], type_: str) -> dict[str, Any]:
    """Return the resource; raise FhirError 400 when it is of another type or only a part of one."""
    found = resource.get("resourceType")
    if found is None:
        raise error(
            "structure", f'The body has no "resourceType"; this address takes a {type_}.', expression=""
        )
    if found != type_:
        raise error(
            "structure",
            f'The body\'s "resourceType" is not {type_}, the type that the address names.',
            expression="resourceType",
        )
    if is_subsetted(resource):
        raise error(
            "business-rule",
            "The body is tagged SUBSETTED: it is a part of a resource, and storing it would lose the rest.",
            expression=f"{type_}.meta.tag",
        )
    return resource


def require_id(resource: dict[str, Any], id_: str) -> None:
    """Raise FhirError 400 unless the body's id is that of the path and has the form of an id."""
    require_form_of_id(id_)
    found = resource.get("id")
    expression = f"{resource['resourceType']}.id"
    if found is None:
        raise error(
            "required", "An update's body must hold the id that the path names.", expression=expression
        )
    if found != id_:
        raise error("value", "The id in the body differs from the id in the path.", expression=expression)


def require_form_of_id(id_: object) -> None:
    """Raise FhirError 400 unless this is an id."""
    if not (isinstance(id_, str) and is_id(id_)):
        raise error(
            "value",
            "An id has 1 to 64 characters out of A-Z, a-z, 0-9, hyphen and full stop; the one that was sent has not.",
        )


def identified(server: Server, resource: dict[str, Any], base: str) -> tuple[str, IndexEntries]:
    """Return the id and the index entries of a new resource; the id ends with the bucket of its home patient."""
    if resource["resourceType"] == "Patient":
        id_ = server.new_id(None)
        return id_, server.indexer.entries({**resource, "id": id_}, base)
    entries = server.indexer.entries(resource, base)
    return server.new_id(entries.patient), entries


@lru_cache(maxsize=256)
def instant(milliseconds: int) -> str:
    """Return a moment as a FHIR instant in UTC with milliseconds."""
    moment = datetime.fromtimestamp(milliseconds // 1000, UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{milliseconds % 1000:03d}Z"


def stamped(resource: dict[str, Any], type_: str, id_: str, version: int, last_updated: int) -> bytes:
    """Return the final JSON: the sender's elements in their order behind resourceType, id and the stamped meta."""
    final: dict[str, Any] = {"resourceType": type_, "id": id_}
    final["meta"] = {
        **resource.get("meta", {}),
        "versionId": str(version),
        "lastUpdated": instant(last_updated),
    }
    for key, value in resource.items():
        if key not in final:
            final[key] = value
    return encode(final)
