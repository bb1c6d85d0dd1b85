"""Issues, the one exception that carries them, and the table issue code -> HTTP status.

https://hl7.org/fhir/R4/operationoutcome.html, https://hl7.org/fhir/R4/valueset-issue-type.html
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from fhir_server.messages import ENGLISH, LANGUAGE, TRANSLATION, languages, translated

#: Numbers that keep their own text are written as Decimal writes them: another text of the same number.
_patches = msgspec.json.Encoder(
    decimal_format="number", enc_hook=lambda number: msgspec.Raw(str(number).encode())
)

#: HTTP status of each issue code (https://hl7.org/fhir/R4/http.html#Status-Codes); codes not named are 400.
STATUS_BY_CODE: dict[str, int] = {
    "structure": 400,
    "required": 400,
    "value": 400,
    "invalid": 400,
    "invariant": 422,
    "code-invalid": 422,
    "business-rule": 422,
    "extension": 422,
    "processing": 422,
    "security": 403,
    "login": 401,
    "forbidden": 403,
    "not-found": 404,
    "deleted": 410,
    "not-supported": 400,
    "conflict": 409,
    "duplicate": 409,
    "multiple-matches": 412,
    "too-long": 413,
    "too-costly": 422,
    "throttled": 429,
    "timeout": 503,
    "transient": 503,
    "lock-error": 503,
    "no-store": 503,
    "exception": 500,
}


@dataclass(frozen=True, slots=True)
class Fix:
    """What would mend an issue: one operation of JSON Patch (RFC 6902) on the resource as JSON.

    ``assumes`` is what must be true for it to keep the meaning, "" when nothing is.
    """

    operation: Mapping[str, Any]
    assumes: str = ""

    def patch(self) -> str:
        """Return the JSON Patch document."""
        return _patches.encode([self.operation]).decode()

    def as_json(self) -> dict[str, Any]:
        """Return the extension of an issue."""
        parts: list[dict[str, Any]] = [{"url": "patch", "valueString": self.patch()}]
        if self.assumes:
            parts.append({"url": "assumes", **_spoken("valueString", self.assumes)})
        return {"url": FIX, "extension": parts}


@dataclass(frozen=True, slots=True)
class Issue:
    """One OperationOutcome.issue.

    ``severity`` is fatal, error, warning or information; ``code`` an IssueType; ``diagnostics`` a sentence that
    tells the sender what to change; ``expression`` a FHIRPath into the sender's resource ("" when there is none);
    ``rule`` a stable id of the rule that was broken (constraint key or ``facet@path``); ``line`` and ``column`` the
    place in the sender's text, from 1 (0: not known); ``fix`` what would mend it, where that can be told.
    """

    severity: str
    code: str
    diagnostics: str
    expression: str = ""
    rule: str = ""
    line: int = 0
    column: int = 0
    fix: Fix | None = None

    def as_json(self) -> dict[str, Any]:
        """Return the issue as the JSON object of OperationOutcome.issue.

        Its diagnostics are in the language of the answer, those of other languages are its translations.
        """
        issue: dict[str, Any] = {}
        if self.line:
            issue["extension"] = [
                {"url": LINE, "valueInteger": self.line},
                {"url": COLUMN, "valueInteger": self.column},
            ]
        if self.fix is not None:
            issue.setdefault("extension", []).append(self.fix.as_json())
        issue |= {"severity": self.severity, "code": self.code}
        if self.rule:
            issue["details"] = {"coding": [{"system": RULE_SYSTEM, "code": self.rule}]}
        issue |= _spoken("diagnostics", self.diagnostics)
        if self.line:
            issue["location"] = [f"Line[{self.line}] Col[{self.column}]"]
        if self.expression:
            issue["expression"] = [self.expression]
        return issue


def _spoken(name: str, text: str) -> dict[str, Any]:
    """Return a text property in the language of the answer, in English if it can't be had, and its translations."""
    spoken = {language: said for language in languages() if (said := translated(text, language)) is not None}
    first = LANGUAGE.get() if LANGUAGE.get() in spoken else ENGLISH
    others = [
        {
            "url": TRANSLATION,
            "extension": [{"url": "lang", "valueCode": language}, {"url": "content", "valueString": said}],
        }
        for language, said in spoken.items()
        if language != first
    ]
    return {name: spoken[first], **({f"_{name}": {"extension": others}} if others else {})}


#: The extension that holds a suggested fix (profiles/StructureDefinition-issue-fix.json).
FIX = "urn:fhir-space-server:StructureDefinition:issue-fix"
#: Code system of the stable rule ids in ``issue.details``.
RULE_SYSTEM = "urn:fhir-space-server:rule"
#: Extensions that tell the place in the sender's text.
LINE = "http://hl7.org/fhir/StructureDefinition/operationoutcome-issue-line"
COLUMN = "http://hl7.org/fhir/StructureDefinition/operationoutcome-issue-col"


class FhirError(Exception):
    """An interaction can't go on; carries its issues and the HTTP status of the answer.

    Caught in exactly two places: the router, and a batch entry.
    """

    def __init__(
        self, *issues: Issue, status: int | None = None, headers: dict[str, str] | None = None
    ) -> None:
        super().__init__(issues[0].diagnostics)
        self.issues: tuple[Issue, ...] = issues
        self.status = status if status is not None else STATUS_BY_CODE.get(issues[0].code, 400)
        self.headers = headers or {}


def error(
    code: str,
    diagnostics: str,
    *,
    expression: str = "",
    status: int | None = None,
    headers: dict[str, str] | None = None,
) -> FhirError:
    """Return (not raise) a FhirError with a single issue of severity error."""
    return FhirError(Issue("error", code, diagnostics, expression), status=status, headers=headers)


def operation_outcome(issues: Sequence[Issue]) -> dict[str, Any]:
    """Return the OperationOutcome resource of these issues, in the language of the answer; at least one is required."""
    language = LANGUAGE.get()
    return {
        "resourceType": "OperationOutcome",
        **({"language": language} if language != ENGLISH else {}),
        "issue": [issue.as_json() for issue in issues],
    }
