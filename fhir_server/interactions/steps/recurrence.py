"""Measures that come again: their id is made from their natural key, so what is there under it is the same measure.

docs/measures.md
"""

from __future__ import annotations

from typing import Any

from fhir_server.datatypes.json_format import decode
from fhir_server.interactions.exchange import FhirRequest, Server
from fhir_server.interactions.steps.prepare import stamped
from fhir_server.outcome import error
from fhir_server.space.ingestion import content
from fhir_server.store.documents import Stored


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
        raise error(
            "duplicate",
            f"{found.type}/{found.id} has this identity and another content; "
            "correct it with PUT, If-Match and the status amended.",
            expression="Observation.identifier",
        )
