"""ConceptMap/$translate: https://hl7.org/fhir/R4/conceptmap-operation-translate.html."""

from __future__ import annotations

from typing import Any

from fhir_server.interactions.exchange import FhirRequest, FhirResponse, Server, Target
from fhir_server.interactions.steps.terminology import with_answers
from fhir_server.operations.inputs import Inputs, answered, inputs, missing
from fhir_server.operations.terminology_inputs import instance
from fhir_server.outcome import error
from fhir_server.terminology import Library
from fhir_server.terminology.translation import Translated, is_translation, maps_for
from fhir_server.terminology.translation import translate as translated

_TABLE = {
    "url": "text", "conceptMap": "object", "conceptMapVersion": "text", "code": "text", "system": "text",
    "version": "text", "source": "text", "coding": "object", "codeableConcept": "object", "target": "text",
    "targetsystem": "text", "dependency": "part*", "reverse": "boolean", "tx-resource": "object*",
}  # fmt: skip


async def translate(server: Server, request: FhirRequest, target: Target) -> FhirResponse:
    """Return 200 with the result and its matches; 404 for an unknown concept map."""
    given = inputs(request, _TABLE, {"ConceptMap": "conceptMap"})
    own = given.one("conceptMap") or await instance(server, request, target)
    wanted = _wanted(given)
    url = given.text("url")
    if url and given.text("conceptMapVersion"):
        url = f"{url.partition('|')[0]}|{given.text('conceptMapVersion')}"

    def work(library: Library) -> list[dict[str, Any]]:
        if own is not None:
            maps = [own]
        elif url:
            found = library.concept_map(url)
            if found is None:
                raise error("not-found", f"There is no ConceptMap '{url}' here.", status=404)
            maps = [found]
        else:
            maps = list(maps_for(library, wanted))
        return translated(library, maps, wanted)

    matches = await with_answers(server, work, resources=given.all("tx-resource"))
    result = any(is_translation(match) for match in matches)
    parameters: list[dict[str, Any]] = [{"name": "result", "valueBoolean": result}]
    if not result:
        parameters.append({"name": "message", "valueString": "No translation was found for the code."})
    return answered([*parameters, *matches])


def _wanted(given: Inputs) -> Translated:
    named = [name for name in ("code", "coding", "codeableConcept") if given.has(name)]
    if len(named) != 1:
        raise missing("Send one of code (with its system), coding and codeableConcept.")
    if named == ["code"]:
        rows = [{"system": given.text("system"), "code": given.text("code")}]
    elif named == ["coding"]:
        rows = [given.one("coding") or {}]
    else:
        rows = list((given.one("codeableConcept") or {}).get("coding", ()))
    return Translated(
        tuple((str(row.get("system", "")), str(row.get("code", ""))) for row in rows),
        given.text("targetsystem"),
        given.text("source").partition("|")[0],
        given.text("target").partition("|")[0],
        given.flag("reverse"),
        dict(_dependency(parts) for parts in given.all("dependency")),
    )


def _dependency(parts: list[dict[str, Any]]) -> tuple[str, tuple[str, str]]:
    """Return the element and the (system, code) of a dependency."""
    element, concept = "", ("", "")
    for part in parts:
        if part.get("name") == "element":
            element = str(part.get("valueUri", ""))
        elif part.get("name") == "concept":
            codings = part.get("valueCodeableConcept", {}).get("coding", [{}])
            concept = (str(codings[0].get("system", "")), str(codings[0].get("code", "")))
    return element, concept
