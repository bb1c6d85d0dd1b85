"""Inputs that several terminology operations have: versions, languages, resources of the request, the instance."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fhir_server.datatypes.json_format import decode
from fhir_server.interactions.exchange import FhirRequest, Server, Target
from fhir_server.operations.inputs import Inputs
from fhir_server.outcome import error
from fhir_server.terminology import Library, VersionRules
from fhir_server.terminology.code_system import CodeSystem
from fhir_server.terminology.issues import refused
from fhir_server.terminology.languages import Languages, parse

#: What every terminology operation takes.
COMMON: Mapping[str, str] = {
    "displayLanguage": "text",
    "tx-resource": "object*",
    "useSupplement": "text*",
    "system-version": "text*",
    "check-system-version": "text*",
    "force-system-version": "text*",
    "default-valueset-version": "text*",
    "uuid": "text",
}


def rules_of(given: Inputs) -> VersionRules:
    """Return what the inputs say about versions; FhirError 400 for a canonical without version."""
    return VersionRules(
        _versions(given, "system-version"),
        _versions(given, "check-system-version"),
        _versions(given, "force-system-version"),
        _versions(given, "default-valueset-version"),
    )


def _versions(given: Inputs, name: str) -> dict[str, str]:
    found = {}
    for canonical in given.texts(name):
        url, separator, version = canonical.partition("|")
        if not separator or not version:
            raise error("value", f"The parameter {name} is a canonical with a version: url|version.")
        found[url] = version
    return found


def languages_of(given: Inputs, request: FhirRequest, default: str = "") -> Languages:
    """Return the languages of ``displayLanguage``, else of the Accept-Language header, else the default."""
    return parse(given.text("displayLanguage") or request.headers.get("accept-language", "") or default)


async def instance(server: Server, request: FhirRequest, target: Target) -> dict[str, Any] | None:
    """Return the resource of the address at instance level, None at type level; FhirError 404 or 410."""
    if not target.id:
        return None
    row = await server.store.read(target.type, target.id, request.access)
    if row is None:
        known = _of_definitions(server, target)
        if known is not None:
            return known
        raise error("not-found", f"There is no {target.type} with this id.")
    if row.is_deleted:
        raise error("deleted", f"This {target.type} was deleted.")
    return decode(row.body)


def _of_definitions(server: Server, target: Target) -> dict[str, Any] | None:
    """Return one of R4's own value sets or code systems by its id."""
    places = {
        "ValueSet": ("http://hl7.org/fhir/ValueSet/", "http://terminology.hl7.org/ValueSet/"),
        "CodeSystem": ("http://hl7.org/fhir/", "http://terminology.hl7.org/CodeSystem/"),
    }
    for prefix in places.get(target.type, ()):
        for resource in server.code_sets.shelf.versions_of(target.type, prefix + target.id).values():
            if resource.get("id") == target.id:
                return resource
    return None


def check_supplements(library: Library, wanted: tuple[str, ...]) -> None:
    """Raise FhirError 422 for a supplement that isn't here."""
    for canonical in wanted:
        if library.supplement(canonical) is None:
            raise refused("VALUESET_SUPPLEMENT_MISSING", canonical)


def system_of(library: Library, url: str, version: str) -> CodeSystem:
    """Return a code system; FhirError 404 when it isn't here in this version."""
    found = library.system(url, version)
    if found is not None:
        return found
    known = library.versions(url)
    if known and version:
        raise refused("UNKNOWN_CODESYSTEM_VERSION", url, version, " or ".join(sorted(known)), status=404)
    raise refused("UNKNOWN_CODESYSTEM", url, status=404)
