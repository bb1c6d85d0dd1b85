"""``fhir-server validate``: files against the R4 base definitions, without a server."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fhir_server.cli.exits import Exit, stop

if TYPE_CHECKING:
    from fhir_server.cli.sources import Document
    from fhir_server.datatypes.xml_format import XmlFormat
    from fhir_server.outcome import Issue
    from fhir_server.validation import Validator

EPILOG = """\b
Examples:
  fhir-server validate observation.json 'examples/**/*.xml'
  fhir-server validate --explain Observation.component.value
"""

#: Documents that a worker process takes at once.
CHUNK = 200
#: Bytes from which several processes are used unasked: one process judges about 20 MB a second (measured: 27,000
#: resources of the examples in 2.1 s), and at 60 MB two of them on two cores gained nothing yet.
PARALLEL_FROM = 200_000_000

#: Severities of issues, the gravest first.
SEVERITIES = ("error", "warning", "information")


def validate(
    *,
    paths: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="PATH...",
            help="Files, folders, patterns such as 'data/**/*.xml', or - for standard input: JSON, NDJSON, XML, .gz,"
            " .bz2.",
        ),
    ] = None,
    output: Annotated[
        str,
        typer.Option(
            "--format",
            metavar="text|json|junit|sarif|github",
            help="text for people; json: one object a resource; junit, sarif, github for what runs your tests.",
        ),
    ] = "text",
    severity: Annotated[
        str,
        typer.Option(
            metavar="error|warning|information",
            help="The least grave issues that are listed. Only errors make a resource invalid.",
        ),
    ] = "information",
    explain: Annotated[
        str,
        typer.Option(
            metavar="PATH", help="Instead: tell the rules for an element, such as Patient.contact.gender."
        ),
    ] = "",
    jobs: Annotated[
        int, typer.Option(min=0, help="Worker processes; 0: one a core when there is very much to do.")
    ] = 0,
) -> None:
    """Validate resources against the R4 base definitions.

    Prints every issue with file, line and column. Exit code 0 when all resources are valid (warnings allowed), 1 when
    one is not, 2 when a path doesn't exist.
    """
    from fhir_server.cli.reports import REPORTS
    from fhir_server.cli.sources import WITH_XML, sources

    if output not in REPORTS:
        stop(Exit.USAGE, f'--format knows {", ".join(REPORTS)}, not "{output}".')
    if severity not in SEVERITIES:
        stop(Exit.USAGE, f'--severity knows {", ".join(SEVERITIES)}, not "{severity}".')
    if explain:
        _explain(explain, output)
        return
    try:
        files = sources(paths or [], WITH_XML)
    except (FileNotFoundError, ValueError) as reason:
        stop(Exit.USAGE, str(reason))
    if not files:
        stop(Exit.USAGE, "name the files to validate, or - for standard input.")
    raise typer.Exit(int(_run(files, output, severity, jobs)))


def _run(files: list[str], output: str, severity: str, jobs: int) -> Exit:
    """Validate and report; return the exit code."""
    import sys

    from fhir_server.cli.progress import Counter
    from fhir_server.cli.reports import REPORTS

    listed = SEVERITIES[: SEVERITIES.index(severity) + 1]
    report = REPORTS[output](sys.stdout)
    total = invalid = 0
    with Counter(_size(files)) as counter:
        for result in results(files, jobs):
            total += 1
            invalid += not result["valid"]
            result["issues"] = [
                issue for issue in result["issues"] if issue["severity"] in (*listed, "fatal")
            ]
            report.add(result)
            counter.add(result.pop("size"), f"{total} resources, {invalid} invalid")
    report.end()
    print(f"{total} resources, {invalid} invalid", file=sys.stderr)
    return Exit.FINDINGS if invalid else Exit.DONE


def _explain(path: str, output: str) -> None:
    import json

    from fhir_server.definitions import Definitions
    from fhir_server.outcome import FhirError
    from fhir_server.validation.explanation import explain

    try:
        explained = explain(Definitions(), path)
    except FhirError as refused:
        stop(Exit.USAGE, refused.issues[0].diagnostics)
    if output == "json":
        print(json.dumps(explained.as_json(), ensure_ascii=False))
    else:
        print(explained.as_text())


def results(files: list[str], jobs: int) -> Iterator[dict[str, Any]]:
    """Yield the result of each document in order.

    These are its file, line, resourceType, id, valid, issues, the seconds that it took and its size in bytes.
    """
    jobs = jobs or _jobs(files)
    if jobs == 1:
        yield from map(_judge, _all(files))
        return
    import multiprocessing

    # spawn: a fork of a process with threads is a trap, and the start is small against a job of this size
    with multiprocessing.get_context("spawn").Pool(jobs) as pool:
        yield from pool.imap(_judge, _all(files), chunksize=CHUNK)


def _size(files: list[str]) -> int:
    from pathlib import Path

    from fhir_server.cli.sources import STDIN

    return sum(Path(file).stat().st_size for file in files if file != STDIN)


def _jobs(files: list[str]) -> int:
    import os

    return (os.cpu_count() or 1) if _size(files) > PARALLEL_FROM else 1


def _all(files: Iterable[str]) -> Iterator[Document]:
    from fhir_server.cli.sources import Document, documents

    for file in files:
        try:
            yield from documents(file)
        except (OSError, EOFError) as reason:
            yield Document(file, -1, 0, str(reason).encode())


_parts: tuple[Validator, XmlFormat] | None = None


def _judge(document: Document) -> dict[str, Any]:
    from fhir_server.datatypes.positions import located
    from fhir_server.outcome import FhirError, Issue

    started = time.perf_counter()
    found: dict[str, Any] = {}
    issues: tuple[Issue, ...] = ()
    if document.number < 0:
        issues = (Issue("fatal", "incomplete", f"Can't be read: {document.body.decode()}."),)
    else:
        try:
            found, issues = _read(document.body)
            told = {issue.expression for issue in issues}
            validator, _ = _shared()
            issues += tuple(i for i in validator.validate(found) if i.expression not in told)
        except FhirError as refused:
            issues = refused.issues
        if issues:
            issues = located(issues, document.body)
    return {
        "file": document.source,
        "line": document.line,
        "resourceType": found.get("resourceType"),
        "id": found.get("id"),
        "valid": not any(issue.severity in ("error", "fatal") for issue in issues),
        "issues": [_placed(issue, document) for issue in issues],
        "seconds": round(time.perf_counter() - started, 6),
        "size": len(document.body),
    }


def _read(body: bytes) -> tuple[dict[str, Any], tuple[Issue, ...]]:
    """Return the resource in a text, JSON or XML, and what could not be read of it."""
    from fhir_server.datatypes.json_format import decode

    if body.removeprefix(b"\xef\xbb\xbf").lstrip()[:1] == b"<":
        return _shared()[1].read(body)
    return decode(body), ()


def _placed(issue: Issue, document: Document) -> dict[str, Any]:
    """Return an issue as JSON, with line and column in the file."""
    leading = document.body[: len(document.body) - len(document.body.lstrip())].count(b"\n")
    line = document.line - leading + issue.line - 1 if issue.line else document.line
    placed = replace(issue, line=max(line, 1), column=issue.column or 1)
    return {**placed.as_json(), "line": placed.line, "column": placed.column}


def _shared() -> tuple[Validator, XmlFormat]:
    """Return this process's validator and XML format; they compile each type when they meet it first."""
    global _parts  # noqa: PLW0603 (one a process: worker processes keep it between documents)
    if _parts is None:
        from fhir_server import settings
        from fhir_server.datatypes.xml_format import XmlFormat
        from fhir_server.definitions import Definitions
        from fhir_server.definitions.packages import PackageStore
        from fhir_server.terminology import CodeSets
        from fhir_server.validation import Policy, Validator

        chosen = settings.load()
        definitions = Definitions()
        PackageStore(settings.packages_folder(chosen)).load(definitions)
        validator = Validator(
            definitions,
            CodeSets(definitions),
            as_warnings=chosen.validation.warning_rules,
            policy=Policy(
                unknown_extension=chosen.validation.unknown_extension,
                unknown_modifier_extension=chosen.validation.unknown_modifier_extension,
                unknown_profile=chosen.validation.unknown_profile,
                imposed=chosen.validation.imposed_profiles,
            ),
        )
        _parts = validator, XmlFormat(definitions.types)
    return _parts
