"""ValueSet/$validate-code and CodeSystem/$validate-code.

https://hl7.org/fhir/R4/valueset-operation-validate-code.html, https://hl7.org/fhir/R4/codesystem-operation-validate-code.html
"""

from __future__ import annotations

from typing import Any

from fhir_server.interactions.exchange import FhirRequest, FhirResponse, Server, Target
from fhir_server.interactions.steps.terminology import with_answers
from fhir_server.operations.expand import value_set_of
from fhir_server.operations.inputs import Inputs, answered, inputs, missing
from fhir_server.operations.terminology_inputs import (
    COMMON,
    check_supplements,
    instance,
    languages_of,
    rules_of,
)
from fhir_server.outcome import error, operation_outcome
from fhir_server.terminology import Library
from fhir_server.terminology.code_validation import Answer, CodeValidator, Options
from fhir_server.terminology.expansion import parameters_of, supplements_of
from fhir_server.terminology.issues import MissingValueSetError, TerminologyIssue, issue, refused
from fhir_server.terminology.library import with_supplements
from fhir_server.terminology.membership import name_of
from fhir_server.terminology.remarks import message_of

_TABLE = {
    **COMMON, "url": "text", "code": "text", "display": "text", "coding": "object", "codeableConcept": "object",
    "date": "text", "abstract": "boolean", "activeOnly": "boolean", "lenient-display-validation": "boolean",
}  # fmt: skip
_OF_VALUE_SET = {
    **_TABLE, "context": "text", "valueSet": "object", "valueSetVersion": "text", "system": "text",
    "systemVersion": "text", "inferSystem": "boolean", "valueset-membership-only": "boolean",
}  # fmt: skip
_OF_CODE_SYSTEM = {**_TABLE, "codeSystem": "object", "version": "text", "system": "text"}


async def validate_code(server: Server, request: FhirRequest, target: Target) -> FhirResponse:
    """Return 200 with the result; 404 for an unknown value set or code system."""
    of_value_set = target.type == "ValueSet"
    given = inputs(request, _OF_VALUE_SET if of_value_set else _OF_CODE_SYSTEM)
    for name in ("context", "date"):
        if given.has(name):
            raise error("not-supported", f"$validate-code does not take the parameter {name} here.")
    own = given.one("valueSet" if of_value_set else "codeSystem") or await instance(server, request, target)
    work = _in_value_set if of_value_set else _in_code_system
    resources = [*given.all("tx-resource"), *([own] if own is not None and own.get("url") else [])]
    found = await with_answers(
        server,
        lambda library: work(library, given, request, own),
        resources=resources,
        rules=rules_of(given),
        supplements=given.texts("useSupplement"),
    )
    return answered(found)


def codings_of(given: Inputs) -> tuple[list[dict[str, Any]], str]:
    """Return the codings to validate and their place in the request: "", Coding or CodeableConcept."""
    named = [name for name in ("code", "coding", "codeableConcept") if given.has(name)]
    if len(named) != 1:
        raise missing("Send one of code (with its system), coding and codeableConcept.")
    if named == ["codeableConcept"]:
        concept = given.one("codeableConcept") or {}
        return list(concept.get("coding", ())), "CodeableConcept"
    if named == ["coding"]:
        return [given.one("coding") or {}], "Coding"
    coding = {
        "system": given.text("system"),
        "version": given.text("systemVersion") or given.text("version"),
        "code": given.text("code"),
        "display": given.text("display"),
    }
    return [{name: value for name, value in coding.items() if value}], ""


def _options(given: Inputs, request: FhirRequest, default_language: str) -> Options:
    return Options(
        languages_of(given, request, default_language),
        given.flag("abstract", default=True),
        given.flag("activeOnly"),
        given.flag("inferSystem"),
        given.flag("lenient-display-validation"),
        given.flag("valueset-membership-only"),
    )


def _in_value_set(
    library: Library, given: Inputs, request: FhirRequest, own: dict[str, Any] | None
) -> list[dict[str, Any]]:
    if own is None and not given.text("url"):
        raise missing("Name the value set: by url, as valueSet, or call ValueSet/[id]/$validate-code.")
    codings, place = codings_of(given)
    value_set = own or value_set_of(library, given)
    supplements = (*given.texts("useSupplement"), *supplements_of(value_set))
    check_supplements(library, supplements)
    language = parameters_of(value_set).get("displayLanguage", "") or value_set.get("language", "")
    validator = CodeValidator(with_supplements(library, supplements), _options(given, request, language))
    try:
        answers = [
            validator.in_value_set(value_set, coding, _place(place, index))
            for index, coding in enumerate(codings)
        ]
    except MissingValueSetError as missing_set:  # an imported one: the answer is no, and tells why
        answers = [Answer(coding) for coding in codings]
        return _parameters(answers, [missing_set.issue], given)
    more: list[TerminologyIssue] = []
    if place == "CodeableConcept" and not any(one.is_member is True or one.is_unknown for one in answers):
        more.append(issue("TX_GENERAL_CC_ERROR_MESSAGE", name_of(value_set).rstrip("|")))
    return _parameters(answers, more, given)


def _in_code_system(
    library: Library, given: Inputs, request: FhirRequest, own: dict[str, Any] | None
) -> list[dict[str, Any]]:
    named = given.text("url") or given.text("system") or (own or {}).get("url", "")
    check_supplements(library, given.texts("useSupplement"))
    codings, place = codings_of(given)
    answers = []
    for index, coding in enumerate(codings):
        url = named or str(coding.get("system", ""))
        if not url:
            raise missing("Name the code system: by url, as codeSystem, or in the coding.")
        version = (
            given.text("version") or str((own or {}).get("version", "")) or str(coding.get("version", ""))
        )
        system = library.system(url, library.rules.of_include(url, version))
        if system is None:
            known = library.versions(url)
            if known and version:
                listed = " or ".join(sorted(known))
                raise refused("UNKNOWN_CODESYSTEM_VERSION", url, version, listed, status=404)
            raise refused("UNKNOWN_CODESYSTEM", url, status=404)
        validator = CodeValidator(library, _options(given, request, ""))
        answers.append(validator.in_code_system(system, coding, _place(place, index)))
    return _parameters(answers, [], given)


def _place(place: str, index: int) -> str:
    return f"CodeableConcept.coding[{index}]" if place == "CodeableConcept" else place


def _parameters(answers: list[Answer], more: list[TerminologyIssue], given: Inputs) -> list[dict[str, Any]]:
    issues = [*more, *(one for answer in answers for one in answer.issues)]
    members = [answer for answer in answers if answer.is_member is True]
    result = bool(members) and all(one.severity != "error" for one in issues)
    shown = next(iter(members), None)
    if shown is None and answers and not given.has("codeableConcept"):
        shown = answers[0]
    found: list[dict[str, Any]] = [{"name": "result", "valueBoolean": result}]
    message = message_of(issues)
    if message:
        found.append({"name": "message", "valueString": message})
    if shown is not None:
        found += _of_answer(shown)
    if given.has("codeableConcept"):
        found.append({"name": "codeableConcept", "valueCodeableConcept": given.one("codeableConcept")})
    unknown = dict.fromkeys(answer.unknown_system for answer in answers if answer.unknown_system)
    found += [
        {"name": "x-caused-by-unknown-system" if "|" in one else "x-unknown-system", "valueCanonical": one}
        for one in unknown
    ]
    if issues:
        found.append({"name": "issues", "resource": operation_outcome(issues)})
    return found


def _of_answer(shown: Answer) -> list[dict[str, Any]]:
    coding, system, concept = shown.coding, shown.system, shown.concept
    found: list[dict[str, Any]] = []
    if shown.display:
        found.append({"name": "display", "valueString": shown.display})
    if coding.get("code"):
        found.append({"name": "code", "valueCode": coding["code"]})
    if coding.get("system"):
        found.append({"name": "system", "valueUri": coding["system"]})
    if system is not None and system.version:
        found.append({"name": "version", "valueString": system.version})
    if system is not None and concept is not None:
        if concept.code != coding.get("code"):
            found.append({"name": "normalized-code", "valueCode": concept.code})
        if system.is_inactive(concept):
            found.append({"name": "inactive", "valueBoolean": True})
        status = system.status(concept)
        if status and status not in {"active", "inactive"}:
            found.append({"name": "status", "valueCode": status})
    return found
