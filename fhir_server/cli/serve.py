"""``fhir-server serve``: the server, with an embedded MongoDB when no other is named."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fhir_server.cli.doctor import database_problem
from fhir_server.cli.exits import Exit, stop

if TYPE_CHECKING:
    import socket

    from fhir_server.settings import Settings

EPILOG = """\b
Examples:
  fhir-server serve --load-examples
  FHIR_MONGODB_URI=mongodb://db1,db2/?replicaSet=rs0 fhir-server serve --workers 4
"""

#: Seconds to wait for a port in use: the workers of a server that was killed need a moment to leave it.
_PORT_S = 6.0


def serve(
    *,
    host: Annotated[str | None, typer.Option(help="Address to listen on (http.host).")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on (http.port).")] = None,
    workers: Annotated[int | None, typer.Option(help="Worker processes (http.workers).")] = None,
    base_url: Annotated[str | None, typer.Option(help="Public URL of the FHIR base (http.base_url).")] = None,
    data_dir: Annotated[Path | None, typer.Option(help="Data directory (data.dir).")] = None,
    tls_cert: Annotated[
        Path | None, typer.Option(help="Certificate and chain, PEM: speak https (http.tls_cert).")
    ] = None,
    tls_key: Annotated[Path | None, typer.Option(help="Its private key, PEM (http.tls_key).")] = None,
    mongodb_uri: Annotated[
        str | None, typer.Option(help="MongoDB replica set instead of the embedded one (mongodb.uri).")
    ] = None,
    load_examples: Annotated[
        bool | None,
        typer.Option("--load-examples/--no-load-examples", help="Store the examples (examples.load)."),
    ] = None,
    log_level: Annotated[str | None, typer.Option(help="debug, info, warning or error (log.level).")] = None,
    log_format: Annotated[str | None, typer.Option(help="json or text (log.format).")] = None,
    config: Annotated[Path | None, typer.Option(help="Settings file instead of fhir-server.toml.")] = None,
    sandbox: Annotated[
        bool | None, typer.Option("--sandbox", help="Let whoever calls reset the data (sandbox.on).")
    ] = None,
    production: Annotated[bool, typer.Option("--production", help="Refuse unsafe settings.")] = False,
) -> None:
    """Run the server until Ctrl-C or SIGTERM.

    Exit code 2: a setting is refused; 3: MongoDB can't be reached or started; 5: the port or the data
    directory is in use.
    """
    from fhir_server import settings as declared
    from fhir_server.cli.unsafe import unsafe

    if mongodb_uri and _has_password(mongodb_uri):
        stop(
            Exit.USAGE,
            "A password in an argument can be read by all users: put the URI into FHIR_MONGODB_URI.",
        )
    if config is not None:
        os.environ["FHIR_CONFIG"] = str(config)
    flags = {
        "http.host": host,
        "http.port": port,
        "http.workers": workers,
        "http.base_url": base_url,
        "data.dir": data_dir.absolute() if data_dir else None,
        "http.tls_cert": tls_cert.absolute() if tls_cert else None,
        "http.tls_key": tls_key.absolute() if tls_key else None,
        "mongodb.uri": mongodb_uri,
        "examples.load": load_examples,
        "sandbox.on": sandbox,
        "log.level": log_level,
        "log.format": log_format,
    }
    settings = declared.load(flags)
    if refusals := unsafe(settings, is_production=production):
        stop(Exit.USAGE, "\n".join(refusals))
    # Worker processes read the settings themselves: the environment carries the flags to them.
    os.environ.update(
        {declared.variable(name): str(value) for name, value in flags.items() if value is not None}
    )
    with _shared_metrics(settings), _listening(settings) as listener, _mongodb(settings) as database:
        run(settings, listener, database)


def run(settings: Settings, listener: socket.socket, database: str) -> None:
    """Serve on the socket until asked to stop; prints the banner when the first request can be answered.

    Also a single worker is a process of its own: when it dies, the supervisor starts another one.
    """
    import threading

    import uvicorn
    from uvicorn.config import STARTUP_FAILURE
    from uvicorn.supervisors import Multiprocess

    from fhir_server.cli.banner import announce
    from fhir_server.rest.event_log import configure_logging

    configure_logging(settings.log.level, settings.log.format)
    config = uvicorn.Config(
        "fhir_server.cli.worker:create_app",
        factory=True,
        workers=settings.http.workers,
        access_log=False,
        log_config=None,
        server_header=False,
        date_header=True,
        proxy_headers=False,
        timeout_graceful_shutdown=int(settings.http.shutdown_grace_s) or None,
        **_fast(),
        **_tls(settings),
    )
    started = threading.Thread(target=announce, args=(settings, database), name="banner", daemon=True)
    with _ignored_after_shutdown():
        started.start()
        supervisor = Multiprocess(config, sockets=[listener])
        supervisor.run()
        if any(process.exitcode == STARTUP_FAILURE for process in supervisor.processes):
            stop(Exit.CONNECTION, "A worker could not start; the reason is above.")


def _fast() -> dict[str, Any]:
    import sys

    from fhir_server.rest.protocol import GuardedProtocol

    return {"http": GuardedProtocol, "ws": "none", "loop": "asyncio" if sys.platform == "win32" else "uvloop"}


def _tls(settings: Settings) -> dict[str, Any]:
    """Return what uvicorn needs to speak https; nothing without a certificate."""
    from functools import partial

    from fhir_server.cli.tls import context_problem, server_context

    http = settings.http
    if http.tls_cert is None or http.tls_key is None:
        return {}
    problem = context_problem(http.tls_cert, http.tls_key)
    if problem:
        stop(Exit.USAGE, problem)
    return {
        "ssl_certfile": str(http.tls_cert),
        "ssl_keyfile": str(http.tls_key),
        "ssl_context_factory": partial(server_context, minimum=http.tls_minimum),
    }


@contextmanager
def _ignored_after_shutdown() -> Iterator[None]:
    """Swallow the signals that uvicorn raises again after its shutdown: MongoDB is to be stopped after it."""
    before = {number: signal.signal(number, lambda *_: None) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _shared_metrics(settings: Settings) -> Iterator[None]:
    """Give several workers a folder in which their metrics are summed up; those of killed servers are removed."""
    import shutil

    name = "PROMETHEUS_MULTIPROC_DIR"
    if settings.http.workers == 1 or os.environ.get(name):
        yield
        return
    for left in settings.data.dir.glob("metrics-*"):
        if not _is_another(int(left.name.partition("-")[2])):
            shutil.rmtree(left, ignore_errors=True)
    folder = settings.data.dir / f"metrics-{os.getpid()}"
    try:
        folder.mkdir(parents=True)
    except OSError as reason:
        stop(
            Exit.USAGE,
            f"The data directory can't be written: {reason}.",
            "Choose another one with --data-dir.",
        )
    os.environ[name] = str(folder)
    try:
        yield
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _is_another(process: int) -> bool:
    """Tell whether this is a running process and not this one; in a container a restart gets the same number."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return process != os.getpid()


@contextmanager
def _listening(settings: Settings) -> Iterator[socket.socket]:
    """Bind the port first: a port in use is found before a database is started."""
    import socket

    host, port = settings.http.host, settings.http.port
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        deadline = time.monotonic() + _PORT_S
        while reason := _refusal(listener, host, port):
            if time.monotonic() > deadline:
                stop(
                    Exit.CONFLICT,
                    f"Can't listen on {host} port {port}: {reason}.",
                    "Stop what uses it, or choose another port with --port.",
                )
            time.sleep(0.1)
        listener.set_inheritable(True)
        yield listener


def _refusal(listener: socket.socket, host: str, port: int) -> str:
    try:
        listener.bind((host, port))
    except OSError as reason:
        return reason.strerror or str(reason)
    return ""


@contextmanager
def _mongodb(settings: Settings) -> Iterator[str]:
    """Start the embedded MongoDB unless there is a URI; yields the banner's words about the database."""
    if settings.mongodb.uri is not None:
        if problem := database_problem(settings):
            stop(
                Exit.CONNECTION,
                problem,
                "Check FHIR_MONGODB_URI, or leave it out to use the embedded MongoDB.",
            )
        yield f"{_without_password(settings.mongodb.uri.get_secret_value())}/{settings.mongodb.database}"
        return
    from fhir_server.store.embedded import DataDirectoryInUse, EmbeddedMongod, EmbeddedMongodError

    start = time.monotonic()
    directory = settings.data.dir / "mongodb"
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # also while MongoDB starts
    try:
        mongod = EmbeddedMongod.start(
            directory, binary=settings.mongodb.binary, cache_gb=settings.mongodb.cache_gb
        )
    except DataDirectoryInUse as reason:
        stop(Exit.CONFLICT, str(reason))
    except EmbeddedMongodError as reason:
        stop(Exit.CONNECTION, str(reason), '"fhir-server doctor" says more.')
    os.environ["FHIR_MONGODB_URI"] = mongod.uri
    try:
        ready = f"ready in {time.monotonic() - start:.1f} s"
        yield f"embedded {mongod.version}, data in {settings.data.dir}   {ready}"
    finally:
        mongod.stop()


def _has_password(uri: str) -> bool:
    credentials, at, _ = uri.partition("://")[2].rpartition("@")
    return bool(at) and ":" in credentials


def _without_password(uri: str) -> str:
    scheme, separator, rest = uri.partition("://")
    return f"{scheme}{separator}{rest.rpartition('@')[2].partition('/')[0]}"
