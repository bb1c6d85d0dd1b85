"""A patch in each of its formats, and how it makes a new resource out of the current one.

https://hl7.org/fhir/R4/http.html#patch. In a Bundle a JSON or XML Patch is a Binary, a FHIRPath
Patch a Parameters resource.
"""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from fhir_server.datatypes.json_format import decode, decode_list
from fhir_server.interactions.exchange import Server
from fhir_server.interactions.patching import fhirpath_patch, json_patch, xml_patch
from fhir_server.interactions.patching.budget import Budget
from fhir_server.interactions.steps.assess import assess
from fhir_server.interactions.steps.subsetting import is_subsetted
from fhir_server.outcome import FhirError, Issue, error

JSON_PATCH = "application/json-patch+json"
XML_PATCH = "application/xml-patch+xml"
#: Content types that a PATCH may have; CapabilityStatement.patchFormat.
ACCEPTED = (JSON_PATCH, XML_PATCH, "application/fhir+json", "application/fhir+xml")

_FHIR_JSON = ("application/fhir+json", "application/json", "application/json+fhir", "text/json")
#: Only inside a Binary: the XML of a request is JSON when it comes here.
_FHIR_XML = ("application/fhir+xml", "application/xml", "application/xml+fhir", "text/xml")


@dataclass(frozen=True, slots=True)
class Patch:
    """A patch that was read, one of three kinds; ``size`` is the bytes that it was sent in."""

    size: int
    json: tuple[json_patch.Operation, ...] | None = None
    xml: tuple[xml_patch.Operation, ...] | None = None
    fhirpath: tuple[fhirpath_patch.Operation, ...] = ()


def patch_of_body(server: Server, content_type: str | None, body: bytes) -> Patch:
    """Return the patch in a request body.

    Raises FhirError 415 for another content type, 400 for a malformed patch.
    """
    media = (content_type or "").partition(";")[0].strip().lower()
    if media == JSON_PATCH:
        return Patch(len(body), json=json_patch.read_operations(decode_list(body)))
    if media == XML_PATCH:
        return Patch(len(body), xml=xml_patch.read_operations(body))
    if media in _FHIR_JSON:
        return patch_of_entry(server, decode(body), len(body))
    if media in _FHIR_XML:
        return patch_of_entry(server, server.xml.decode(body), len(body))
    raise error(
        "not-supported",
        f"A PATCH has the Content-Type {', '.join(ACCEPTED)}; the last two hold a Parameters resource.",
        status=415,
        headers={"Accept-Patch": ", ".join(ACCEPTED)},
    )


def patch_of_entry(server: Server, resource: dict[str, Any], size: int) -> Patch:
    """Return the patch in the resource of a Bundle entry, of ``size`` bytes; raises FhirError as ``patch_of_body``."""
    if resource.get("resourceType") != "Binary":
        return _of_parameters(server, resource, size)
    try:
        data = base64.b64decode(resource.get("data", ""), validate=True)
    except (binascii.Error, TypeError, ValueError):
        raise error("value", "The Binary of a PATCH entry holds no base64 data.") from None
    content_type = resource.get("contentType")
    return patch_of_body(server, content_type if isinstance(content_type, str) else None, data)


def _of_parameters(server: Server, parameters: dict[str, Any], size: int) -> Patch:
    if parameters.get("resourceType") != "Parameters":
        raise error(
            "structure",
            "A FHIRPath Patch is a Parameters resource; "
            f"other patches have the Content-Type {JSON_PATCH} or {XML_PATCH}.",
            expression="resourceType",
        )
    assess(server, parameters)
    return Patch(size, fhirpath=fhirpath_patch.read_operations(parameters))


def patched(server: Server, body: bytes, patch: Patch) -> tuple[dict[str, Any], tuple[Issue, ...]]:
    """Return the new resource and the warnings about it; ``body`` is the current version's JSON.

    Id and meta are those of the current version. Raises FhirError 422 when the patch does not fit, when it touches what
    the server owns, or when its result is not valid; 400 when it is beyond its budget.
    """
    budget = Budget(len(body), patch.size)
    before = decode(body)
    if patch.json is not None:
        after = json_patch.apply(decode(body), patch.json, budget)
    elif patch.xml is not None:
        after = _patched_as_xml(server, before, patch.xml)
    else:
        clock = datetime.fromtimestamp(server.clock() / 1000, UTC)
        after = fhirpath_patch.apply(
            decode(body), patch.fhirpath, budget, server.definitions.types, lambda: clock
        )
    _check_guarded(before, after)
    try:
        return after, assess(server, after)
    except FhirError as problem:
        # The patch was understood, its result is what can't be processed (RFC 5789, 2.2).
        raise FhirError(*problem.issues, status=422) from None


def _patched_as_xml(
    server: Server, before: dict[str, Any], operations: tuple[xml_patch.Operation, ...]
) -> dict[str, Any]:
    made = xml_patch.apply(server.xml.encode(before), operations)
    try:
        return server.xml.decode(made)
    except FhirError as problem:
        # Lines and columns are those of a document that the sender has never seen.
        issues = [replace(issue, line=0, column=0) for issue in problem.issues]
        raise FhirError(*issues, status=422) from None


def _check_guarded(before: dict[str, Any], after: Any) -> None:
    """Raise FhirError 422 when a patch touches what the server owns."""
    if not isinstance(after, dict):
        raise error("processing", "The patch leaves no resource.")
    if any(after.get(name) != before.get(name) for name in ("resourceType", "id")):
        raise _owned("resourceType and id")
    meta = after.get("meta")
    if not isinstance(meta, dict) or any(
        meta.get(name) != before["meta"].get(name) for name in ("versionId", "lastUpdated")
    ):
        raise _owned("meta.versionId and meta.lastUpdated")
    if is_subsetted(after):
        raise error(
            "business-rule", "A resource can't be tagged SUBSETTED: it would say that parts are missing."
        )


def _owned(names: str) -> FhirError:
    return error(
        "business-rule",
        f"The server assigns {names}; a patch can't change or remove them. Patch the other elements one by one.",
    )
