"""Measures that come again: their id is made from their natural key, so what is there under it is the same measure.

docs/measures.md
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from fhir_server.datatypes.json_format import decode
from fhir_server.interactions.exchange import FhirRequest, Server
from fhir_server.interactions.steps.identity import NaturalIds
from fhir_server.interactions.steps.prepare import stamped
from fhir_server.outcome import FhirError, error
from fhir_server.space.ingestion import content, is_measure, natural_key
from fhir_server.store.documents import Change, Stored


async def measured_once(server: Server, resource: dict[str, Any], change: Change) -> Change:
    """Return the change that creates a measure of the health space under the id of its natural key.

    The creation of anything else is returned as it is.
    """
    patient = change.entries.patient if change.entries is not None else None
    if patient is None or not is_measure(resource):
        return change
    ids = NaturalIds(await server.store.secret("natural-id"), server.new_id)
    id_ = ids.of(patient, natural_key(resource, patient))
    body = stamped(resource, change.type, id_, change.version, change.last_updated)
    return replace(change, id=id_, body=body)


async def the_measure(server: Server, request: FhirRequest, sent: dict[str, Any], id_: str) -> Stored:
    """Return the version of a measure that is there; raises FhirError 409 or 410 as ``check_same`` does."""
    found = await server.store.read("Observation", id_, request.access)
    if found is None:
        raise another_content(id_)
    await check_same(server, request, sent, found)
    return found


async def is_same(server: Server, request: FhirRequest, sent: dict[str, Any], found: Stored) -> bool:
    """Tell whether a measure says what the version that is there says, or what the first one said before a correction.

    Raises FhirError 410 when the measure was deleted.
    """
    if found.is_deleted:
        raise error("deleted", "This measure was deleted.")
    if stamped(sent, found.type, found.id, found.version, found.last_updated) == found.body:
        return True
    told = content(sent)
    if content(decode(found.body)) == told:
        return True
    if found.version == 1:
        return False
    first = await server.store.version(found.type, found.id, 1, request.access)
    return first is not None and not first.is_deleted and content(decode(first.body)) == told


async def check_same(server: Server, request: FhirRequest, sent: dict[str, Any], found: Stored) -> None:
    """Raise FhirError 409 when another content stands under the identity of a measure, 410 when it was deleted."""
    if not await is_same(server, request, sent, found):
        raise another_content(found.id)


def another_content(id_: str) -> FhirError:
    """Return the 409 of a measure whose identity another content has, or one that the caller may not see."""
    text = (
        f"Observation/{id_} has this identity and another content; "
        "correct it with PUT, If-Match and the status amended."
    )
    return error("duplicate", text, expression="Observation.identifier")
