"""capabilities: what this server does, generated from the router, the search registry and the settings.

https://hl7.org/fhir/R4/http.html#capabilities, https://hl7.org/fhir/R4/capabilitystatement.html
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any
from urllib.parse import parse_qs

from fhir_server import __version__
from fhir_server.interactions.exchange import FhirRequest, FhirResponse, Policy, Server, Target
from fhir_server.interactions.patching import ACCEPTED
from fhir_server.outcome import error
from fhir_server.search import Registry

#: Interactions of a resource type, in the order in which they are listed (type-restful-interaction).
_OF_TYPE = (
    "read",
    "vread",
    "update",
    "patch",
    "delete",
    "history-instance",
    "history-type",
    "create",
    "search-type",
)
#: Interactions of the whole system (system-restful-interaction).
_OF_SYSTEM = ("transaction", "batch", "history-system")

_DOCUMENTATION = (
    "JSON only; XML is answered with 406 or 415. Searches are strict: an unknown parameter is a 400 that names the "
    "nearest one, unless the client sends Prefer: handling=lenient. Totals are returned on request (_total). "
    "Batches and transactions take up to {entries} entries and {megabytes} MB. A search that picks the resource of a "
    "conditional interaction is always strict. Resources are validated against the profiles that they claim and that the "
    "server knows; stored StructureDefinitions, ValueSets and CodeSystems take effect at once. Chains and includes are not supported yet."
)


async def capabilities(server: Server, request: FhirRequest, target: Target) -> FhirResponse:  # noqa: ARG001
    """Return the CapabilityStatement; ``mode`` full and normative are the same here, terminology is not offered."""
    mode = parse_qs(request.query).get("mode", ["full"])[-1]
    if mode == "terminology":
        raise error("not-supported", "This server has no terminology service; ask for mode=full.", status=404)
    if mode not in ("full", "normative"):
        raise error("value", "mode is one of full, normative and terminology.")
    return FhirResponse(200, (), (server.capabilities["statement"],))


def statement(
    interactions: Iterable[str], registry: Registry, policy: Policy, started: str
) -> dict[str, Any]:
    """Return the CapabilityStatement resource; ``interactions`` are the codes that the router has rows for."""
    offered = set(interactions)
    if "transaction" in offered:
        offered.add("batch")  # one address answers both
    return {
        "resourceType": "CapabilityStatement",
        "status": "active",
        "date": started,
        "kind": "instance",
        "software": {"name": "fhir-space-server", "version": __version__},
        "implementation": {"description": "FHIR R4 server of a digital health space"},
        "fhirVersion": "4.0.1",
        "format": ["application/fhir+json", "json"],
        "patchFormat": list(ACCEPTED),
        "rest": [
            {
                "mode": "server",
                "documentation": _DOCUMENTATION.format(
                    entries=policy.max_bundle_entries, megabytes=policy.max_bundle_mb
                ),
                "resource": [
                    _of_type(type_, offered, registry, policy) for type_ in registry.types.resource_types
                ],
                "interaction": [{"code": code} for code in _OF_SYSTEM if code in offered],
            }
        ],
    }


def _of_type(type_: str, offered: set[str], registry: Registry, policy: Policy) -> dict[str, Any]:
    return {
        "type": type_,
        "profile": f"http://hl7.org/fhir/StructureDefinition/{type_}",
        "interaction": [{"code": code} for code in _OF_TYPE if code in offered],
        "versioning": "versioned-update",
        "readHistory": True,
        "updateCreate": policy.update_create,
        "conditionalCreate": True,
        "conditionalRead": "full-support",
        "conditionalUpdate": True,
        "conditionalDelete": "multiple" if policy.max_conditional_deletes > 1 else "single",
        **({"referencePolicy": ["literal", "enforced"]} if policy.check_references_on_write else {}),
        "searchParam": [
            {"name": parameter.name, "definition": parameter.url, "type": parameter.type}
            for parameter in registry.parameters(type_).by_name.values()
            if parameter.searchable
        ],
    }
