"""TestScripts, read from files and judged before they are run.

What the engine doesn't do is refused here, so that nothing in a script is silently ignored.
https://hl7.org/fhir/R4/testscript.html
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from fhir_server.datatypes.json_format import decode, encode
from fhir_server.datatypes.xml_format import XmlFormat
from fhir_server.outcome import FhirError
from fhir_server.testscript.endpoints import Endpoints
from fhir_server.validation import Validator

#: Issues about these change nothing in how a script is carried out: references to files beside the script, which is
#: more than a Reference may be elsewhere, and relative canonicals of capabilities (R4's own examples have both).
_HARMLESS = re.compile(r"TestScript\.(fixture\[\d+\]\.resource|profile\[\d+\]|metadata\.)")


@dataclass(frozen=True)
class Script:
    """A TestScript; ``folder`` is what its relative references are relative to, None when it has no file."""

    resource: dict[str, Any]
    source: str
    folder: Path | None = None

    @property
    def name(self) -> str:
        """Its name, or that of its file."""
        return str(self.resource.get("name") or Path(self.source).stem)

    @cached_property
    def digest(self) -> str:
        """The SHA-256 of its content."""
        return hashlib.sha256(encode(self.resource)).hexdigest()

    def actions(self) -> Iterator[tuple[str, dict[str, Any], list[dict[str, Any]]]]:
        """Yield (kind, the phase, its actions) of setup, tests and teardown, in this order."""
        if "setup" in self.resource:
            yield "setup", self.resource["setup"], self.resource["setup"].get("action", [])
        for test in self.resource.get("test", []):
            yield "test", test, test.get("action", [])
        if "teardown" in self.resource:
            yield "teardown", self.resource["teardown"], self.resource["teardown"].get("action", [])


def read_script(path: Path, xml: XmlFormat) -> Script | None:
    """Return the TestScript in a file (JSON or XML), None when it holds another resource.

    Raises FhirError when the file can't be read as a resource, OSError when it can't be read at all.
    """
    body = path.read_bytes()
    is_xml = body.removeprefix(b"\xef\xbb\xbf").lstrip()[:1] == b"<"
    resource = xml.decode(body) if is_xml else decode(body)
    return Script(resource, str(path), path.parent) if resource.get("resourceType") == "TestScript" else None


def complaints(script: Script, validator: Validator, endpoints: Endpoints) -> list[str]:
    """Return why a script can't be run as it says; empty when it can."""
    try:
        issues = validator.validate(script.resource)
    except FhirError as refused:
        issues = refused.issues
    found = [
        f"{issue.expression}: {issue.diagnostics}"
        for issue in issues
        if issue.severity in {"error", "fatal"} and not _HARMLESS.match(issue.expression)
    ]
    return found or [*_unsupported(script.resource), *_indices(script, endpoints), *_ids(script)]


def _unsupported(resource: dict[str, Any]) -> Iterator[str]:
    if _holds_modifier(resource):
        yield "The script has modifier extensions, whose meaning is not known here."
    if not resource.get("test") and not resource.get("setup"):
        yield "The script has neither a setup nor tests."


def _holds_modifier(value: Any) -> bool:
    if isinstance(value, dict):
        if "modifierExtension" in value:
            return True
        return any(_holds_modifier(v) for n, v in value.items() if n != "contained")
    return isinstance(value, list) and any(map(_holds_modifier, value))


def _indices(script: Script, endpoints: Endpoints) -> Iterator[str]:
    declared = {
        kind: {row["index"] for row in script.resource.get(kind, [])} for kind in ("origin", "destination")
    }
    used = declared["destination"] | {
        op["destination"] for op in _parts(script, "operation") if "destination" in op
    }
    for index in sorted(used - set(endpoints.bases)):
        yield f"Destination {index} has no base URL: give --destination {index}=URL."
    for op in _parts(script, "operation"):
        for kind in ("origin", "destination"):
            if kind in op and declared[kind] and op[kind] not in declared[kind]:
                yield f"An operation names {kind} {op[kind]}, which the script doesn't declare."


def _parts(script: Script, kind: str) -> Iterator[dict[str, Any]]:
    return (a[kind] for _, _, actions in script.actions() for a in actions if kind in a)


def _ids(script: Script) -> Iterator[str]:
    """Yield a sentence for each id that is used and nowhere given."""
    resource = script.resource
    operations = list(_parts(script, "operation"))
    fixtures = {fixture["id"] for fixture in resource.get("fixture", []) if "id" in fixture}
    messages = fixtures | {o[n] for o in operations for n in ("requestId", "responseId") if n in o}
    profiles = {profile["id"] for profile in resource.get("profile", []) if "id" in profile}
    named = {
        "sourceId": messages, "targetId": messages, "compareToSourceId": messages, "minimumId": messages,
        "validateProfileId": profiles,
    }  # fmt: skip
    users = [*operations, *_parts(script, "assert"), *resource.get("variable", [])]
    told: set[str] = set()
    for user in users:
        for name, known in named.items():
            if name in user and user[name] not in known | told and "${" not in user[name]:
                told.add(user[name])
                yield f'{name} "{user[name]}" is the id of no fixture, profile, request or response.'
    if any("id" not in fixture for fixture in resource.get("fixture", [])):
        yield "A fixture without id can't be referred to: give it one."
