"""$json-schema: the JSON Schema of a base type or a profile, for those who validate offline.

``GET StructureDefinition/[id]/$json-schema``, where the id is that of a base definition (``Patient``, ``Quantity``), of
a StructureDefinition that is stored here, or of one in an installed package. The answer is no FHIR resource but a JSON
Schema of draft 2020-12 (application/schema+json). ``full=true`` describes resources inside resources too.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import msgspec

from fhir_server.datatypes.json_format import decode_own
from fhir_server.definitions import Definitions
from fhir_server.interactions.exchange import FhirRequest, FhirResponse, Server, Target
from fhir_server.outcome import error
from fhir_server.search import decode_pairs
from fhir_server.terminology import CodeSets
from fhir_server.validation.json_schema import json_schema as generate

_SHAPING = ("_format", "_pretty")


async def json_schema(server: Server, request: FhirRequest, target: Target) -> FhirResponse:
    """Return 200 with the schema; 404 for an id that is none, 422 for a definition that has no schema."""
    given = dict(decode_pairs(request.query))
    full = given.get("full", "false")
    if full not in ("true", "false") or not given.keys() <= {"full", *_SHAPING}:
        raise error("not-supported", "$json-schema takes the parameter full, which is true or false.")
    name = target.id
    if server.definitions.types.type(name) is None or "." in name:
        name = await _canonical(server, request, target)
    definitions = server.definitions
    schema = _schema(definitions, server.code_sets, name, full == "true", definitions.generation)
    return FhirResponse(200, (), (schema,), content_type="application/schema+json")


async def _canonical(server: Server, request: FhirRequest, target: Target) -> str:
    """Return the canonical URL of the StructureDefinition with the id: a stored one, or one of a package."""
    stored = await server.store.read(target.type, target.id, request.access)
    if stored is not None and not stored.is_deleted:
        structure = decode_own(stored.body)
    else:
        structure = next((s for s in server.definitions.added() if _is_meant(s, target.id)), {})
    if not structure:
        raise error(
            "not-found", "There is no StructureDefinition with this id, and no base type of this name."
        )
    name = f"{structure['url']}|{structure['version']}" if structure.get("version") else structure["url"]
    if server.definitions.structure(name, exact=True) is None:
        raise error(
            "not-supported", "Only base types of R4 and profiles on them have a JSON Schema.", status=422
        )
    return str(name)


def _is_meant(resource: dict[str, Any], id_: str) -> bool:
    return resource["resourceType"] == "StructureDefinition" and resource.get("id") == id_


@lru_cache(maxsize=16)
def _schema(definitions: Definitions, code_sets: CodeSets, name: str, full: bool, _generation: int) -> bytes:
    """Return the schema; kept until the ``generation`` of the definitions changes."""
    return msgspec.json.encode(generate(definitions, code_sets, name, full=full))
