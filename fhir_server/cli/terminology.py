"""``fhir-server terminology``: large code systems from the files in which they are published."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from fhir_server.cli.database import database_uri
from fhir_server.cli.exits import Exit, stop
from fhir_server.cli.options import Output

if TYPE_CHECKING:
    from fhir_server.settings import Settings
    from fhir_server.store.code_systems import CodeSystems

T = TypeVar("T")

program = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    help="Import, list and remove large code systems (LOINC, ICD-10, SNOMED CT, any table).",
)


@program.command(
    "import",
    epilog="\b\nExamples:\n"
    "  fhir-server terminology import Loinc_2.77.zip --version 2.77\n"
    "  fhir-server terminology import cim10.xml --url http://hl7.org/fhir/sid/icd-10 --language fr\n"
    "  fhir-server terminology import SnomedCT_Release.zip \\\n"
    "      --version http://snomed.info/sct/900000000000207008/version/20260101\n"
    "  fhir-server terminology import codes.csv --url http://example.org/codes --version 1",
)
def import_(
    path: Annotated[Path, typer.Argument(metavar="PATH", help="A file, a folder or a .zip with the files.")],
    *,
    format_: Annotated[str, typer.Option("--format", help="auto, loinc, rf2, claml, json or csv.")] = "auto",
    url: Annotated[
        str, typer.Option("--url", help="URL of the code system, where the files don't say it.")
    ] = "",
    version: Annotated[str, typer.Option("--version", help="Its version.")] = "",
    language: Annotated[str, typer.Option("--language", help="Language of its displays.")] = "",
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress.")] = False,
) -> None:
    """Import a code system into the database of the server, which may be running.

    An import that was interrupted goes on where it stopped. Other versions stay beside it. Exit code 2 when the
    files can't be read.
    """
    from fhir_server.cli.code_system_files import digest_of, opened
    from fhir_server.interactions.terminology_import import import_source
    from fhir_server.outcome import FhirError
    from fhir_server.terminology.importing import detected

    try:
        with opened(path) as files:
            source = detected(files, format_).read(files, url, version, language)
            digest = digest_of(path, url, version, language)
            done = _with_store(
                lambda systems: import_source(systems, source, digest, _now(), _progress(quiet=quiet))
            )
    except FhirError as refused:
        stop(Exit.USAGE, *(issue.diagnostics for issue in refused.issues))
    went_on = f" ({done.skipped} of them before)" if done.skipped else ""
    print(f"imported {done.canonical}: {done.count} concepts{went_on}")


@program.command(
    "list", epilog="\b\nExamples:\n  fhir-server terminology list\n  fhir-server terminology list -o json"
)
def list_(
    *,
    output: Output = "text",
) -> None:
    """Print the imported code systems."""
    rows = _with_store(lambda systems: systems.all())
    found = [
        {"url": row.header["url"], "version": row.header.get("version", ""), "concepts": row.count}
        for row in rows
    ]
    if output == "json":
        print(json.dumps(found, indent=2))
        return
    for one in found:
        print(f"{one['url']}|{one['version']}  {one['concepts']} concepts")


@program.command(epilog="\b\nExample:\n  fhir-server terminology remove 'http://loinc.org|2.76'")
def remove(
    canonical: Annotated[str, typer.Argument(metavar="URL|VERSION", help="An imported code system.")],
) -> None:
    """Remove an imported code system; exit code 2 when there is none of this name."""
    if not _with_store(lambda systems: systems.remove(canonical)):
        stop(Exit.USAGE, f"{canonical} isn't imported.")
    print(f"removed {canonical}")


def _with_store(work: Callable[[CodeSystems], Awaitable[T]]) -> T:
    from fhir_server.settings import load
    from fhir_server.store.documents import Unavailable, Unsuitable

    settings = load()
    try:
        with database_uri(settings) as uri:
            return asyncio.run(_run(settings, uri, work))
    except (Unavailable, Unsuitable) as problem:
        stop(Exit.CONNECTION, str(problem))


async def _run(settings: Settings, uri: str, work: Callable[[CodeSystems], Awaitable[T]]) -> T:
    from fhir_server.store.code_systems import CodeSystems
    from fhir_server.store.connection import Connection

    mongodb = settings.mongodb
    connection = await Connection.open(uri, mongodb.database, timeout_s=mongodb.timeout_s, limit_ms=600_000)
    try:
        return await work(CodeSystems(connection))
    finally:
        await connection.close()


def _progress(*, quiet: bool) -> Callable[[int, int], None]:
    from rich.console import Console

    console = Console(stderr=True)
    every = 1 if console.is_terminal else 100

    def show(done: int, total: int) -> None:
        if not quiet and (done // 1000 % every == 0 or done == total):
            console.print(
                f"{done} of {total} concepts", end="\r" if console.is_terminal and done < total else "\n"
            )

    return show


def _now() -> int:
    import time

    return time.time_ns() // 1_000_000
