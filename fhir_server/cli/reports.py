"""The forms in which ``validate`` reports: for people, for programs, and for what runs tests.

``text`` and ``json`` are written as results come; ``github`` too (workflow commands); ``junit`` and ``sarif`` are one
document at the end.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, TextIO
from urllib.parse import quote
from xml.etree import ElementTree as ET

from fhir_server import __version__

Result = dict[str, Any]

#: What the forms call severities; all others are errors.
_GITHUB_LEVELS = {"information": "notice", "warning": "warning"}
_SARIF_LEVELS = {"information": "note", "warning": "warning"}


class Text:
    """One line an issue: ``file:line:column: severity path: sentence [rule]``, and one for its fix."""

    def __init__(self, out: TextIO) -> None:
        self._out = out

    def add(self, result: Result) -> None:
        """Report one resource."""
        for issue in result["issues"]:
            where = f"{issue['expression'][0]}: " if "expression" in issue else ""
            rule = f" [{_rule(issue)}]" if _rule(issue) else ""
            place = f"{result['file']}:{issue['line']}:{issue['column']}"
            self._out.write(f"{place}: {issue['severity']} {where}{issue['diagnostics']}{rule}\n")
            if "fix" in issue:
                assumes = f" (if {issue['fix']['assumes']})" if "assumes" in issue["fix"] else ""
                self._out.write(f"  fix{assumes}: {issue['fix']['patch']}\n")

    def end(self) -> None:
        """Finish."""


class Json:
    """One JSON object a resource."""

    def __init__(self, out: TextIO) -> None:
        self._out = out

    def add(self, result: Result) -> None:
        """Report one resource."""
        self._out.write(json.dumps(result, ensure_ascii=False) + "\n")

    def end(self) -> None:
        """Finish."""


class Github:
    """Workflow commands, which GitHub shows beside the lines of a pull request."""

    def __init__(self, out: TextIO) -> None:
        self._out = out

    def add(self, result: Result) -> None:
        """Report one resource."""
        for issue in result["issues"]:
            level = _GITHUB_LEVELS.get(issue["severity"], "error")
            properties = {
                "file": result["file"], "line": issue["line"], "col": issue["column"],
                "title": _rule(issue) or issue["code"],
            }  # fmt: skip
            listed = ",".join(f"{name}={_escaped(str(value))}" for name, value in properties.items())
            self._out.write(f"::{level} {listed}::{_message(issue).replace('%', '%25')}\n")

    def end(self) -> None:
        """Finish."""


def _escaped(value: str) -> str:
    """Return a property of a workflow command; a colon or comma would end it."""
    for sign in "%\r\n:,":
        value = value.replace(sign, f"%{ord(sign):02X}")
    return value


class Junit:
    """JUnit XML: a test case for each resource; an invalid one fails."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._suite = ET.Element("testsuite", name="fhir-server validate")
        self._failed = 0

    def add(self, result: Result) -> None:
        """Report one resource."""
        name = "/".join(part for part in (result["resourceType"], result["id"]) if isinstance(part, str))
        case = ET.SubElement(
            self._suite, "testcase",
            classname=_clean(result["file"]), name=_clean(name or f"line {result['line']}"),
            time=str(result["seconds"]), file=_clean(result["file"]), line=str(result["line"]),
        )  # fmt: skip
        lines = [
            f"{issue['severity']} {issue['line']}:{issue['column']} {_message(issue)}"
            for issue in result["issues"]
        ]
        if not result["valid"]:
            self._failed += 1
            failure = ET.SubElement(case, "failure", message=_clean(lines[0] if lines else "invalid"))
            failure.text = _clean("\n".join(lines))
        elif lines:
            ET.SubElement(case, "system-out").text = _clean("\n".join(lines))

    def end(self) -> None:
        """Write the document."""
        counts = {"tests": str(len(self._suite)), "failures": str(self._failed), "errors": "0"}
        self._suite.attrib |= counts
        suites = ET.Element("testsuites", counts)
        suites.append(self._suite)
        ET.indent(suites)
        self._out.write(
            '<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(suites, encoding="unicode") + "\n"
        )


def _clean(text: str) -> str:
    """Return a text without the characters that XML can't hold."""
    return "".join(c if c >= " " or c in "\t\n" else "\ufffd" for c in text)


class Sarif:
    """SARIF 2.1.0 (OASIS), the form that code scanning services and editors read."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._results: list[dict[str, Any]] = []
        self._rules: dict[str, int] = {}

    def add(self, result: Result) -> None:
        """Report one resource."""
        uri = quote(Path(result["file"]).as_posix())
        for issue in result["issues"]:
            rule = _rule(issue) or issue["code"]
            index = self._rules.setdefault(rule, len(self._rules))
            logical = [{"fullyQualifiedName": issue["expression"][0]}] if "expression" in issue else []
            region = {"startLine": max(issue["line"], 1), "startColumn": issue["column"]}
            self._results.append({
                "ruleId": rule,
                "ruleIndex": index,
                "level": _SARIF_LEVELS.get(issue["severity"], "error"),
                "message": {"text": _message(issue)},
                "locations": [{
                    "physicalLocation": {"artifactLocation": {"uri": uri}, "region": region},
                    **({"logicalLocations": logical} if logical else {}),
                }],
            })  # fmt: skip

    def end(self) -> None:
        """Write the document."""
        driver = {
            "name": "fhir-server",
            "version": __version__,
            "informationUri": "https://hl7.org/fhir/R4/validation.html",
            "rules": [{"id": rule} for rule in self._rules],
        }
        document = {
            "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
            "version": "2.1.0",
            "runs": [
                {"tool": {"driver": driver}, "columnKind": "unicodeCodePoints", "results": self._results}
            ],
        }
        self._out.write(json.dumps(document, ensure_ascii=False, indent=2) + "\n")


Report = Text | Json | Junit | Sarif | Github
REPORTS: dict[str, type[Report]] = {
    "text": Text, "json": Json, "junit": Junit, "sarif": Sarif, "github": Github,
}  # fmt: skip


def _rule(issue: dict[str, Any]) -> str:
    return str(issue["details"]["coding"][0]["code"]) if "details" in issue else ""


def _message(issue: dict[str, Any]) -> str:
    where = f"{issue['expression'][0]}: " if "expression" in issue else ""
    return " ".join(str(where + issue["diagnostics"]).splitlines())
