"""``fhir-server audit``: is the audit what was written, and what does it hold."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fhir_server.cli.database import database_uri
from fhir_server.cli.exits import Exit, stop

if TYPE_CHECKING:
    from fhir_server.access.audit_chain import Checkpoint
    from fhir_server.settings import Settings
    from fhir_server.store.connection import Connection

program = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    help="Verify and export the audit (docs/audit.md). The server may be running.",
)


@program.command(
    epilog="\b\nExamples:\n  fhir-server audit verify\n"
    "  fhir-server audit verify --checkpoints /mnt/worm/checkpoints.jsonl --key 5f1c...e2"
)
def verify(
    *,
    checkpoints: Annotated[
        Path | None,
        typer.Option(
            "--checkpoints",
            help="The file that checkpoints were appended to. Default: audit.checkpoint_file.",
        ),
    ] = None,
    key: Annotated[
        list[str] | None,
        typer.Option("--key", help="Public key (hex) of a server. Default: that of this server's key file."),
    ] = None,
    data: Annotated[
        bool, typer.Option("--data", help="Also look for events of changes that were never made.")
    ] = False,
) -> None:
    """Look for events that were edited, deleted, reordered or cut off.

    Prints each finding with its chain and position. Exit code 1 when there is one, 2 when the audit can't be read.
    """
    with _database() as (settings, uri):
        file = checkpoints or settings.audit.checkpoint_file
        outside = _lines(file) if file is not None else []
        keys = _keys(settings, key)
        count, faults = asyncio.run(_verify(settings, uri, outside, keys, is_with_data=data))
    for fault in faults:
        print(fault)
    print(
        f"{count} events, {len(faults)} findings"
        + ("" if file else "; no file of checkpoints to compare with")
    )
    if faults:
        raise typer.Exit(int(Exit.FINDINGS))


@program.command(epilog="\b\nExample:\n  fhir-server audit export > audit.ndjson")
def export() -> None:
    """Print every AuditEvent, one a line, each chain in its order."""
    with _database() as (settings, uri):
        asyncio.run(_export(settings, uri))


@program.command("key", epilog="\b\nExample:\n  fhir-server audit key")
def key_() -> None:
    """Print the public key that this server's checkpoints are verified with."""
    from fhir_server.access.audit_chain import Signer
    from fhir_server.settings import audit_key

    print(Signer(audit_key(_settings())).public.hex())


def _settings() -> Settings:
    from fhir_server.settings import SettingsError, load

    try:
        return load()
    except SettingsError as refused:
        stop(Exit.USAGE, *refused.complaints)


def _keys(settings: Settings, given: list[str] | None) -> list[bytes]:
    from fhir_server.access.audit_chain import Signer
    from fhir_server.settings import audit_key

    if not given:
        return [Signer(audit_key(settings)).public]
    try:
        return [_public(text) for text in given]
    except ValueError:
        stop(Exit.USAGE, "--key takes 64 hexadecimal digits, as audit key prints them.")


def _public(text: str) -> bytes:
    key = bytes.fromhex(text)
    if len(key) != 32:
        raise ValueError
    return key


def _lines(file: Path) -> list[Checkpoint]:
    from fhir_server.access.audit_chain import Checkpoint

    try:
        return [Checkpoint.of(json.loads(line)) for line in file.read_text(encoding="utf-8").splitlines()]
    except (OSError, ValueError, TypeError) as reason:
        stop(Exit.USAGE, f"{file} can't be read as a file of checkpoints: {reason}")


@contextmanager
def _database() -> Iterator[tuple[Settings, str]]:
    from fhir_server.store.documents import Unavailable, Unsuitable

    settings = _settings()
    try:
        with database_uri(settings) as uri:
            yield settings, uri
    except (Unavailable, Unsuitable) as problem:
        stop(Exit.CONNECTION, str(problem))


@asynccontextmanager
async def _connected(settings: Settings, uri: str) -> AsyncIterator[Connection]:
    from fhir_server.store.connection import Connection

    mongodb = settings.mongodb
    connection = await Connection.open(uri, mongodb.database, timeout_s=mongodb.timeout_s, limit_ms=600_000)
    try:
        yield connection
    finally:
        await connection.close()


async def _verify(
    settings: Settings, uri: str, outside: list[Checkpoint], keys: list[bytes], *, is_with_data: bool
) -> tuple[int, list[str]]:
    from fhir_server.store.audit_verifying import unfinished, verified

    async with _connected(settings, uri) as connection:
        count, faults = await verified(connection, outside, keys)
        if is_with_data:
            faults += await unfinished(connection)
        return count, faults


async def _export(settings: Settings, uri: str) -> None:
    from fhir_server.store.audit_reading import AuditReader

    async with _connected(settings, uri) as connection:
        async for row in AuditReader(connection).all():
            sys.stdout.write(row.body.decode() + "\n")
