"""CodeSystem/$lookup: https://hl7.org/fhir/R4/codesystem-operation-lookup.html."""

from __future__ import annotations

from typing import Any

from fhir_server.interactions.exchange import FhirRequest, FhirResponse, Server, Target
from fhir_server.interactions.steps.terminology import with_answers
from fhir_server.operations.inputs import answered, inputs, missing
from fhir_server.operations.terminology_inputs import (
    COMMON,
    check_supplements,
    instance,
    languages_of,
    rules_of,
    system_of,
)
from fhir_server.outcome import error
from fhir_server.terminology import Library
from fhir_server.terminology.lookup import lookup as looked_up

_TABLE = {
    **COMMON, "code": "text", "system": "text", "version": "text", "coding": "object", "date": "text",
    "property": "text*",
}  # fmt: skip


async def lookup(server: Server, request: FhirRequest, target: Target) -> FhirResponse:
    """Return 200 with what is known of a code; 404 for an unknown code system or code."""
    given = inputs(request, _TABLE)
    own = await instance(server, request, target)
    coding = given.one("coding") or {}
    code = given.text("code") or str(coding.get("code", ""))
    url = given.text("system") or str(coding.get("system", ""))
    version = given.text("version") or str(coding.get("version", ""))
    if own is not None:
        url, version = own["url"], str(own.get("version", ""))
    if not code or not url:
        raise missing("$lookup needs a code and its system, or a coding.")
    if given.has("date"):
        raise error("not-supported", "Code systems are known as of now: leave out the parameter date.")
    rules = rules_of(given)
    supplements = given.texts("useSupplement")

    def work(library: Library) -> list[dict[str, Any]]:
        check_supplements(library, supplements)
        system = system_of(library, url, rules.force.get(url) or version or rules.system.get(url, ""))
        concept = system.find(code)
        if concept is None:
            raise error("not-found", f"The code system {system.canonical} has no code '{code}'.", status=404)
        return looked_up(system, concept, languages_of(given, request), given.texts("property"))

    return answered(
        await with_answers(
            server, work, resources=given.all("tx-resource"), rules=rules, supplements=supplements
        )
    )
