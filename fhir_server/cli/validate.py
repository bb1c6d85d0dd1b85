"""``fhir-server validate``: files against the R4 base definitions and profiles, without a server."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fhir_server.cli.exits import Exit, stop
from fhir_server.cli.options import Packages

if TYPE_CHECKING:
    from fhir_server.cli.judging import Task
    from fhir_server.cli.sources import Document

EPILOG = """\b
Examples:
  fhir-server validate observation.json 'examples/**/*.xml' --package hl7.fhir.fr.core-2.2.0.tgz --lang fr
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
    profile: Annotated[
        list[str] | None,
        typer.Option(
            metavar="URL",
            help="A profile (url or url|version) to judge by, besides those that resources claim.",
        ),
    ] = None,
    package: Packages = None,
    lang: Annotated[str, typer.Option(metavar="en|fr", help="The language of the sentences.")] = "en",
    fix: Annotated[
        bool,
        typer.Option(
            "--fix",
            help="Print a diff of the fixes that change no meaning, instead of the issues (see --write).",
        ),
    ] = False,
    write: Annotated[
        bool, typer.Option("--write", help="With --fix: write the mended files, and list the issues.")
    ] = False,
    explain: Annotated[
        str,
        typer.Option(
            metavar="PATH",
            help="Instead: tell the rules for an element, such as Patient.contact.gender, and of each --profile.",
        ),
    ] = "",
    jobs: Annotated[
        int, typer.Option(min=0, help="Worker processes; 0: one a core when there is very much to do.")
    ] = 0,
) -> None:
    """Validate resources against the R4 base definitions, the profiles that they claim, and those that you name.

    Prints every issue with file, line and column, and how to mend it where that is mechanical. Exit code 0 when all
    resources are valid (warnings allowed), 1 when one is not, 2 when a path, a package or a profile doesn't exist.
    """
    from fhir_server.cli.judging import Task
    from fhir_server.cli.reports import REPORTS
    from fhir_server.cli.sources import WITH_XML, sources
    from fhir_server.messages import languages

    for name, value, known in (
        ("format", output, tuple(REPORTS)),
        ("severity", severity, SEVERITIES),
        ("lang", lang, languages()),
    ):
        if value not in known:
            stop(Exit.USAGE, f'--{name} knows {", ".join(known)}, not "{value}".')
    if write and not fix:
        stop(Exit.USAGE, "--write goes with --fix.")
    task = Task(tuple(profile or ()), tuple(package or ()), lang, mends=fix)
    if explain:
        _explain(explain, output, task)
        return
    try:
        files = sources(paths or [], WITH_XML)
    except (FileNotFoundError, ValueError) as reason:
        stop(Exit.USAGE, str(reason))
    if not files:
        stop(Exit.USAGE, "name the files to validate, or - for standard input.")
    if fix and (bad := next((f for f in files if f == "-" or f.endswith((".gz", ".bz2"))), None)):
        stop(Exit.USAGE, f"--fix takes plain files, not {bad}.")
    _check(task)
    raise typer.Exit(int(_run(files, output, severity, jobs, task, writes=write)))


def _check(task: Task) -> None:
    """Stop when a package can't be read or a profile isn't known, before anything else is done."""
    import sys

    from fhir_server.cli.judging import Judge
    from fhir_server.outcome import FhirError

    if not task.profiles and not task.packages:
        return
    try:
        judge = Judge(task)
    except FhirError as refused:
        stop(Exit.USAGE, *(issue.diagnostics for issue in refused.issues))
    for label in judge.missing:
        print(f"{label} isn't in the package cache; what needs it can't be checked.", file=sys.stderr)
    for url in task.profiles:
        if judge.definitions.structure(url, exact=True) is None:
            stop(Exit.USAGE, f"The profile {url} isn't known: name its package with --package.")


def _run(files: list[str], output: str, severity: str, jobs: int, task: Task, *, writes: bool) -> Exit:
    """Validate and report; return the exit code."""
    import sys

    from fhir_server.cli.mending import Mending
    from fhir_server.cli.progress import Counter
    from fhir_server.cli.reports import REPORTS

    listed = SEVERITIES[: SEVERITIES.index(severity) + 1]
    report = REPORTS[output](sys.stdout)
    mending = Mending()
    reports = not task.mends or writes
    total = invalid = 0
    unchecked: dict[str, None] = {}
    with Counter(_size(files)) as counter:
        for result in results(files, jobs, task):
            total += 1
            invalid += not result["valid"]
            result["issues"] = [
                issue for issue in result["issues"] if issue["severity"] in (*listed, "fatal")
            ]
            unchecked |= dict.fromkeys(result.pop("unchecked"))
            if (mended := result.pop("mended", None)) is not None:
                mending.add(result["file"], result["line"], mended)
            counter.add(result.pop("size"), f"{total} resources, {invalid} invalid")
            if reports:
                report.add(result)
    if reports:
        report.end()
    if writes:
        for file in mending.write():
            print(f"mended {file}", file=sys.stderr)
    elif task.mends:
        sys.stdout.writelines(mending.diffs())
    for sentence in unchecked:
        print(sentence, file=sys.stderr)
    print(f"{total} resources, {invalid} invalid", file=sys.stderr)
    return Exit.FINDINGS if invalid else Exit.DONE


def _explain(path: str, output: str, task: Task) -> None:
    import json

    from fhir_server.cli.judging import Judge
    from fhir_server.outcome import FhirError
    from fhir_server.validation.explanation import explain

    try:
        explained = explain(Judge(task).definitions, path, task.profiles)
    except FhirError as refused:
        stop(Exit.USAGE, refused.issues[0].diagnostics)
    if output == "json":
        print(json.dumps(explained.as_json(), ensure_ascii=False))
    else:
        print(explained.as_text())


def results(files: list[str], jobs: int, task: Task) -> Iterator[dict[str, Any]]:
    """Yield the result of each document in order, as ``judging.Judge.judge`` makes it."""
    from fhir_server.cli.judging import begin, judge

    jobs = jobs or _jobs(files)
    if jobs == 1:
        begin(task)
        yield from map(judge, _all(files))
        return
    import multiprocessing

    # spawn: a fork of a process with threads is a trap, and the start is small against a job of this size
    with multiprocessing.get_context("spawn").Pool(jobs, begin, (task,)) as pool:
        yield from pool.imap(judge, _all(files), chunksize=CHUNK)


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
