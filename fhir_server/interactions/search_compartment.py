"""search-compartment: what belongs to a patient, an encounter, a practitioner, ... of one type or of all (``*``).

``[compartment]/[id]/[type]`` and ``[compartment]/[id]/*``, by GET, and by POST with ``/_search`` behind.
https://hl7.org/fhir/R4/http.html#search, https://hl7.org/fhir/R4/compartmentdefinition.html
"""

from __future__ import annotations

from difflib import get_close_matches

from fhir_server.interactions import search_system, search_type
from fhir_server.interactions.exchange import FhirRequest, FhirResponse, Server, Target
from fhir_server.interactions.steps.asking import Place, asked
from fhir_server.outcome import error
from fhir_server.search import members

#: All types of the compartment.
_ALL = "*"


async def search_compartment(server: Server, request: FhirRequest, target: Target) -> FhirResponse:
    """Return 200 with a searchset Bundle; 404 for a compartment or a member type that R4 does not define."""
    within = members(target.type, server.registry)
    member = request.path[2] if len(request.path) > 2 and request.path[2] != "_search" else _ALL
    place = Place(f"{target.type}/{target.id}/{member}", (target.type, target.id))
    if member == _ALL:
        return await search_system.search(server, request, asked(server, request, place), within)
    if member not in within:
        nearest = get_close_matches(member, within, 1)
        hint = f" Did you mean {nearest[0]}?" if nearest else ""
        raise error("not-found", f"'{member}' is no type of the {target.type} compartment.{hint}")
    return await search_type.search(server, request, member, asked(server, request, place))
