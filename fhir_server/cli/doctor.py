"""``fhir-server doctor``: what this machine lacks to run the server, in plain words."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fhir_server.cli.exits import Exit

if TYPE_CHECKING:
    from fhir_server.settings import Settings

EPILOG = """\b
Examples:
  fhir-server doctor
  FHIR_HTTP_PORT=8081 fhir-server doctor --data-dir ./fhir-data
"""

#: Free space below which the data directory's disk is a complaint, bytes.
LEAST_SPACE = 2_000_000_000
_LEAST_PYTHON = (3, 11)


@dataclass(frozen=True, slots=True)
class Finding:
    """One check: what was looked at, whether it is well, what was found, and what to do if not."""

    subject: str
    is_well: bool
    found: str
    advice: str = ""


def doctor(
    *,
    data_dir: Annotated[Path | None, typer.Option(help="Data directory (data.dir).")] = None,
) -> None:
    """Check Python, MongoDB, disk, ports, data directory and definitions.

    Exit code 1 when something needs attention.
    """
    from fhir_server import settings as declared

    settings = declared.load({"data.dir": data_dir.absolute() if data_dir else None})
    findings = list(examine(settings))
    width = max(len(finding.subject) for finding in findings)
    for finding in findings:
        print(f"{'ok ' if finding.is_well else 'BAD'}  {finding.subject:{width}}  {finding.found}")
        if not finding.is_well:
            print(f"{'':{width + 7}}{finding.advice}")
    bad = sum(not finding.is_well for finding in findings)
    print("All is well." if bad == 0 else f"{bad} of {len(findings)} checks need attention.")
    raise typer.Exit(int(Exit.FINDINGS if bad else Exit.DONE))


def examine(settings: Settings) -> Iterator[Finding]:
    """Yield the finding of each check."""
    checks: tuple[Callable[[Settings], Finding], ...] = (
        python, definitions, directory, space, port, database,
    )  # fmt: skip
    for check in checks:
        yield check(settings)


def python(_: Settings) -> Finding:
    """Check the interpreter's version."""
    version = ".".join(str(part) for part in sys.version_info[:3])
    return Finding(
        "Python",
        sys.version_info[:2] >= _LEAST_PYTHON,
        f"{version} at {sys.executable}",
        "Use Python 3.11 or newer.",
    )


def definitions(_: Settings) -> Finding:
    """Check that the compiled FHIR definitions are in place."""
    from fhir_server.definitions import Definitions

    try:
        return Finding("FHIR definitions", True, Definitions().package)
    except (OSError, ValueError) as reason:
        advice = "They are made at installation: install the package again (pip install --force-reinstall)."
        return Finding("FHIR definitions", False, str(reason), advice)


def directory(settings: Settings) -> Finding:
    """Check that the data directory can be made and written, and whether another server holds it."""
    path = settings.data.dir
    nearest = _nearest(path)
    if not nearest.is_dir() or not os.access(nearest, os.W_OK | os.X_OK):
        return Finding(
            "Data directory",
            False,
            f"{path} can't be written",
            f"Make {nearest} writable, or choose with --data-dir.",
        )
    holder = _holder(path / "mongodb" / "embedded.lock")
    return Finding("Data directory", True, f"{path}{f' (in use by process {holder})' if holder else ''}")


def _nearest(path: Path) -> Path:
    return next(folder for folder in (path, *path.parents) if folder.exists())


def _holder(lock: Path) -> str:
    """Return the process that holds the lock, or an empty string."""
    if sys.platform == "win32" or not lock.exists() or not os.access(lock, os.W_OK):
        return ""
    import fcntl

    with lock.open("r+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return file.read().strip() or "unknown"
    return ""


def space(settings: Settings) -> Finding:
    """Check the free space where the data directory is."""
    import shutil

    free = shutil.disk_usage(_nearest(settings.data.dir)).free
    return Finding(
        "Disk space", free >= LEAST_SPACE, f"{free / 1e9:.1f} GB free",
        "Make room: 2 GB is the least to start with, and MongoDB stops writing on a full disk.",
    )  # fmt: skip


def port(settings: Settings) -> Finding:
    """Check that the port can be listened on."""
    import socket

    host, number = settings.http.host, settings.http.port
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, number))
        except OSError as reason:
            found = f"{host} port {number}: {reason.strerror or reason}"
            return Finding(
                "Port", False, found, "Stop what uses it, or set http.port (--port, FHIR_HTTP_PORT)."
            )
    return Finding("Port", True, f"{host} port {number} is free")


def database(settings: Settings) -> Finding:
    """Check that the replica set answers, or that an embedded MongoDB can be started."""
    return _replica_set(settings) if settings.mongodb.uri is not None else _embedded(settings)


def _embedded(settings: Settings) -> Finding:
    from fhir_server.store.data_directory import EmbeddedMongodError
    from fhir_server.store.mongod_binary import find_binary

    try:
        binary = find_binary(settings.mongodb.binary)
    except EmbeddedMongodError as reason:
        found, _, advice = str(reason).partition("\n")
        return Finding("MongoDB", False, found, advice)
    return Finding("MongoDB", True, f"embedded, {binary.version} at {binary.path}")


def _replica_set(settings: Settings) -> Finding:
    problem = database_problem(settings)
    advice = "Check FHIR_MONGODB_URI: a replica set of MongoDB 6.0 or newer must answer there."
    if problem:
        return Finding("MongoDB", False, problem, advice)
    return Finding("MongoDB", True, "the replica set of FHIR_MONGODB_URI answers")


def database_problem(settings: Settings) -> str:
    """Return why the replica set of ``mongodb.uri`` can't be used, or an empty string."""
    import asyncio

    from fhir_server.store.connection import Connection
    from fhir_server.store.documents import Unavailable, Unsuitable

    assert settings.mongodb.uri is not None
    mongodb, uri = settings.mongodb, settings.mongodb.uri.get_secret_value()

    async def ask() -> None:
        connection = await Connection.open(
            uri, mongodb.database, timeout_s=mongodb.timeout_s, limit_ms=settings.search.time_limit_ms
        )
        await connection.client.close()

    try:
        asyncio.run(ask())
    except (Unavailable, Unsuitable) as reason:
        return str(reason)
    return ""
