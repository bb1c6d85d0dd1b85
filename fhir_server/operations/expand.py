"""ValueSet/$expand: https://hl7.org/fhir/R4/valueset-operation-expand.html."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

from fhir_server.datatypes.json_format import encode
from fhir_server.interactions.exchange import FhirRequest, FhirResponse, Server, Target
from fhir_server.interactions.steps.prepare import instant
from fhir_server.interactions.steps.terminology import with_answers
from fhir_server.operations.inputs import Inputs, inputs, missing
from fhir_server.operations.terminology_inputs import (
    COMMON,
    check_supplements,
    instance,
    languages_of,
    rules_of,
)
from fhir_server.outcome import error
from fhir_server.terminology import Library, VersionRules
from fhir_server.terminology.concept import words
from fhir_server.terminology.expansion import Expander, Wanted, parameters_of, supplements_of
from fhir_server.terminology.expansion_rendering import Renderer, Shown, warnings_of
from fhir_server.terminology.issues import refused
from fhir_server.terminology.languages import Languages
from fhir_server.terminology.library import with_supplements

_TABLE = {
    **COMMON, "url": "text", "valueSet": "object", "valueSetVersion": "text", "context": "text",
    "contextDirection": "text", "filter": "text", "date": "text", "offset": "integer", "count": "integer",
    "includeDesignations": "boolean", "designation": "text*", "includeDefinition": "boolean", "activeOnly": "boolean",
    "excludeNested": "boolean", "excludeNotForUI": "boolean", "excludePostCoordinated": "boolean",
    "exclude-system": "text*", "property": "text*",
}  # fmt: skip
#: Not done, and not harmless to ignore.
_REFUSED = {
    "context": "name the value set by url",
    "contextDirection": "name the value set by url",
    "date": "code systems are known as of now",
}
#: Inputs that the expansion repeats as it was asked, with the type of their value.
_REPEATED = {
    "filter": "valueString", "offset": "valueInteger", "count": "valueInteger", "includeDesignations": "valueBoolean",
    "includeDefinition": "valueBoolean", "activeOnly": "valueBoolean", "excludeNested": "valueBoolean",
    "excludeNotForUI": "valueBoolean", "excludePostCoordinated": "valueBoolean", "designation": "valueString",
    "exclude-system": "valueUri",
}  # fmt: skip


async def expand(server: Server, request: FhirRequest, target: Target) -> FhirResponse:
    """Return 200 with the ValueSet and its expansion; 404 for an unknown value set, 422 if it can't be expanded."""
    given = inputs(request, _TABLE, {"ValueSet": "valueSet"})
    for name, hint in _REFUSED.items():
        if given.has(name):
            raise error("not-supported", f"$expand does not take the parameter {name} here: {hint}.")
    own = given.one("valueSet") or await instance(server, request, target)
    if own is None and not given.text("url"):
        raise missing("Name the value set: by url, as valueSet, or POST ValueSet/[id]/$expand.")
    rules = rules_of(given)
    moment = instant(server.clock())

    def work(library: Library) -> dict[str, Any]:
        value_set = own or value_set_of(library, given)
        return _expanded(library, value_set, given, request, rules, moment)

    resources = [*given.all("tx-resource"), *([own] if own is not None and own.get("url") else [])]
    made = await with_answers(server, work, resources=resources, rules=rules)
    return FhirResponse(200, (), (encode(made),))


def value_set_of(library: Library, given: Inputs) -> dict[str, Any]:
    """Return the value set of the input ``url`` (with ``valueSetVersion``); FhirError 404 when it isn't here."""
    canonical = given.text("url")
    if given.text("valueSetVersion"):
        canonical = f"{canonical.partition('|')[0]}|{given.text('valueSetVersion')}"
    found = library.value_set(canonical)
    if found is None:
        raise refused("Unable_to_resolve_value_Set_", canonical, status=404)
    return found


def _expanded(
    library: Library, value_set: dict[str, Any], given: Inputs, request: FhirRequest, rules: VersionRules, moment: str
) -> dict[str, Any]:
    supplements = (*given.texts("useSupplement"), *supplements_of(value_set))
    check_supplements(library, supplements)
    library = with_supplements(library, supplements)
    own = parameters_of(value_set)
    languages = languages_of(given, request, own.get("displayLanguage", "") or value_set.get("language", ""))
    wanted = Wanted(
        tuple(words(given.text("filter"))),
        given.number("offset") or 0,
        given.number("count"),
        given.flag("activeOnly", own.get("activeOnly") == "true"),
        given.texts("exclude-system"),
        given.flag("excludeNotForUI"),
    )
    expander = Expander(library)
    members, total = expander.members(value_set, wanted)
    shown = Shown(
        languages,
        given.flag("includeDesignations", own.get("includeDesignations") == "true"),
        given.texts("designation"),
        given.flag("includeDefinition"),
        given.texts("property"),
        given.flag("excludeNested") or wanted.is_paged or bool(wanted.words),
    )
    renderer = Renderer(shown)
    rows = renderer.contains(members, is_tree=expander.is_tree)
    parameters = list(_parameters(given, own, languages, rules, expander, supplements, library))
    made = {name: value for name, value in value_set.items() if name not in {"expansion", "text"}}
    made["expansion"] = _expansion(renderer, rows, parameters, total, wanted, moment)
    return made


def _expansion(
    renderer: Renderer,
    rows: list[dict[str, Any]],
    parameters: list[dict[str, Any]],
    total: int | None,
    wanted: Wanted,
    moment: str,
) -> dict[str, Any]:
    made: dict[str, Any] = {}
    declared = renderer.declared()
    if declared:
        made["extension"] = declared
    made |= {"identifier": f"urn:uuid:{uuid4()}", "timestamp": moment}
    if total is not None:
        made["total"] = total
    if wanted.is_paged:
        made["offset"] = wanted.offset
    if parameters:
        made["parameter"] = parameters
    if rows:
        made["contains"] = rows
    return made


def _parameters(
    given: Inputs,
    own: dict[str, str],
    languages: Languages,
    rules: VersionRules,
    expander: Expander,
    supplements: tuple[str, ...],
    library: Library,
) -> Any:
    """Yield the parameters of the expansion: what was asked, and what was used."""
    if languages.text:
        yield {"name": "displayLanguage", "valueCode": languages.text}
    for name, kind in _REPEATED.items():
        for value in given.all(name):
            yield {"name": name, kind: value}
    if "versionsMatch" in own and own["versionsMatch"] == "true":
        yield {"name": "versionsMatch", "valueBoolean": True}
    for name, versions in (
        ("system-version", rules.system),
        ("check-system-version", rules.check),
        ("force-system-version", rules.force),
        ("default-valueset-version", rules.value_set),
    ):
        for url, version in versions.items():
            if name in {"force-system-version", "default-valueset-version"} or url in expander.defaulted:
                yield {"name": name, "valueUri": f"{url}|{version}"}
    for (name, canonical), _ in expander.used.items():
        yield {"name": name, "valueUri": canonical}
    for canonical in supplements:
        found = library.supplement(canonical)
        assert found is not None
        version = f"|{found['version']}" if found.get("version") else ""
        yield {"name": "used-supplement", "valueUri": found["url"] + version}
    for name, canonical in warnings_of(expander.used.items()):
        yield {"name": name, "valueUri": canonical}


