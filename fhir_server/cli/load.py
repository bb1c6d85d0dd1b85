"""``fhir-server load``: resources from files into a running server."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Protocol

import typer

from fhir_server.cli.exits import Exit, stop

if TYPE_CHECKING:
    from fhir_server.cli.checkpoint import Checkpoint
    from fhir_server.cli.client import Client
    from fhir_server.cli.sending import Tally
    from fhir_server.cli.sources import Document
    from fhir_server.cli.unpacking import Item

EPILOG = """\b
Examples:
  fhir-server load patients.ndjson.gz bundles/ --resume load.json
  cat bundle.json | fhir-server load - --base http://127.0.0.1:8080/fhir
"""

#: How many rejected resources the summary shows in full.
SHOWN = 50


def load(
    *,
    paths: Annotated[
        list[str],
        typer.Argument(
            metavar="PATH...", help="Files, folders, or - for standard input: JSON, NDJSON, .gz, .bz2."
        ),
    ],
    base: Annotated[str, typer.Option(help="FHIR base URL of the server.")] = "http://127.0.0.1:8080/fhir",
    jobs: Annotated[int, typer.Option(min=1, max=256, help="Requests at the same time.")] = 32,
    resume: Annotated[
        Path | None, typer.Option(help="Checkpoint file: what is done is noted there and not sent again.")
    ] = None,
    unpack: Annotated[
        bool, typer.Option("--unpack", help="Store the entries of transactions one by one, too.")
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress.")] = False,
) -> None:
    """Store resources in a running server.

    A resource with an id is PUT to it, one without is POSTed. A transaction is sent as a whole: all of it is
    stored or nothing; one that refers to what is not there yet is tried again at the end. The entries of
    collection, searchset and batch Bundles are stored one by one: a urn:uuid becomes the id of its resource,
    and references to it follow. Exit code 1 when a resource was rejected, 3 when the server can't
    be reached.
    """
    import asyncio

    from fhir_server.cli.checkpoint import Checkpoint
    from fhir_server.cli.client import Client
    from fhir_server.cli.sources import sources

    try:
        client = Client(base)
        checkpoint = Checkpoint(resume, base)
        reading = Reading(sources(paths), unpack=unpack)
    except (FileNotFoundError, ValueError) as reason:
        stop(Exit.USAGE, str(reason))
    code = asyncio.run(store(client, reading, checkpoint, jobs=jobs, quiet=quiet, resume=resume))
    raise typer.Exit(int(code))


class Supply(Protocol):
    """Where the resources come from, and how much of how much (0: unknown) was taken."""

    total: int
    consumed: int

    def items(self) -> Iterator[Item]:
        """Yield every resource."""


async def store(
    client: Client,
    supply: Supply,
    checkpoint: Checkpoint,
    *,
    jobs: int,
    quiet: bool,
    resume: Path | None = None,
) -> Exit:
    """Send what the supply yields, show the progress and the summary, and return the exit code."""
    import asyncio
    import sys

    from fhir_server.cli.progress import watched
    from fhir_server.cli.sending import Refused, Tally, Unreachable, send

    tally = Tally()
    try:
        async with watched(tally, supply, quiet=quiet):
            await send(
                client,
                supply.items(),
                tally,
                jobs=jobs,
                is_done=lambda item: checkpoint.is_done(item.source, item.number),
                done=lambda item: checkpoint.done(item.source, item.number),
            )
    except Unreachable as reason:
        print(f"fhir-server: The server can't be reached: {reason}", file=sys.stderr)
        print(
            'fhir-server: Is it running? "fhir-server serve" starts one; --base names another.',
            file=sys.stderr,
        )
        return Exit.CONNECTION
    except Refused as reason:
        print(f"fhir-server: The server refuses to store resources from us: {reason}", file=sys.stderr)
        return Exit.DENIED
    except asyncio.CancelledError:
        again = (
            f"Repeat the command with --resume {resume} to go on."
            if resume
            else "Nothing was noted (--resume)."
        )
        print(f"fhir-server: Stopped after {tally.finished} resources. {again}", file=sys.stderr)
        raise
    finally:
        checkpoint.write()
        await client.close()
    summarise(tally)
    return Exit.FINDINGS if tally.rejections else Exit.DONE


class Reading:
    """The resources of all sources, one after the other, and how far the reading is (bytes)."""

    def __init__(self, sources: Sequence[str], *, unpack: bool = False) -> None:
        from fhir_server.cli.sources import STDIN

        self._unpack = unpack
        self._sources = sources
        self.total = 0 if STDIN in sources else sum(Path(source).stat().st_size for source in sources)
        self.consumed = 0

    def items(self) -> Iterator[Item]:
        """Yield every resource; a source that can't be read gives an item that says so."""
        from fhir_server.cli.unpacking import Item, items

        for source in self._sources:
            number = 0
            try:
                for item in items(self._documents(source), unpack=self._unpack):
                    number = item.number + 1
                    yield item
            except (OSError, EOFError) as reason:
                yield Item(source, number, source, problem=f"The file can't be read: {reason}.")

    def _documents(self, source: str) -> Iterator[Document]:
        from fhir_server.cli.sources import documents

        before = self.consumed
        for document in documents(source):
            self.consumed = before + document.consumed
            yield document


def summarise(tally: Tally) -> None:
    """Print the counts to standard output and the rejected resources with their reasons to standard error."""
    import sys

    for rejection in tally.rejections[:SHOWN]:
        status = f" {rejection.status}" if rejection.status else ""
        print(f"{rejection.place}: {rejection.subject or 'rejected'}{status}", file=sys.stderr)
        for reason in rejection.reasons:
            print(f"    {reason}", file=sys.stderr)
    if len(tally.rejections) > SHOWN:
        print(f"... and {len(tally.rejections) - SHOWN} more", file=sys.stderr)
    counts = [f"{tally.created} created", f"{tally.updated} updated", f"{len(tally.rejections)} rejected"]
    if tally.skipped:
        counts.append(f"{tally.skipped} done before")
    if tally.retried:
        counts.append(f"{tally.retried} requests repeated")
    print(", ".join(counts))
