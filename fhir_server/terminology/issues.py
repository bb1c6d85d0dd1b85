"""What terminology operations say: one row for each message, with the ids and sentences that clients of FHIR know.

The ids and texts are those of HL7's reference validator and its terminology tests (fhir-tx-ecosystem), so that tools
that read one server's answers read ours. https://build.fhir.org/ig/HL7/fhir-tx-ecosystem-ig/
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from fhir_server.outcome import FhirError, Issue
from fhir_server.terminology.messages import MESSAGES

#: Code system of what an issue is about.
ISSUE_TYPES = "http://hl7.org/fhir/tools/CodeSystem/tx-issue-type"
MESSAGE_ID = "http://hl7.org/fhir/StructureDefinition/operationoutcome-message-id"

#: Rows that are variants of a message, and its id.
_VARIANTS = {
    "this-code-not-in-vs": "None_of_the_provided_codes_are_in_the_value_set_one",
    "unknown-and-not-in-vs": "UNKNOWN_CODESYSTEM",
}


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


class MissingValueSetError(FhirError):
    """A value set imports one that isn't here."""

    def __init__(self, url: str) -> None:
        self.issue = issue("Unable_to_resolve_value_Set_", url)
        super().__init__(self.issue, status=422)


def issue(message_id: str, *values: str, at: str = "") -> TerminologyIssue:
    """Return the issue of a message with its values, at a place in the request."""
    row = MESSAGES[message_id]
    message_id = _VARIANTS.get(message_id, message_id)
    return TerminologyIssue(
        row.severity, row.code, row.text.format(*values), at, message_id=message_id, type=row.type
    )


def refused(message_id: str, *values: str, at: str = "", status: int = 422) -> FhirError:
    """Return (not raise) the refusal of an operation for a reason of the table."""
    return FhirError(issue(message_id, *values, at=at), status=status)
