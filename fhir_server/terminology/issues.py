"""What terminology operations say: one row for each message, with the ids and sentences that clients of FHIR know.

The ids and texts are those of HL7's reference validator and its terminology tests (fhir-tx-ecosystem), so that tools
that read one server's answers read ours. https://build.fhir.org/ig/HL7/fhir-tx-ecosystem-ig/
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from fhir_server.outcome import FhirError, Issue

#: Code system of what an issue is about.
ISSUE_TYPES = "http://hl7.org/fhir/tools/CodeSystem/tx-issue-type"
MESSAGE_ID = "http://hl7.org/fhir/StructureDefinition/operationoutcome-message-id"

#: By message id: severity, issue code, what it is about, text.
_MESSAGES: dict[str, tuple[str, str, str, str]] = {
    "Unable_to_resolve_value_Set_": (
        "error", "not-found", "not-found", "A definition for the value Set '{0}' could not be found",
    ),
    "UNKNOWN_CODESYSTEM": (
        "error", "not-found", "not-found",
        "A definition for CodeSystem '{0}' could not be found, so the code cannot be validated",
    ),
    "UNKNOWN_CODESYSTEM_EXP": (
        "error", "not-found", "not-found",
        "A definition for CodeSystem '{0}' could not be found, so the value set cannot be expanded",
    ),
    "UNKNOWN_CODESYSTEM_VERSION": (
        "error", "not-found", "not-found",
        "A definition for CodeSystem '{0}' version '{1}' could not be found, so the code cannot be validated. "
        "Valid versions: {2}",
    ),
    "UNKNOWN_CODESYSTEM_VERSION_EXP": (
        "error", "not-found", "not-found",
        "A definition for CodeSystem '{0}' version '{1}' could not be found, so the value set cannot be expanded. "
        "Valid versions: {2}",
    ),
    "None_of_the_provided_codes_are_in_the_value_set_one": (
        "error", "code-invalid", "not-in-vs", "The provided code '{1}' was not found in the value set '{0}'",
    ),
    "this-code-not-in-vs": (
        "information", "code-invalid", "this-code-not-in-vs",
        "The provided code '{1}' was not found in the value set '{0}'",
    ),
    "TX_GENERAL_CC_ERROR_MESSAGE": (
        "error", "code-invalid", "not-in-vs", "No valid coding was found for the value set '{0}'",
    ),
    "Unknown_Code_in_Version": (
        "error", "code-invalid", "invalid-code",
        "Unknown code '{0}' in the CodeSystem '{1}' version '{2}'",
    ),
    "Unknown_Code_in": (
        "error", "code-invalid", "invalid-code", "Unknown code '{0}' in the CodeSystem '{1}'",
    ),
    "UNKNOWN_CODE_IN_FRAGMENT": (
        "warning", "code-invalid", "invalid-code",
        "Unknown Code '{0}' in the CodeSystem '{1}' version '{2}' - note that the code system is labeled as a "
        "fragment, so the code may be valid in some other fragment",
    ),
    "Coding_has_no_system__cannot_validate": (
        "warning", "invalid", "invalid-data",
        "Coding has no system. A code with no system has no defined meaning, and it cannot be validated. A system "
        "should be provided",
    ),
    "UNABLE_TO_INFER_CODESYSTEM": (
        "error", "not-found", "cannot-infer",
        "The System URI could not be determined for the code '{0}' in the ValueSet '{1}'",
    ),
    "Terminology_TX_System_ValueSet2": (
        "error", "invalid", "invalid-data",
        "The Coding references a value set, not a code system ('{0}')",
    ),
    "Terminology_TX_System_Relative": (
        "error", "invalid", "invalid-data",
        "Coding.system must be an absolute reference, not a local reference",
    ),
    "Display_Name_for__should_be_one_of__instead_of": (
        "error", "invalid", "invalid-display",
        "Wrong Display Name '{0}' for {1}#{2}. {3} (for the language(s) '{4}')",
    ),
    "NO_VALID_DISPLAY_FOUND_NONE_FOR_LANG_OK": (
        "information", "invalid", "invalid-display",
        "There are no valid display names found for the code {1}#{2} for language(s) '{3}'. The display is '{0}' "
        "which is a valid display for the default language",
    ),
    "NO_VALID_DISPLAY_FOUND_NONE_FOR_LANG_ERR": (
        "error", "invalid", "invalid-display",
        "Wrong Display Name '{0}' for {1}#{2}. There are no valid display names found for language(s) '{3}'. "
        "Default display is '{4}'",
    ),
    "NO_VALID_DISPLAY_AT_ALL": (
        "error", "invalid", "invalid-display",
        "Wrong Display Name '{0}' for {1}#{2}. There are no valid display names in its code system",
    ),
    "INVALID_DISPLAY_NAME": (
        "error", "processing", "invalid-display", "Invalid displayLanguage: '{0}'",
    ),
    "INACTIVE_CONCEPT_FOUND": (
        "warning", "business-rule", "code-comment",
        "The concept '{1}' has a status of {0} and its use should be reviewed",
    ),
    "DEPRECATED_CONCEPT_FOUND": (
        "warning", "business-rule", "code-comment",
        "The concept '{1}' is deprecated and its use should be reviewed",
    ),
    "CONCEPT_DEPRECATED_IN_VALUESET": (
        "warning", "business-rule", "code-comment",
        "The presence of the concept '{1}' in the system '{0}' in the value set {3} is marked with a status of {2} "
        "and its use should be reviewed",
    ),
    "STATUS_CODE_WARNING_CODE": (
        "error", "business-rule", "code-rule", "The concept '{0}' is not active: it is excluded by activeOnly",
    ),
    "ABSTRACT_CODE_NOT_ALLOWED": (
        "error", "business-rule", "code-rule",
        "Code '{0}#{1}' is abstract, and not allowed in this context",
    ),
    "CODE_CASE_DIFFERENCE": (
        "information", "business-rule", "code-rule",
        "The code '{0}' differs from the correct code '{1}' by case. Although the code system '{2}' is case "
        "insensitive, implementers are strongly encouraged to use the correct case anyway",
    ),
    "VALUESET_SUPPLEMENT_MISSING": (
        "error", "not-found", "not-found", "Required supplement not found: {0}",
    ),
    "CODESYSTEM_CS_NO_SUPPLEMENT": (
        "error", "invalid", "invalid-data",
        "CodeSystem {0} is a supplement, so can't be used as a value in Coding.system",
    ),
    "UNABLE_TO_HANDLE_SYSTEM_FILTER_WITH_NO_VALUE": (
        "error", "invalid", "vs-invalid",
        "The system {0} filter with property = {1}, op = {2} has no value",
    ),
    "VALUESET_CIRCULAR_REFERENCE": (
        "error", "processing", "vs-invalid",
        "Cyclic reference detected when including {0} via [{1}]",
    ),
    "VALUESET_TOO_COSTLY": (
        "error", "too-costly", "",
        "The value set '{0}' expansion has too many codes to display (>{1}). Give count and offset, or a filter",
    ),
    "VALUESET_VALUE_MISMATCH": (
        "error", "invalid", "vs-invalid",
        "The code system '{0}' version '{1}' in the ValueSet include is different to the one in the value ('{2}')",
    ),
    "VALUESET_VALUE_MISMATCH_CHANGED": (
        "error", "invalid", "vs-invalid",
        "The code system '{0}' version '{1}' resulting from the version '{2}' in the ValueSet include is different to "
        "the one in the value ('{3}')",
    ),
    "VALUESET_VALUE_MISMATCH_DEFAULT": (
        "warning", "invalid", "vs-invalid",
        "The code system '{0}' version '{1}' for the versionless include in the ValueSet include is different to the "
        "one in the value ('{2}')",
    ),
    "VALUESET_VERSION_CHECK": (
        "error", "exception", "version-error",
        "The version '{1}' is not allowed for system '{0}': required to be '{2}' by a version-check parameter",
    ),
    "MSG_DEPRECATED": ("information", "business-rule", "status-check", "Reference to deprecated {1} {0}"),
    "MSG_DRAFT": ("information", "business-rule", "status-check", "Reference to draft {1} {0}"),
    "MSG_EXPERIMENTAL": ("information", "business-rule", "status-check", "Reference to experimental {1} {0}"),
    "MSG_WITHDRAWN": ("information", "business-rule", "status-check", "Reference to withdrawn {1} {0}"),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class TerminologyIssue(Issue):
    """An Issue that says in ``details`` what it is about; ``diagnostics`` is the text of its details."""

    message_id: str = ""
    #: A code of ISSUE_TYPES.
    type: str = ""

    def as_json(self) -> dict[str, Any]:
        """Return the issue as the JSON object of OperationOutcome.issue."""
        issue: dict[str, Any] = {
            "extension": [{"url": MESSAGE_ID, "valueString": self.message_id}],
            "severity": self.severity,
            "code": self.code,
            "details": {"text": self.diagnostics},
        }
        if self.type:
            issue["details"] = {"coding": [{"system": ISSUE_TYPES, "code": self.type}], **issue["details"]}
        if self.expression:
            issue |= {"location": [self.expression], "expression": [self.expression]}
        return issue


def issue(message_id: str, *values: str, at: str = "") -> TerminologyIssue:
    """Return the issue of a message with its values, at a place in the request."""
    severity, code, type_, text = _MESSAGES[message_id]
    if message_id == "this-code-not-in-vs":
        message_id = "None_of_the_provided_codes_are_in_the_value_set_one"
    return TerminologyIssue(
        severity, code, text.format(*values), at, message_id=message_id, type=type_
    )


def refused(message_id: str, *values: str, at: str = "", status: int = 422) -> FhirError:
    """Return (not raise) the refusal of an operation for a reason of the table."""
    return FhirError(issue(message_id, *values, at=at), status=status)
