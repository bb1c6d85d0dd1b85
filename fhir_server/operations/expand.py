"""ValueSet/$expand: https://hl7.org/fhir/R4/valueset-operation-expand.html."""

from __future__ import annotations

from collections.abc import Iterator
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
from fhir_server.terminology import Library
from fhir_server.terminology.concept import words
from fhir_server.terminology.expansion import Expander, Wanted, parameters_of, supplements_of
from fhir_server.terminology.expansion_rendering import Renderer, Shown, warnings_of
from fhir_server.terminology.issues import refused
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
        return _expanded(library, value_set, given, request, moment)

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
    library: Library, value_set: dict[str, Any], given: Inputs, request: FhirRequest, moment: str
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
        given.texts("property"),
        given.flag("excludeNested") or wanted.is_paged or bool(wanted.words),
    )
    renderer = Renderer(shown, expander.versioned)
    rows = renderer.contains(members, is_tree=expander.is_tree)
    parameters = [
        *([{"name": "displayLanguage", "valueCode": languages.text}] if languages.text else ()),
        *({"name": name, kind: value} for name, kind in _REPEATED.items() for value in given.all(name)),
        *_used(library, expander),
    ]
    counted = {
        **({} if total is None else {"total": total}),
        **({"offset": wanted.offset} if wanted.is_paged else {}),
    }
    declared = renderer.declared()
    expansion = {
        **({"extension": declared} if declared else {}),
        "identifier": f"urn:uuid:{uuid4()}",
        "timestamp": moment,
        **counted,
        **({"parameter": parameters} if parameters else {}),
        **({"contains": rows} if rows else {}),
    }
    # "includeDefinition: whether the value set definition is included" - the compose is it.
    left_out = {"expansion", "text", "extension"} | (
        set() if given.flag("includeDefinition") else {"compose"}
    )
    return {
        **{name: value for name, value in value_set.items() if name not in left_out},
        "expansion": expansion,
    }


def _used(library: Library, expander: Expander) -> Iterator[dict[str, Any]]:
    """Yield the parameters of the expansion that tell what was used."""
    rules = library.rules
    if expander.versions_match:
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
    for name, canonical in expander.used:
        yield {"name": name, "valueUri": canonical}
    for canonical in library.supplements:
        found = library.supplement(canonical) or {}
        version = f"|{found['version']}" if found.get("version") else ""
        yield {"name": "used-supplement", "valueUri": f"{found.get('url', canonical)}{version}"}
    for name, canonical in warnings_of(expander.used.items()):
        yield {"name": name, "valueUri": canonical}
