"""What ``validate`` does with each document: read it, judge it, mend it. Runs in worker processes too."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fhir_server.cli.sources import Document
    from fhir_server.datatypes.xml_format import XmlFormat
    from fhir_server.outcome import Issue
    from fhir_server.terminology import CodeSets
    from fhir_server.validation import Validator


@dataclass(frozen=True, slots=True)
class Task:
    """What is asked of all documents: profiles, packages to know besides those installed, language, mended texts."""

    profiles: tuple[str, ...] = ()
    packages: tuple[str, ...] = ()
    language: str = "en"
    mends: bool = False


class Judge:
    """Judges documents; compiles each type when it is first met."""

    def __init__(self, task: Task) -> None:
        """Load the definitions; raises FhirError for a package that can't be read."""
        from fhir_server import settings
        from fhir_server.datatypes.json_format import decode
        from fhir_server.definitions import Definitions
        from fhir_server.definitions.content import own_definitions
        from fhir_server.definitions.packages import PackageStore, add
        from fhir_server.messages import LANGUAGE
        from fhir_server.terminology import CodeSets

        LANGUAGE.set(task.language)
        self._task = task
        self._settings = settings.load()
        self.definitions = Definitions()
        if self._settings.content.load:
            for _, _, body in own_definitions():
                self.definitions.add(decode(body))
        store = PackageStore(settings.packages_folder(self._settings))
        store.load(self.definitions)
        #: Dependencies of the packages that aren't at hand.
        self.missing: list[str] = []
        for source in task.packages:
            found, missing = store.needed(source)
            self.missing += missing
            for package, _ in found:
                add(package, self.definitions)
        self.code_sets: CodeSets = CodeSets(self.definitions)

    @cached_property
    def validator(self) -> Validator:
        """The validator, as a server with the same settings would have it."""
        from fhir_server.validation import Policy, Validator

        chosen = self._settings.validation
        return Validator(
            self.definitions,
            self.code_sets,
            as_warnings=chosen.warning_rules,
            policy=Policy(
                unknown_extension=chosen.unknown_extension,
                unknown_modifier_extension=chosen.unknown_modifier_extension,
                unknown_profile=chosen.unknown_profile,
                imposed=chosen.imposed_profiles,
            ),
        )

    @cached_property
    def xml(self) -> XmlFormat:
        """Reads and writes XML."""
        from fhir_server.datatypes.xml_format import XmlFormat

        return XmlFormat(self.definitions.types)

    def judge(self, document: Document) -> dict[str, Any]:
        """Return the result of a document.

        These are its file, line, resourceType, id, valid, issues, the seconds that it took and its size in bytes; and
        ``mended``, its text with the fixes that change no meaning, if there are any and they are asked for; and
        ``unchecked``, sentences on constraints that can't be checked.
        """
        from fhir_server.datatypes.positions import located
        from fhir_server.outcome import FhirError, Issue

        started = time.perf_counter()
        resource: dict[str, Any] = {}
        issues: tuple[Issue, ...] = ()
        if document.number < 0:
            issues = (Issue("fatal", "incomplete", f"Can't be read: {document.body.decode()}."),)
        else:
            try:
                resource, issues = self._read(document.body)
                told = {issue.expression for issue in issues}
                found = self.validator.validate(resource, self._task.profiles)
                issues += tuple(
                    i for i in self.validator.corrected(found, resource) if i.expression not in told
                )
            except FhirError as refused:
                issues = refused.issues
            if issues:
                issues = located(issues, document.body)
        unchecked = self.validator.unchecked(resource, self._task.profiles) if resource else ()
        mended = self._mended(document.body, resource, issues) if self._task.mends else None
        return {
            "file": document.source,
            "line": document.line,
            "resourceType": resource.get("resourceType"),
            "id": resource.get("id"),
            "valid": not any(issue.severity in ("error", "fatal") for issue in issues),
            "issues": [_placed(issue, document) for issue in issues],
            "seconds": round(time.perf_counter() - started, 6),
            "size": len(document.body),
            "unchecked": [_said(issue.diagnostics) for issue in unchecked],
            **({"mended": mended} if mended is not None else {}),
        }

    def _read(self, body: bytes) -> tuple[dict[str, Any], tuple[Issue, ...]]:
        """Return the resource in a text, JSON or XML, and what could not be read of it."""
        from fhir_server.datatypes.json_format import decode

        return self.xml.read(body) if _is_xml(body) else (decode(body), ())

    def _mended(self, body: bytes, resource: dict[str, Any], issues: tuple[Issue, ...]) -> bytes | None:
        from fhir_server.datatypes.json_format import decode, encode
        from fhir_server.datatypes.json_splicing import spliced
        from fhir_server.outcome import FhirError

        # What stands in the place of another fix must wait for the next run.
        operations: dict[str, Any] = {}
        for fix in (issue.fix for issue in issues if issue.fix is not None and not issue.fix.assumes):
            place = str(fix.operation.get("from", fix.operation["path"]))
            if not any(place.startswith(p) or p.startswith(place) for p in operations):
                operations[place] = fix.operation
        if not operations:
            return None
        if not _is_xml(body):
            return spliced(body, operations.values())
        try:
            return self.xml.encode(decode(spliced(encode(resource), operations.values())), pretty=True)
        except FhirError:
            return None  # It has defects that XML can't show.


def _is_xml(body: bytes) -> bool:
    return body.removeprefix(b"\xef\xbb\xbf").lstrip()[:1] == b"<"


def _placed(issue: Issue, document: Document) -> dict[str, Any]:
    """Return an issue as JSON, with line and column in the file, and what would mend it."""
    leading = document.body[: len(document.body) - len(document.body.lstrip())].count(b"\n")
    line = document.line - leading + issue.line - 1 if issue.line else document.line
    placed = replace(issue, line=max(line, 1), column=issue.column or 1)
    found = {**placed.as_json(), "line": placed.line, "column": placed.column}
    if issue.fix is not None:
        found["fix"] = {"patch": issue.fix.patch()}
        if issue.fix.assumes:
            found["fix"]["assumes"] = _said(issue.fix.assumes)
    return found


def _said(sentence: str) -> str:
    """Return a sentence in the language that is asked for, in English if it can't be had."""
    from fhir_server.messages import LANGUAGE, translated

    return translated(sentence, LANGUAGE.get()) or str(sentence)


_judge: Judge | None = None


def begin(task: Task) -> None:
    """Make this process's judge: worker processes keep it between documents."""
    global _judge  # noqa: PLW0603 (one a process)
    _judge = Judge(task)


def judge(document: Document) -> dict[str, Any]:
    """Return the result of a document, see ``Judge.judge``; ``begin`` comes first."""
    assert _judge is not None, "begin was called"
    return _judge.judge(document)
