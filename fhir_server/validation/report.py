"""What a validation finds: findings with paths that grow from the inside out, and the issues made of them.

Findings are made on the failure path only; a valid resource has none and costs no path.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from fhir_server.outcome import Issue

#: Issues that one validation lists at most.
MAX_ISSUES = 100


class Finding:
    """One defect, on its way up: ``path`` is relative to the node that is being left.

    A ``rule`` that ends with ``@`` is completed with the path of the element's definition.
    """

    __slots__ = ("code", "path", "rule", "severity", "text")

    def __init__(self, severity: str, code: str, text: str, rule: str, path: str = "") -> None:
        self.severity = severity
        self.code = code
        self.text = text
        self.rule = rule
        self.path = path


Findings = list[Finding]


class Run:
    """The state of one validation.

    ``resource`` and ``root`` are what ``%resource`` and ``%rootResource`` mean at this point; ``left`` is how many
    findings may still be made; ``is_conditional`` tells that references may be searches (in transactions).
    """

    __slots__ = ("contained", "environment", "is_conditional", "left", "resource", "root")

    def __init__(self, resource: dict[str, Any]) -> None:
        self.resource = resource
        self.root = resource
        self.left = MAX_ISSUES
        self.environment: Any = None
        self.contained: dict[str, str] | None = None
        self.is_conditional = False

    def error(self, code: str, text: str, rule: str, path: str = "") -> Findings:
        """Return one new finding of severity error, or none if there are too many already."""
        return self.finding("error", code, text, rule, path)

    def finding(self, severity: str, code: str, text: str, rule: str, path: str = "") -> Findings:
        """Return one new finding, or none if there are too many already."""
        self.left -= 1
        return [Finding(severity, code, text, rule, path)] if self.left >= 0 else []

    def contained_types(self) -> dict[str, str]:
        """Return the types of the root's contained resources by their ids."""
        if self.contained is None:
            contained = self.root.get("contained")
            self.contained = {
                c["id"]: c.get("resourceType", "")
                for c in (contained if isinstance(contained, list) else ())
                if isinstance(c, dict) and isinstance(c.get("id"), str)
            }
        return self.contained


def placed(findings: Findings, segment: str, definition: str) -> Findings:
    """Return the findings after they were moved below ``segment`` of the node whose element ``definition`` is."""
    for finding in findings:
        finding.path = segment + finding.path
        if finding.rule.endswith("@"):
            finding.rule += definition
    return findings


def has_errors(findings: Iterable[Finding]) -> bool:
    """Tell whether one of the findings is more than a warning."""
    return any(f.severity == "error" for f in findings)


def issues(findings: Findings, run: Run, root: str) -> tuple[Issue, ...]:
    """Return the issues of these findings, below the path ``root``; the last one tells if some were left out."""
    listed = [Issue(f.severity, f.code, f.text, root + f.path, f.rule) for f in findings]
    if run.left < 0:
        severity = "error" if has_errors(findings) else "information"
        listed.append(
            Issue(severity, "incomplete", f"More issues were not listed: these are the first {MAX_ISSUES}.", root)
        )
    return tuple(listed)
