"""What $validate-code says about a code beside yes and no; ``at`` is the place of its coding in the request.

https://hl7.org/fhir/R4/valueset-operation-validate-code.html
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from fhir_server.terminology.code_system import CodeSystem
from fhir_server.terminology.concept import Concept, text_of
from fhir_server.terminology.expansion_rendering import state_of
from fhir_server.terminology.issues import TerminologyIssue, issue
from fhir_server.terminology.library import Library
from fhir_server.terminology.membership import imported, name_of

#: Issues that are not repeated in the message of an answer.
_QUIET = frozenset(
    {
        "CODE_CASE_DIFFERENCE",
        "CONCEPT_DEPRECATED_IN_VALUESET",
        "MSG_DEPRECATED",
        "MSG_DRAFT",
        "MSG_EXPERIMENTAL",
        "MSG_WITHDRAWN",
        "UNKNOWN_CODE_IN_FRAGMENT",
    }
)


def at_(place: str, name: str) -> str:
    """Return the place of an element of a coding; ``place`` is "" for a code by itself."""
    return f"{place}.{name}" if place else name


def remarks(
    system: CodeSystem, concept: Concept, code: str, at: str, *, active_only: bool, allow_abstract: bool
) -> Iterator[TerminologyIssue]:
    """Yield what is to be said about a code whether it is in the value set or not."""
    if code != concept.code:
        yield issue("CODE_CASE_DIFFERENCE", code, concept.code, system.canonical, at=at_(at, "code"))
    if system.is_inactive(concept):
        status = system.status(concept)
        shown = f"{status} and inactive" if status and status != "inactive" else "inactive"
        yield issue("INACTIVE_CONCEPT_FOUND", shown, code, at=at or "code")
        if active_only:
            yield issue("STATUS_CODE_WARNING_CODE", code, at=at_(at, "code"))
    if not allow_abstract and system.is_abstract(concept):
        yield issue("ABSTRACT_CODE_NOT_ALLOWED", system.url, code, at=at_(at, "code"))


def row_of(value_set: dict[str, Any], system: CodeSystem, concept: Concept) -> dict[str, Any]:
    """Return the ``compose.include.concept`` of a code, or an empty object."""
    for clause in value_set.get("compose", {}).get("include", ()):
        if clause.get("system") == system.url:
            for row in clause.get("concept", ()):
                if row["code"] == concept.code:
                    return dict(row)
    return {}


def deprecated_in(
    value_set: dict[str, Any], system: CodeSystem, concept: Concept, at: str
) -> Iterator[TerminologyIssue]:
    """Yield that the value set marks a code as deprecated or withdrawn."""
    for row in row_of(value_set, system, concept).get("extension", ()):
        name = row.get("url", "").rpartition("/")[2]
        status = text_of(row)
        if name == "valueset-deprecated" and status == "true":
            status = "deprecated"
        if name in {"valueset-deprecated", "structuredefinition-standards-status"} and status in {
            "deprecated", "withdrawn",
        }:  # fmt: skip
            named = name_of(value_set).rstrip("|")
            yield issue(
                "CONCEPT_DEPRECATED_IN_VALUESET",
                system.url,
                concept.code,
                status,
                named,
                at=at_(at, "code"),
            )
            return


def states(library: Library, value_set: dict[str, Any], system: CodeSystem) -> Iterator[TerminologyIssue]:
    """Yield that the code system or a value set is a draft, experimental, deprecated or withdrawn."""
    others = [value_set]
    for clause in value_set.get("compose", {}).get("include", ()):
        found = (imported(library, value_set, url) for url in clause.get("valueSet", ()))
        others += [one for one in found if one is not None]
    for resource, kind, name in (
        (system.header, "CodeSystem", system.canonical),
        *((one, "ValueSet", name_of(one).rstrip("|")) for one in others),
    ):
        state = state_of(resource)
        if state and not (kind == "ValueSet" and state in {"draft", "experimental"}):
            yield issue(f"MSG_{state.upper()}", name, kind)


def unknown_code(system: CodeSystem, code: str, at: str) -> TerminologyIssue:
    """Return the issue that a code system doesn't have a code."""
    place = at_(at, "code")
    if not system.is_complete:
        return issue("UNKNOWN_CODE_IN_FRAGMENT", code, system.url, system.version, at=place)
    if system.version:
        return issue("Unknown_Code_in_Version", code, system.url, system.version, at=place)
    return issue("Unknown_Code_in", code, system.url, at=place)


def not_in_value_set(value_set: dict[str, Any], coding: dict[str, Any], at: str) -> TerminologyIssue:
    """Return the issue that a code is not in a value set: an error, but one of many in a CodeableConcept."""
    system, display = coding.get("system", ""), coding.get("display")
    shown = f"{system}{'|' + coding['version'] if coding.get('version') else ''}#{coding.get('code', '')}"
    if display:
        shown = f"{shown} ('{display}')"
    is_one_of_many = at.startswith("CodeableConcept")
    message = (
        "this-code-not-in-vs" if is_one_of_many else "None_of_the_provided_codes_are_in_the_value_set_one"
    )
    return issue(message, name_of(value_set).rstrip("|"), shown, at=at_(at, "code"))


def message_of(issues: list[TerminologyIssue]) -> str:
    """Return the message of an answer: its errors, or else what else there is to say."""
    spoken = {one.diagnostics for one in issues if one.severity == "error" or one.type == "invalid-data"}
    others = {one.diagnostics for one in issues if one.message_id not in _QUIET}
    return "; ".join(sorted(spoken or others))
