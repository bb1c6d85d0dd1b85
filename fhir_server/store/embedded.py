"""A private MongoDB: a single-node replica set that the server starts, supervises and stops itself.

It listens on a Unix socket inside a directory that only this user can enter: no port is opened, no password
needed. https://www.mongodb.com/docs/manual/reference/program/mongod/
"""

from __future__ import annotations

import atexit
import contextlib
import logging
import os
import socket
import subprocess
import sys
import threading
import time
import urllib.parse
from pathlib import Path
from typing import Any

from pymongo import MongoClient
from pymongo.errors import PyMongoError

from fhir_server.store.data_directory import (
    DataDirectory,
    DataDirectoryInUse,
    EmbeddedMongodError,
    socket_of,
)
from fhir_server.store.mongod_binary import MongodBinary, find_binary

__all__ = ["DataDirectoryInUse", "EmbeddedMongod", "EmbeddedMongodError"]

_REPLICA_SET = "fhir"
_READY_SECONDS = 60.0
_STOP_SECONDS = 30.0
_POLL_SECONDS = 0.02
_LONGEST_PAUSE = 30.0
_log = logging.getLogger(__name__)


def running_uri(data_dir: str | Path) -> str:
    """Return the URI of the mongod that another process of this user runs on a data directory."""
    return _uri(socket_of(Path(data_dir)))


def _uri(socket_: Path) -> str:
    return f"mongodb://{urllib.parse.quote(str(socket_), safe='')}/?replicaSet={_REPLICA_SET}"


class EmbeddedMongod:
    """A running mongod; made by ``start``.

    One thread forks mongod, waits for it and starts it again when it ends unasked. The same thread does all
    forks, because the kernel's parent-death signal is bound to the forking thread.
    """

    def __init__(self, directory: DataDirectory, binary: MongodBinary, cache_gb: float) -> None:
        self.version = binary.version
        self.uri = _uri(directory.socket)
        self.restarts = 0
        self._directory = directory
        self._binary = binary
        self._cache_gb = cache_gb
        self._process: subprocess.Popen[bytes] | None = None
        self._stopping = threading.Event()
        self._started = threading.Event()
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._supervise, name="mongod-supervisor", daemon=True)

    @classmethod
    def start(
        cls, data_dir: str | Path, *, binary: str | Path | None = None, cache_gb: float | None = None
    ) -> EmbeddedMongod:
        """Return a mongod that takes writes; blocks 1 to 4 s (at most 60).

        ``cache_gb`` is WiredTiger's cache, default an eighth of the memory between 0.25 and 2. Raises
        DataDirectoryInUse, or EmbeddedMongodError with mongod's last log lines.
        """
        directory = DataDirectory.claim(Path(data_dir))
        try:
            found = find_binary(binary, directory.series())
            self = cls(directory, found, cache_gb or _default_cache_gb())
            self._thread.start()
            self._await_start()
            directory.remember_series(found.series)
        except BaseException:
            directory.release()
            raise
        atexit.register(self.stop)
        return self

    def _await_start(self) -> None:
        self._started.wait()
        if self._failure is not None:
            raise self._failure

    @property
    def pid(self) -> int:
        """The process id of the present mongod; it changes when mongod had to be restarted."""
        assert self._process is not None
        return self._process.pid

    def stop(self) -> None:
        """Stop mongod (SIGTERM, after 30 s SIGKILL) and free the directory; harmless when done twice."""
        self._stopping.set()
        process = self._process
        if process is not None and process.poll() is None:
            process.terminate()
        self._thread.join(_STOP_SECONDS)
        if self._thread.is_alive() and self._process is not None:
            _log.warning("mongod did not stop within %d s and is killed", int(_STOP_SECONDS))
            self._process.kill()
            self._thread.join()
        self._directory.release()
        atexit.unregister(self.stop)

    def _supervise(self) -> None:
        try:
            self._run()
        except BaseException as problem:  # noqa: BLE001 (handed to the thread that waits in start)
            self._failure = problem
            self._end()
            return
        finally:
            self._started.set()
        pause = 0.1
        while True:
            assert self._process is not None
            status = self._process.wait()
            if self._stopping.is_set():
                return
            _log.error(
                "mongod (process %d) ended with status %d; starting it again", self._process.pid, status
            )
            self.restarts += 1
            born = time.monotonic()
            try:
                self._run()
                _log.warning("mongod runs again as process %d", self._process.pid)
            except (EmbeddedMongodError, OSError, PyMongoError) as problem:
                self._end()
                _log.error("mongod could not be started again: %s", problem)
            pause = min(pause * 2, _LONGEST_PAUSE) if time.monotonic() - born < 2 * _LONGEST_PAUSE else 0.1
            if self._stopping.wait(pause if self._process.poll() is not None else 0):
                self._end()
                return

    def _end(self) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()

    def _run(self) -> None:
        self._directory.rotate_log()
        with self._directory.output.open("wb") as output:
            self._process = subprocess.Popen(  # noqa: S603 (arguments are ours)
                self._command(),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                pass_fds=(self._directory.descriptor,),
                start_new_session=True,  # the terminal's Ctrl-C must reach the server alone
                cwd="/",
            )
        deadline = time.monotonic() + _READY_SECONDS
        self._await_socket(deadline)
        self._await_primary(deadline)

    def _command(self) -> list[str]:
        directory = self._directory
        how = "kernel" if sys.platform == "linux" else "watch"
        launcher = str(Path(__file__).with_name("launcher.py"))
        return [
            *(sys.executable, "-I", "-S", launcher, str(os.getpid()), how, self._binary.path),
            *("--dbpath", str(directory.path), "--logpath", str(directory.log), "--logappend", "--quiet"),
            *(
                "--bind_ip",
                str(directory.socket),
                "--nounixsocket",
                "--replSet",
                _REPLICA_SET,
                "--oplogSize",
                "990",
            ),
            *(
                "--wiredTigerCacheSizeGB",
                f"{self._cache_gb:g}",
                "--wiredTigerCollectionBlockCompressor",
                "zstd",
            ),
            *(
                "--wiredTigerEngineConfigString",
                "log=(prealloc=false,file_max=10MB),eviction_dirty_trigger=60",
            ),
            *("--setParameter", "diagnosticDataCollectionEnabled=false"),
            *(
                "--slowms",
                "3600000",
            ),  # slow-query lines would put search values, which are personal, into the log
        ]

    def _await_socket(self, deadline: float) -> None:
        while True:
            self._check_running(deadline)
            with socket.socket(socket.AF_UNIX) as probe, contextlib.suppress(OSError):
                probe.connect(str(self._directory.socket))
                return
            time.sleep(_POLL_SECONDS)

    def _await_primary(self, deadline: float) -> None:
        direct = self.uri.split("?")[0] + "?directConnection=true"
        with MongoClient[dict[str, Any]](
            direct, serverSelectionTimeoutMS=int(_READY_SECONDS * 1000)
        ) as client:
            configured = False
            while not (hello := client.admin.command("hello")).get("isWritablePrimary"):
                self._check_running(deadline)
                if not configured:
                    configured = self._configure(client, hello)
                time.sleep(_POLL_SECONDS)

    def _configure(self, client: MongoClient[dict[str, Any]], hello: dict[str, Any]) -> bool:
        """Make the set, or give it its new address after the directory was moved; tell if that is done."""
        members = [{"_id": 0, "host": str(self._directory.socket)}]
        if hello.get("secondary") or hello.get("setName") == _REPLICA_SET:
            return False
        try:
            config = client.admin.command("replSetGetConfig")["config"]
        except PyMongoError as problem:
            if getattr(problem, "code", None) != 94:  # NotYetInitialized
                return False
            client.admin.command(
                {
                    "replSetInitiate": {
                        "_id": _REPLICA_SET,
                        "members": members,
                        "settings": {"electionTimeoutMillis": 2000},
                    }
                }
            )
            return True
        if [member["host"] for member in config["members"]] == [members[0]["host"]]:
            return False
        config["members"] = members
        config["version"] += 1
        client.admin.command("replSetReconfig", config, force=True)
        return True

    def _check_running(self, deadline: float) -> None:
        assert self._process is not None
        status = self._process.poll()
        if status is not None:
            raise EmbeddedMongodError(
                f"mongod ended with status {status} while starting. Its last log lines:\n"
                + self._directory.last_log_lines()
            )
        if self._stopping.is_set():
            raise EmbeddedMongodError("mongod was asked to stop while it was starting.")
        if time.monotonic() > deadline:
            raise EmbeddedMongodError(
                f"mongod was not ready after {int(_READY_SECONDS)} s. Its last log lines:\n"
                + self._directory.last_log_lines()
            )


def _default_cache_gb() -> float:
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / (1 << 30)
    return min(2.0, max(0.25, round(memory / 8, 2)))
