"""The messages of terminology operations, by their ids.

The ids and texts are those of HL7's reference validator and its terminology tests (fhir-tx-ecosystem), so that tools
that read one server's answers read ours. https://build.fhir.org/ig/HL7/fhir-tx-ecosystem-ig/
"""

from __future__ import annotations

from typing import NamedTuple


class Message(NamedTuple):
    """Severity, issue code, what it is about (a code of ``issues.ISSUE_TYPES``), and the text with numbered values."""

    severity: str
    code: str
    type: str
    text: str


MESSAGES: dict[str, Message] = {
    "Unable_to_resolve_value_Set_": Message(
        "error",
        "not-found",
        "not-found",
        "A definition for the value Set '{0}' could not be found",
    ),
    "UNKNOWN_CODESYSTEM": Message(
        "error",
        "not-found",
        "not-found",
        "A definition for CodeSystem '{0}' could not be found, so the code cannot be validated",
    ),
    "unknown-and-not-in-vs": Message(
        "error",
        "not-found",
        "not-found",
        "A definition for CodeSystem {0} could not be found, so the code cannot be validated",
    ),
    "UNKNOWN_CODESYSTEM_EXP": Message(
        "error",
        "not-found",
        "not-found",
        "A definition for CodeSystem '{0}' could not be found, so the value set cannot be expanded",
    ),
    "UNKNOWN_CODESYSTEM_VERSION": Message(
        "error",
        "not-found",
        "not-found",
        "A definition for CodeSystem '{0}' version '{1}' could not be found, so the code cannot "
        "be validated. Valid versions: {2}",
    ),
    "UNKNOWN_CODESYSTEM_VERSION_EXP": Message(
        "error",
        "not-found",
        "not-found",
        "A definition for CodeSystem '{0}' version '{1}' could not be found, so the value set "
        "cannot be expanded. Valid versions: {2}",
    ),
    "None_of_the_provided_codes_are_in_the_value_set_one": Message(
        "error",
        "code-invalid",
        "not-in-vs",
        "The provided code '{1}' was not found in the value set '{0}'",
    ),
    "this-code-not-in-vs": Message(
        "information",
        "code-invalid",
        "this-code-not-in-vs",
        "The provided code '{1}' was not found in the value set '{0}'",
    ),
    "TX_GENERAL_CC_ERROR_MESSAGE": Message(
        "error",
        "code-invalid",
        "not-in-vs",
        "No valid coding was found for the value set '{0}'",
    ),
    "Unknown_Code_in_Version": Message(
        "error",
        "code-invalid",
        "invalid-code",
        "Unknown code '{0}' in the CodeSystem '{1}' version '{2}'",
    ),
    "Unknown_Code_in": Message(
        "error",
        "code-invalid",
        "invalid-code",
        "Unknown code '{0}' in the CodeSystem '{1}'",
    ),
    "UNKNOWN_CODE_IN_FRAGMENT": Message(
        "warning",
        "code-invalid",
        "invalid-code",
        "Unknown Code '{0}' in the CodeSystem '{1}' version '{2}' - note that the code system is "
        "labeled as a fragment, so the code may be valid in some other fragment",
    ),
    "Coding_has_no_system__cannot_validate": Message(
        "warning",
        "invalid",
        "invalid-data",
        "Coding has no system. A code with no system has no defined meaning, and it cannot be "
        "validated. A system should be provided",
    ),
    "UNABLE_TO_INFER_CODESYSTEM": Message(
        "error",
        "not-found",
        "cannot-infer",
        "The System URI could not be determined for the code '{0}' in the ValueSet '{1}'",
    ),
    "Terminology_TX_System_ValueSet2": Message(
        "error",
        "invalid",
        "invalid-data",
        "The Coding references a value set, not a code system ('{0}')",
    ),
    "Terminology_TX_System_Relative": Message(
        "error",
        "invalid",
        "invalid-data",
        "Coding.system must be an absolute reference, not a local reference",
    ),
    "Display_Name_for__should_be_one_of__instead_of": Message(
        "error",
        "invalid",
        "invalid-display",
        "Wrong Display Name '{0}' for {1}#{2}. {3} (for the language(s) '{4}')",
    ),
    "NO_VALID_DISPLAY_FOUND_NONE_FOR_LANG_OK": Message(
        "information",
        "invalid",
        "invalid-display",
        "There are no valid display names found for the code {1}#{2} for language(s) '{3}'. The "
        "display is '{0}' which is a valid display for the default language",
    ),
    "NO_VALID_DISPLAY_FOUND_NONE_FOR_LANG_ERR": Message(
        "error",
        "invalid",
        "invalid-display",
        "Wrong Display Name '{0}' for {1}#{2}. There are no valid display names found for "
        "language(s) '{3}'. Default display is '{4}'",
    ),
    "NO_VALID_DISPLAY_AT_ALL": Message(
        "error",
        "invalid",
        "invalid-display",
        "Wrong Display Name '{0}' for {1}#{2}. There are no valid display names in its code system",
    ),
    "INVALID_DISPLAY_NAME": Message(
        "error",
        "processing",
        "invalid-display",
        "Invalid displayLanguage: '{0}'",
    ),
    "INACTIVE_CONCEPT_FOUND": Message(
        "warning",
        "business-rule",
        "code-comment",
        "The concept '{1}' has a status of {0} and its use should be reviewed",
    ),
    "DEPRECATED_CONCEPT_FOUND": Message(
        "warning",
        "business-rule",
        "code-comment",
        "The concept '{1}' is deprecated and its use should be reviewed",
    ),
    "CONCEPT_DEPRECATED_IN_VALUESET": Message(
        "warning",
        "business-rule",
        "code-comment",
        "The presence of the concept '{1}' in the system '{0}' in the value set {3} is marked "
        "with a status of {2} and its use should be reviewed",
    ),
    "STATUS_CODE_WARNING_CODE": Message(
        "error",
        "business-rule",
        "code-rule",
        "The concept '{0}' is not active: it is excluded by activeOnly",
    ),
    "ABSTRACT_CODE_NOT_ALLOWED": Message(
        "error",
        "business-rule",
        "code-rule",
        "Code '{0}#{1}' is abstract, and not allowed in this context",
    ),
    "CODE_CASE_DIFFERENCE": Message(
        "information",
        "business-rule",
        "code-rule",
        "The code '{0}' differs from the correct code '{1}' by case. Although the code system "
        "'{2}' is case insensitive, implementers are strongly encouraged to use the correct case "
        "anyway",
    ),
    "VALUESET_SUPPLEMENT_MISSING": Message(
        "error",
        "not-found",
        "not-found",
        "Required supplement not found: {0}",
    ),
    "CODESYSTEM_CS_NO_SUPPLEMENT": Message(
        "error",
        "invalid",
        "invalid-data",
        "CodeSystem {0} is a supplement, so can't be used as a value in Coding.system",
    ),
    "UNABLE_TO_HANDLE_SYSTEM_FILTER_WITH_NO_VALUE": Message(
        "error",
        "invalid",
        "vs-invalid",
        "The system {0} filter with property = {1}, op = {2} has no value",
    ),
    "VALUESET_CIRCULAR_REFERENCE": Message(
        "error",
        "processing",
        "vs-invalid",
        "Cyclic reference detected when including {0} via [{1}]",
    ),
    "VALUESET_TOO_COSTLY": Message(
        "error",
        "too-costly",
        "",
        "The value set '{0}' expansion has too many codes to display (>{1}). Give count and "
        "offset, or a filter",
    ),
    "VALUESET_VALUE_MISMATCH": Message(
        "error",
        "invalid",
        "vs-invalid",
        "The code system '{0}' version '{1}' in the ValueSet include is different to the one in "
        "the value ('{2}')",
    ),
    "VALUESET_VALUE_MISMATCH_CHANGED": Message(
        "error",
        "invalid",
        "vs-invalid",
        "The code system '{0}' version '{1}' resulting from the version '{2}' in the ValueSet "
        "include is different to the one in the value ('{3}')",
    ),
    "VALUESET_VALUE_MISMATCH_DEFAULT": Message(
        "warning",
        "invalid",
        "vs-invalid",
        "The code system '{0}' version '{1}' for the versionless include in the ValueSet include "
        "is different to the one in the value ('{2}')",
    ),
    "VALUESET_VERSION_CHECK": Message(
        "error",
        "exception",
        "version-error",
        "The version '{1}' is not allowed for system '{0}': required to be '{2}' by a version-"
        "check parameter",
    ),
    "MSG_DEPRECATED": Message(
        "information",
        "business-rule",
        "status-check",
        "Reference to deprecated {1} {0}",
    ),
    "MSG_DRAFT": Message(
        "information",
        "business-rule",
        "status-check",
        "Reference to draft {1} {0}",
    ),
    "MSG_EXPERIMENTAL": Message(
        "information",
        "business-rule",
        "status-check",
        "Reference to experimental {1} {0}",
    ),
    "MSG_WITHDRAWN": Message(
        "information",
        "business-rule",
        "status-check",
        "Reference to withdrawn {1} {0}",
    ),
}
