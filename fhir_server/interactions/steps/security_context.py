"""Binary.securityContext: who may read the document that it names may read the content.

https://hl7.org/fhir/R4/binary.html#security
"""

from __future__ import annotations

from fhir_server.access import OPEN
from fhir_server.datatypes.json_format import decode_own
from fhir_server.interactions.exchange import FhirRequest, Server
from fhir_server.store.documents import Stored


async def by_document(server: Server, request: FhirRequest, id_: str) -> Stored | None:
    """Return the content that a caller sees because of its document, None if there is none.

    The depositor of the content names the document; somebody else's document that names the content opens nothing.
    """
    if request.access.sees_all:
        return None
    stored = await server.store.read("Binary", id_, OPEN)
    if stored is None or stored.is_deleted:
        return None
    context = str(decode_own(stored.body).get("securityContext", {}).get("reference", ""))
    *_, type_, document = ("", *context.removeprefix(f"{request.base}/").split("/"))
    if type_ != "DocumentReference":
        return None
    seen = await server.store.read(type_, document, request.access)
    return stored if seen is not None and not seen.is_deleted else None
