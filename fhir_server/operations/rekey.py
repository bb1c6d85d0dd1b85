"""[base]/$reindex: access keys for what was stored before there were any, or under rules of an earlier version.

GET counts such versions; POST makes keys for as many as it can in some seconds, and tells how many are left.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from fhir_server.access.keys import RULES_VERSION, keys
from fhir_server.datatypes.json_format import decode
from fhir_server.interactions.exchange import FhirRequest, FhirResponse, Server
from fhir_server.operations.inputs import answered

_STEP = 500
#: Steps of one request: what is left is for the next one.
_STEPS = 40


async def rekey(server: Server, request: FhirRequest) -> FhirResponse:
    """Return 200 with Parameters: ``keyed`` versions, and those that are ``left``, by collection."""
    done = 0
    if request.method == "POST":
        for name in (*await server.store.types(), "history"):
            made = _STEP
            while made == _STEP and done < _STEP * _STEPS:
                made = await server.store.rekey(name, RULES_VERSION, _maker(server, request.base), _STEP)
                done += made
                await asyncio.sleep(0)
    left = await server.store.count_unkeyed(RULES_VERSION)
    rows: list[dict[str, Any]] = [
        {"name": "keyed", "valueInteger": done},
        {"name": "left", "valueInteger": sum(left.values())},
    ]
    rows += [
        {
            "name": "collection",
            "part": [{"name": "name", "valueString": name}, {"name": "left", "valueInteger": count}],
        }
        for name, count in left.items()
    ]
    return answered(rows)


def _maker(server: Server, base: str) -> Any:
    def made(body: bytes, former: Mapping[str, Any]) -> Mapping[str, Any]:
        resource = decode(body)
        others = server.indexer.entries(resource, base).other_compartments
        return keys(resource, authors=former.get("auth", ()), others=others, base=base)

    return made
