"""``fhir-server demo``: synthetic citizens with their records, into files, a pipe or a running server."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING, Annotated, Any

import typer

from fhir_server.cli.exits import Exit, stop

if TYPE_CHECKING:
    from fhir_server.cli.unpacking import Item

EPILOG = """\b
Examples:
  fhir-server demo --citizens 1000 --output citizens.ndjson.gz
  fhir-server demo --citizens 20 --seed 7 --to http://127.0.0.1:8080/fhir
"""


def demo(
    *,
    citizens: Annotated[int, typer.Option(help="How many citizens; each has about 40 records.")] = 100,
    seed: Annotated[int, typer.Option(help="The same seed gives the same citizens, another one others.")] = 0,
    output: Annotated[
        str,
        typer.Option(
            metavar="PATH",
            help="A file (.ndjson, .ndjson.gz), - for standard output, or a folder, which gets one NDJSON file a type.",
        ),
    ] = "",
    to: Annotated[str, typer.Option(metavar="BASE", help="Instead: store them in this running server.")] = "",
    jobs: Annotated[int, typer.Option(min=1, max=256, help="With --to: requests at the same time.")] = 32,
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress.")] = False,
) -> None:
    """Make synthetic citizens with the records of their spaces, for demonstrations and load tests.

    Everyone is invented and keeps to the health space's profiles: documents with PDFs, reimbursements that add up,
    laboratory results, measures, vaccinations, wishes, contacts; a few opposed their space. The same arguments give
    the same bytes on every day and machine. Exit code 1 when a server rejected a resource, 3 when it can't be reached.
    """
    from fhir_server.demo import population

    if bool(output) == bool(to):
        stop(
            Exit.USAGE,
            "Name either --output (a file, a folder, or - for standard output) or --to (a server).",
        )
    try:
        resources = population(citizens, seed)
    except ValueError as reason:
        stop(Exit.USAGE, str(reason))
    if to:
        raise typer.Exit(int(_send(resources, citizens, to, jobs, quiet=quiet)))
    try:
        _write(resources, output)
    except OSError as reason:
        if isinstance(reason, BrokenPipeError):
            raise
        stop(Exit.USAGE, f"{output} can't be written: {reason.strerror}.")


def _write(resources: Iterable[dict[str, Any]], output: str) -> None:
    import sys

    from fhir_server.datatypes.json_format import encode

    with contextlib.ExitStack() as stack:
        if output == "-":
            sys.stdout.buffer.writelines(encode(resource) + b"\n" for resource in resources)
            sys.stdout.buffer.flush()
        elif output.endswith((".ndjson", ".ndjson.gz")):
            file = stack.enter_context(_opened(Path(output)))
            file.writelines(encode(resource) + b"\n" for resource in resources)
        else:
            files: dict[str, IO[bytes]] = {}
            Path(output).mkdir(parents=True, exist_ok=True)
            for resource in resources:
                type_ = resource["resourceType"]
                if type_ not in files:
                    files[type_] = stack.enter_context(_opened(Path(output) / f"{type_}.ndjson"))
                files[type_].write(encode(resource) + b"\n")


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[IO[bytes]]:
    """Open a file to write; a compressed one has no time in its head, so that its bytes are the same each time."""
    import gzip

    with path.open("wb") as file:
        if path.suffix != ".gz":
            yield file
            return
        with gzip.GzipFile(filename="", mode="wb", fileobj=file, mtime=0, compresslevel=6) as compressed:
            yield compressed  # type: ignore[misc]


def _send(resources: Iterator[dict[str, Any]], citizens: int, base: str, jobs: int, *, quiet: bool) -> Exit:
    import asyncio

    from fhir_server.cli.checkpoint import Checkpoint
    from fhir_server.cli.client import Client
    from fhir_server.cli.load import store

    try:
        client = Client(base)
    except ValueError as reason:
        stop(Exit.USAGE, str(reason))
    supply = _Supply(resources, citizens)
    return asyncio.run(store(client, supply, Checkpoint(None, base), jobs=jobs, quiet=quiet))


class _Supply:
    """The made resources as items for ``load``; progress is counted in citizens."""

    def __init__(self, resources: Iterator[dict[str, Any]], citizens: int) -> None:
        self._resources = resources
        self.total = citizens
        self.consumed = 0

    def items(self) -> Iterator[Item]:
        from fhir_server.cli.sources import STDIN
        from fhir_server.cli.unpacking import Item
        from fhir_server.datatypes.json_format import encode

        for number, resource in enumerate(self._resources):
            self.consumed += resource["resourceType"] == "Patient"
            place = f"{resource['resourceType']}/{resource['id']}"
            yield Item(STDIN, number, place, resource["resourceType"], resource["id"], encode(resource))
