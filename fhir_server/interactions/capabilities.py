"""capabilities: what this server does, generated from the router, the search registry and the settings.

https://hl7.org/fhir/R4/http.html#capabilities, https://hl7.org/fhir/R4/capabilitystatement.html
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from hashlib import blake2b
from typing import Any
from urllib.parse import parse_qs

from fhir_server import __version__
from fhir_server.datatypes.json_format import encode
from fhir_server.interactions import audit_event
from fhir_server.interactions.exchange import FhirRequest, FhirResponse, Operation, Policy, Server, Target
from fhir_server.interactions.patching import ACCEPTED
from fhir_server.interactions.steps.preconditions import is_among
from fhir_server.interactions.terminology_capabilities import terminology_statement
from fhir_server.outcome import error
from fhir_server.search import Registry
from fhir_server.search.include import references

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
_OF_SYSTEM = ("transaction", "batch", "history-system", "search-system")

#: Parameters of every search that no type has of its own.
_OF_ALL = (
    {"name": "_filter", "definition": "http://hl7.org/fhir/SearchParameter/filter", "type": "special"},
    {"name": "_has", "type": "string", "documentation": "_has:[type]:[reference]:[parameter]"},
    {"name": "_list", "type": "string", "documentation": "The id of a List, or a functional list."},
    {"name": "_type", "type": "token", "documentation": "The types that a search of the system is about."},
)

_DOCUMENTATION = (
    "JSON and XML. Searches are strict: an unknown parameter is a 400 that names the "
    "nearest one, unless the client sends Prefer: handling=lenient. Totals are returned on request (_total). "
    "Chains and _has follow up to 4 links; "
    "includes end at 1000 resources and 5 levels of :iterate for a page, and an outcome says so. "
    "Searches of several types are sorted by _lastUpdated, those of a compartment come type after type without _sort. "
    "_contained and _containedType find contained resources, _at the versions of a moment, _list also "
    "$current-problems, $current-medications, $current-allergies and $current-drug-allergies. "
    "Batches and transactions take up to {entries} entries and {megabytes} MB. A search that picks the resource of a "
    "conditional interaction is always strict. Resources are validated against the profiles that they "
    "claim and that the server knows; stored StructureDefinitions, ValueSets and CodeSystems take effect at once."
)


async def capabilities(server: Server, request: FhirRequest, target: Target) -> FhirResponse:  # noqa: ARG001
    """Return the CapabilityStatement (``mode`` full and normative are the same here) or TerminologyCapabilities."""
    mode = parse_qs(request.query).get("mode", ["full"])[-1]
    if mode == "terminology":
        return FhirResponse(200, (), (encode(terminology_statement(server)),))
    if mode not in ("full", "normative"):
        raise error("value", "mode is one of full, normative and terminology.")
    body = server.capabilities()
    tag = _tag_of(body)
    if is_among(request.headers.get("if-none-match", ""), tag):
        return FhirResponse(304, (("ETag", f'W/"{tag}"'),))
    return FhirResponse(200, (("ETag", f'W/"{tag}"'),), (body,))


@lru_cache(maxsize=2)
def _tag_of(body: bytes) -> str:
    return blake2b(body, digest_size=8).hexdigest()


def statement(
    interactions: Iterable[str],
    registry: Registry,
    policy: Policy,
    started: str,
    operations: Sequence[Operation] = (),
    *,
    structures: Iterable[Mapping[str, Any]] = (),
) -> dict[str, Any]:
    """Return the CapabilityStatement resource.

    ``interactions`` are the codes that the router has rows for, ``structures`` the StructureDefinitions beside R4's.
    """
    profiles: dict[str, list[str]] = {}
    for structure in structures:
        if structure.get("derivation") == "constraint":
            profiles.setdefault(structure["type"], []).append(structure["url"])
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
        "format": ["application/fhir+json", "json", "application/fhir+xml", "xml"],
        "patchFormat": list(ACCEPTED),
        "rest": [
            {
                "mode": "server",
                "documentation": _DOCUMENTATION.format(
                    entries=policy.max_bundle_entries, megabytes=policy.max_bundle_mb
                ),
                **({"security": policy.security} if policy.security else {}),
                "resource": [
                    {
                        **_of_type(type_, offered, registry, policy, sorted(set(profiles.get(type_, ())))),
                        **_offered(operations, type_),
                    }
                    for type_ in registry.types.resource_types
                ],
                "interaction": [{"code": code} for code in _OF_SYSTEM if code in offered],
                "searchParam": [dict(row) for row in _OF_ALL],
                **(
                    {"compartment": list(registry.compartments.values())}
                    if "search-compartment" in offered
                    else {}
                ),
                **_offered(operations, ""),
            }
        ],
    }


def _offered(operations: Sequence[Operation], type_: str) -> dict[str, Any]:
    """Return the operations of a resource type, or of the whole system if it is ""."""
    rows = [
        {"name": operation.name[1:], "definition": operation.definition}
        for operation in operations
        if (
            operation.levels & {"type", "instance"} and (not operation.types or type_ in operation.types)
            if type_
            else "system" in operation.levels
        )
    ]
    # An empty array is no FHIR JSON.
    return {"operation": rows} if rows else {}


def _of_type(
    type_: str, offered: set[str], registry: Registry, policy: Policy, profiles: list[str]
) -> dict[str, Any]:
    if policy.audit and type_ == audit_event.TYPE:
        return _of_audit()
    return {
        "type": type_,
        "profile": f"http://hl7.org/fhir/StructureDefinition/{type_}",
        **({"supportedProfile": profiles} if profiles else {}),
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
        "searchInclude": ["*", f"{type_}:*", *(f"{type_}:{p.name}" for p in references(type_, registry))],
        "searchRevInclude": ["*", *_pointing_to(type_, registry)],
    }


def _of_audit() -> dict[str, Any]:
    """Return what there is of AuditEvent while the server writes them."""
    return {
        "type": audit_event.TYPE,
        "profile": f"http://hl7.org/fhir/StructureDefinition/{audit_event.TYPE}",
        "interaction": [{"code": "read"}, {"code": "search-type"}],
        "versioning": "no-version",
        "readHistory": False,
        "updateCreate": False,
        "searchParam": [{"name": name, "type": type_} for name, type_ in audit_event.PARAMETERS.items()],
    }


def _pointing_to(type_: str, registry: Registry) -> list[str]:
    """Return the reverse includes that can find something for a type."""
    return [
        f"{source}:{parameter.name}"
        for source in registry.types.resource_types
        for parameter in references(source, registry)
        if not parameter.targets or type_ in parameter.targets
    ]
