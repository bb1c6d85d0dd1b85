"""What a validation finds: findings with paths that grow from the inside out, and the issues made of them.

Findings are made on the failure path only; a valid resource has none and costs no path.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from fhir_server.outcome import Issue

#: Issues that one validation lists at most: it stops after so many errors, and lists no more warnings.
MAX_ISSUES = 100
MAX_WARNINGS = 50


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

    ``resource`` and ``root`` are what ``%resource`` and ``%rootResource`` mean at this point; ``left`` is
    how many errors may still be found; ``is_conditional`` tells that references may be searches (in
    transactions); ``element_ids`` are those met in this resource; ``unevaluated`` are the keys of
    invariants that failed to run.
    """

    __slots__ = (
        "contained", "element_ids", "environment", "is_conditional", "left", "resource", "root",
        "unevaluated", "warnings_left",
    )  # fmt: skip

    def __init__(self, resource: dict[str, Any]) -> None:
        self.resource = resource
        self.root = resource
        self.left = MAX_ISSUES
        self.warnings_left = MAX_WARNINGS
        self.environment: Any = None
        self.contained: dict[str, str] | None = None
        self.is_conditional = False
        self.element_ids: set[str] = set()
        self.unevaluated: list[str] = []

    def error(self, code: str, text: str, rule: str, path: str = "") -> Findings:
        """Return one new finding of severity error, or none if there are too many already."""
        self.left -= 1
        return [Finding("error", code, text, rule, path)] if self.left >= 0 else []

    def warning(self, code: str, text: str, rule: str, path: str = "") -> Findings:
        """Return one new finding of severity warning, or none if there are too many already."""
        self.warnings_left -= 1
        return [Finding("warning", code, text, rule, path)] if self.warnings_left >= 0 else []

    def broken(self, severity: str, text: str, rule: str) -> Findings:
        """Return the finding of a broken invariant."""
        return (self.error if severity == "error" else self.warning)("invariant", text, rule)

    def contained_types(self) -> dict[str, str]:
        """Return the types of the root's contained resources by their ids."""
        if self.contained is None:
            contained = self.root.get("contained")
            self.contained = {
                c["id"]: str(c.get("resourceType", ""))
                for c in (contained if isinstance(contained, list) else ())
                if isinstance(c, dict) and isinstance(c.get("id"), str)
            }
        return self.contained


def placed(findings: Findings, segment: str, definition: str) -> Findings:
    """Return the findings, moved below ``segment``; ``definition`` is the path of that element."""
    for finding in findings:
        finding.path = segment + finding.path
        if finding.rule.endswith("@"):
            finding.rule += definition
    return findings


def has_errors(findings: Iterable[Finding]) -> bool:
    """Tell whether one of the findings is more than a warning."""
    return any(f.severity == "error" for f in findings)


def issues(findings: Findings, run: Run, root: str, as_warnings: frozenset[str]) -> tuple[Issue, ...]:
    """Return the issues of these findings below ``root``; the last one tells if some were left out.

    Those of the rules ``as_warnings`` are of severity warning.
    """
    listed = [
        Issue("warning" if f.rule in as_warnings else f.severity, f.code, f.text, root + f.path, f.rule)
        for f in findings
    ]
    listed += [
        Issue("information", "incomplete", f"Rule {key} could not be evaluated on this content.", root, key)
        for key in dict.fromkeys(run.unevaluated)
    ]
    if run.left < 0:
        text = f"More issues were not listed: these are the first {MAX_ISSUES} errors."
        listed.append(Issue("error", "incomplete", text, root, "incomplete"))
    elif run.warnings_left < 0:
        text = f"More warnings were not listed: these are the first {MAX_WARNINGS}."
        listed.append(Issue("information", "incomplete", text, root, "incomplete"))
    return tuple(listed)
