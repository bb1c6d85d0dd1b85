"""``fhir-server import``: what other institutions deliver as files, stored through the REST API."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fhir_server.cli.exits import Exit, stop

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fhir_server.cli.client import Answer, Client
    from fhir_server.cli.feed_files import Feed
    from fhir_server.cli.sending import Rejection, Tally
    from fhir_server.cli.unpacking import Item

program = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Store what others deliver as files.")

_EPILOG = """\b
Examples:
  fhir-server import reimbursements 2026-05.csv --mapping mapping.json --resume 2026-05.state
  fhir-server import reimbursements 2026-05.ndjson.gz --base https://fhir.example.org/fhir --token-file token
  fhir-server import reimbursements --mapping-schema > mapping.schema.json
"""


@program.callback()
def _root() -> None:
    """Keep the name of the command though it is the only one."""


@program.command("reimbursements", epilog=_EPILOG)
def reimbursements(
    *,
    file: Annotated[
        Path | None, typer.Argument(metavar="FILE", help="The payer's file: CSV or NDJSON, also .gz, .bz2.")
    ] = None,
    mapping: Annotated[
        Path | None,
        typer.Option(help="JSON file that says where each value stands (docs/reimbursements.md)."),
    ] = None,
    base: Annotated[str, typer.Option(help="FHIR base URL of the server.")] = "http://127.0.0.1:8080/fhir",
    token_file: Annotated[
        Path | None, typer.Option(help="File with the access token of the payer's feed.")
    ] = None,
    rejected: Annotated[
        Path | None, typer.Option(help="Where rejected lines are noted; FILE.rejected.ndjson without it.")
    ] = None,
    resume: Annotated[
        Path | None, typer.Option(help="Checkpoint file: what is stored is noted there and not sent again.")
    ] = None,
    jobs: Annotated[int, typer.Option(min=1, max=256, help="Requests at the same time.")] = 16,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check the file; send nothing.")] = False,
    mapping_schema: Annotated[
        bool, typer.Option("--mapping-schema", help="Print the JSON Schema of mapping files and leave.")
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress.")] = False,
) -> None:
    """Store the statements of the public payer: one row an act, the rows of a statement one after the other.

    Sums are checked to the cent before anything is sent. Each statement is stored whole or not at all, and once: what
    is there already is left as it is, so that a file can be sent again. Exit code 1 when lines were rejected, 2 for a
    file that can't be read, 3 when the server can't be reached, 4 when it refuses the caller.
    """
    import asyncio
    import json

    from fhir_server.cli.checkpoint import Checkpoint
    from fhir_server.cli.client import Client
    from fhir_server.cli.feed_files import Feed
    from fhir_server.space.feed import FeedMapping, mapping_of, schema

    if mapping_schema:
        print(json.dumps(schema(), indent=2))
        return
    if file is None:
        stop(Exit.USAGE, "Name the payer's file.")
    try:
        told = mapping_of(mapping.read_bytes()) if mapping else FeedMapping()
        feed = Feed(file, told)
        headers = {"Authorization": f"Bearer {token_file.read_text().strip()}"} if token_file else {}
        client, checkpoint = Client(base), Checkpoint(resume, base)
        "".encode(told.encoding)
    except OSError as reason:
        stop(Exit.USAGE, f"{reason.filename} can't be read: {reason.strerror}.")
    except (ValueError, LookupError) as reason:
        stop(Exit.USAGE, f"{mapping}: {reason}" if mapping else str(reason))
    report = rejected or file.with_name(file.name + ".rejected.ndjson")
    run = _Import(client, feed, checkpoint, headers)
    try:
        code = asyncio.run(run.run(jobs, report, is_dry=dry_run, quiet=quiet))
    except (OSError, EOFError, UnicodeDecodeError) as reason:
        stop(Exit.USAGE, f"{file} can't be read: {reason}.")
    raise typer.Exit(int(code))


class _Import:
    """One import of a file."""

    def __init__(self, client: Client, feed: Feed, checkpoint: Any, headers: Mapping[str, str]) -> None:
        self._client, self._feed, self._checkpoint, self._headers = client, feed, checkpoint, headers
        self._may_read = True

    async def run(self, jobs: int, report: Path, *, is_dry: bool, quiet: bool) -> Exit:
        import sys

        from fhir_server.cli.progress import watched
        from fhir_server.cli.sending import Refused, Rejection, Tally, Unreachable, send

        tally = Tally()
        try:
            async with watched(tally, self._feed, quiet=quiet):
                if is_dry:
                    for item in self._feed.items():
                        if item.problem:
                            tally.rejections.append(Rejection(item.place, "", 0, (item.problem,)))
                        else:
                            tally.created += 1
                            del self._feed.waiting[item.place]
                else:
                    await send(
                        self._client, self._feed.items(), tally, jobs=jobs, is_done=self._is_done,
                        done=self._done, decide=self._decide, headers=self._headers,
                    )  # fmt: skip
        except Unreachable as reason:
            print(f"fhir-server: The server can't be reached: {reason}", file=sys.stderr)
            return Exit.CONNECTION
        except Refused as reason:
            print(f"fhir-server: The server refuses statements from us: {reason}", file=sys.stderr)
            return Exit.DENIED
        finally:
            self._checkpoint.write()
            await self._client.close()
            lines = self._write(tally, report)
        counts = [f"{tally.created} {'right' if is_dry else 'stored'}"]
        if not is_dry:
            counts.append(f"{tally.updated} there already")
        if tally.skipped:
            counts.append(f"{tally.skipped} done before")
        counts.append(f"{len(tally.rejections)} rejected")
        print(f"{', '.join(counts)}{f' ({lines} lines: {report})' if lines else ''}")
        return Exit.FINDINGS if tally.rejections else Exit.DONE

    def _is_done(self, item: Item) -> bool:
        is_done: bool = self._checkpoint.is_done(item.source, item.number)
        if is_done:
            self._feed.waiting.pop(item.place, None)
        return is_done

    def _done(self, item: Item) -> None:
        self._checkpoint.done(item.source, item.number)
        self._feed.waiting.pop(item.place, None)

    def _write(self, tally: Tally, report: Path) -> int:
        """Write the report, readable by its owner alone, by line; one of an earlier run is replaced or removed."""
        import json
        import os

        rows = [
            row for one in tally.rejections for row in self._feed.report(one.place, one.status, one.reasons)
        ]
        if not rows:
            report.unlink(missing_ok=True)
            return 0
        handle = os.open(report, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.writelines(
                json.dumps(row, ensure_ascii=False) + "\n"
                for row in sorted(rows, key=lambda row: row["line"])
            )
        return len(rows)

    async def _decide(self, item: Item, answer: Answer) -> Rejection | bool:
        """Judge a refusal: a closed space is about one statement; a known number is right if it says the same."""
        from fhir_server.cli.sending import Rejection, reasons

        if answer.status == 403 and b"space-not-open" in answer.body:
            return Rejection(item.place, "ExplanationOfBenefit", 403, reasons(answer))
        if answer.status != 409:
            return False
        if await self._is_same(item):
            return True
        text = (
            "A statement with this number is there and says something else; a correction has a number of its own and "
            "names this one in the value replaces."
        )
        return Rejection(item.place, "ExplanationOfBenefit", 409, (text,))

    async def _is_same(self, item: Item) -> bool:
        """Tell whether the statement of this number says the same; who may not read it is believed."""
        import json
        from decimal import Decimal
        from urllib.parse import quote

        def read(data: bytes) -> Any:
            return json.loads(data, parse_float=Decimal, parse_int=Decimal)

        sent = read(item.body)["entry"][0]["resource"]
        token = "{system}|{value}".format(**sent["identifier"][0])
        people = (
            (f"{name}.identifier", sent[name]["reference"].partition("identifier=")[2])
            for name in ("patient", "insurer")
        )
        query = "&".join(
            f"{name}={quote(value, safe='')}" for name, value in (("identifier", token), *people)
        )
        if not self._may_read:
            return True
        answer = await self._client.request("GET", f"ExplanationOfBenefit?{query}", headers=self._headers)
        if answer.status in (401, 403):
            self._may_read = False
            return True
        found = [entry["resource"] for entry in read(answer.body).get("entry", ())]
        return any(_said(one) == _said(sent) for one in found)


def _said(statement: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a statement says, without what the server adds and resolves."""
    ours = ("id", "meta", "text", "patient", "insurer", "provider")
    return {name: value for name, value in statement.items() if name not in ours}
