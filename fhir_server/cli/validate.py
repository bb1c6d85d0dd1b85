"""``fhir-server validate``: files against the R4 base definitions, without a server."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fhir_server.cli.exits import Exit, stop

if TYPE_CHECKING:
    from fhir_server.cli.sources import Document
    from fhir_server.validation import Validator

EPILOG = """\b
Examples:
  fhir-server validate observation.json
  fhir-server validate examples/ --format json --jobs 4
"""

#: Documents that a worker process takes at once.
CHUNK = 200
#: Bytes from which several processes are used unasked: one process judges about 20 MB a second (measured: 27,000
#: resources of the examples in 2.1 s), and at 60 MB two of them on two cores gained nothing yet.
PARALLEL_FROM = 200_000_000


def validate(
    *,
    paths: Annotated[
        list[str],
        typer.Argument(
            metavar="PATH...", help="Files, folders, or - for standard input: JSON, NDJSON, .gz, .bz2."
        ),
    ],
    output: Annotated[
        str,
        typer.Option("--format", metavar="text|json", help="text for people; json: one object a resource."),
    ] = "text",
    jobs: Annotated[
        int, typer.Option(min=0, help="Worker processes; 0: one a core when there is much to do.")
    ] = 0,
) -> None:
    """Validate resources against the R4 base definitions.

    Prints every issue with file and line. Exit code 0 when all resources are valid (warnings allowed), 1 when
    one is not, 2 when a path doesn't exist.
    """
    import sys

    from fhir_server.cli.sources import sources

    if output not in ("text", "json"):
        stop(Exit.USAGE, f'--format knows text and json, not "{output}".')
    try:
        files = sources(paths)
    except (FileNotFoundError, ValueError) as reason:
        stop(Exit.USAGE, str(reason))
    total = invalid = 0
    for result in results(files, jobs):
        total += 1
        invalid += not result["valid"]
        write(result, output)
    print(f"{total} resources, {invalid} invalid", file=sys.stderr)
    raise typer.Exit(int(Exit.FINDINGS if invalid else Exit.DONE))


def results(files: list[str], jobs: int) -> Iterator[dict[str, Any]]:
    """Yield the result of each document in order: file, line, resourceType, id, valid, issues."""
    jobs = jobs or _jobs(files)
    if jobs == 1:
        yield from map(_judge, _all(files))
        return
    import multiprocessing

    # spawn: a fork of a process with threads is a trap, and the start is small against a job of this size
    with multiprocessing.get_context("spawn").Pool(jobs) as pool:
        yield from pool.imap(_judge, _all(files), chunksize=CHUNK)


def write(result: dict[str, Any], output: str) -> None:
    """Print one result to standard output."""
    import json

    if output == "json":
        print(json.dumps(result, ensure_ascii=False))
        return
    for issue in result["issues"]:
        where = f"{', '.join(issue['expression'])}: " if "expression" in issue else ""
        print(f"{result['file']}:{result['line']}: {issue['severity']} {where}{issue['diagnostics']}")


def _jobs(files: list[str]) -> int:
    import os
    from pathlib import Path

    from fhir_server.cli.sources import STDIN

    size = sum(Path(file).stat().st_size for file in files if file != STDIN)
    return (os.cpu_count() or 1) if size > PARALLEL_FROM else 1


def _all(files: Iterable[str]) -> Iterator[Document]:
    from fhir_server.cli.sources import Document, documents

    for file in files:
        try:
            yield from documents(file)
        except (OSError, EOFError) as reason:
            yield Document(file, -1, 0, str(reason).encode())


_validator: Validator | None = None


def _judge(document: Document) -> dict[str, Any]:
    from fhir_server.datatypes.json_format import decode
    from fhir_server.outcome import FhirError, Issue

    found: dict[str, Any] = {}
    if document.number < 0:
        issues: tuple[Issue, ...] = (
            Issue("fatal", "incomplete", f"Can't be read: {document.body.decode()}."),
        )
    else:
        try:
            found = decode(document.body)
            issues = _shared_validator().validate(found)
        except FhirError as refused:
            issues = refused.issues
    return {
        "file": document.source,
        "line": document.line,
        "resourceType": found.get("resourceType"),
        "id": found.get("id"),
        "valid": not any(issue.severity in ("error", "fatal") for issue in issues),
        "issues": [issue.as_json() for issue in issues],
    }


def _shared_validator() -> Validator:
    """Return this process's validator; it compiles each type when it meets it first."""
    global _validator  # noqa: PLW0603 (one a process: worker processes keep it between documents)
    if _validator is None:
        from fhir_server import settings
        from fhir_server.definitions import Definitions
        from fhir_server.definitions.packages import PackageStore
        from fhir_server.terminology import CodeSets
        from fhir_server.validation import Policy, Validator

        chosen = settings.load()
        definitions = Definitions()
        PackageStore(settings.packages_folder(chosen)).load(definitions)
        _validator = Validator(
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
    return _validator
