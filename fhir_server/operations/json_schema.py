"""$json-schema: the JSON Schema of a base type, for those who validate offline.

``GET StructureDefinition/[id]/$json-schema``, where the id is that of a base definition (``Patient``, ``Quantity``)
or of a StructureDefinition that is stored here and has the URL of one. The answer is no FHIR resource but a JSON Schema
of draft 2020-12 (application/schema+json). ``full=true`` describes resources inside resources too.
"""

from __future__ import annotations

from functools import lru_cache

import msgspec

from fhir_server.datatypes.json_format import decode_own
from fhir_server.definitions import Definitions
from fhir_server.interactions.exchange import FhirRequest, FhirResponse, Server, Target
from fhir_server.outcome import error
from fhir_server.search import decode_pairs
from fhir_server.terminology import CodeSets
from fhir_server.validation.json_schema import json_schema as generate

_BASE = "http://hl7.org/fhir/StructureDefinition/"
_SHAPING = ("_format", "_pretty")


async def json_schema(server: Server, request: FhirRequest, target: Target) -> FhirResponse:
    """Return 200 with the schema; 404 for an id that is none, 422 for a profile."""
    given = dict(decode_pairs(request.query))
    full = given.get("full", "false")
    if full not in ("true", "false") or not given.keys() <= {"full", *_SHAPING}:
        raise error("not-supported", "$json-schema takes the parameter full, which is true or false.")
    name = target.id
    if server.definitions.types.type(name) is None or "." in name:
        name = await _stored(server, request, target)
    schema = _schema(server.definitions, server.code_sets, name, full == "true")
    return FhirResponse(200, (), (schema,), content_type="application/schema+json")


async def _stored(server: Server, request: FhirRequest, target: Target) -> str:
    """Return the base type that a stored StructureDefinition defines."""
    stored = await server.store.read(target.type, target.id, request.access)
    if stored is None or stored.is_deleted:
        raise error(
            "not-found", "There is no StructureDefinition with this id, and no base type of this name."
        )
    structure = decode_own(stored.body)
    url = structure["url"]
    name: str = url.removeprefix(_BASE)
    if structure.get("derivation") == "constraint" or server.definitions.types.type(name) is None:
        raise error("not-supported", "Only base types have a JSON Schema here, not profiles.", status=422)
    return name


@lru_cache(maxsize=16)
def _schema(definitions: Definitions, code_sets: CodeSets, name: str, full: bool) -> bytes:
    return msgspec.json.encode(generate(definitions, code_sets, name, full=full))
