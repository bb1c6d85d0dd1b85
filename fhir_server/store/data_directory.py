"""The data directory of the embedded MongoDB: one owner at a time, a place for its socket, its log.

The lock's descriptor is handed to mongod, so the directory stays locked while an orphaned mongod still shuts
down.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import socket
import tempfile
import time
from pathlib import Path
from typing import Any

#: Longest path of a Unix socket that every supported system takes (macOS: 104 bytes with the final NUL).
_LONGEST_SOCKET_PATH = 100
_LOG_ROTATED_AT = 16 << 20
_ORPHAN_SECONDS = 30.0
_POLL_SECONDS = 0.05


class EmbeddedMongodError(RuntimeError):
    """The embedded MongoDB can't be started; the message says why and what to do."""


class DataDirectoryInUse(EmbeddedMongodError):  # noqa: N818 (the name says what happened)
    """Another process owns the data directory."""


class DataDirectory:
    """An owned data directory; ``descriptor`` is its lock, ``socket`` the path that mongod listens on."""

    def __init__(self, path: Path, descriptor: int) -> None:
        self.path = path
        self.descriptor = descriptor
        self.socket = socket_of(path)
        self.log = path / "mongod.log"
        self.output = path / "mongod.out"

    @classmethod
    def claim(cls, path: Path) -> DataDirectory:
        """Create and lock the directory.

        Raises DataDirectoryInUse naming the holder when another process owns it; EmbeddedMongodError when it
        can't be written. The mongod of a server that was killed is waited for (30 s).
        """
        path = path.expanduser().absolute()
        try:
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor = os.open(path / "embedded.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as problem:
            raise EmbeddedMongodError(
                f"The data directory {path} can't be used: {problem.strerror}. "
                "Make it writable for this user or choose another one."
            ) from problem
        deadline = time.monotonic() + _ORPHAN_SECONDS
        while not _lock(descriptor):
            holder = _holder(descriptor)
            if time.monotonic() > deadline or _alive(holder):
                os.close(descriptor)
                raise DataDirectoryInUse(
                    f"The data directory {path} is in use by process {holder or 'unknown'}. "
                    "Stop that server first, or give this one another data directory."
                )
            time.sleep(_POLL_SECONDS)
        os.truncate(descriptor, 0)
        os.pwrite(descriptor, str(os.getpid()).encode(), 0)
        return cls(path, descriptor)

    def release(self) -> None:
        """Give the directory up; harmless when done twice."""
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1

    def series(self) -> str:
        """Return the MongoDB series ("6.0") that wrote the directory last, "" when there is none."""
        try:
            return (self.path / "embedded.version").read_text().strip()
        except FileNotFoundError:
            return ""

    def remember_series(self, series: str) -> None:
        """Record the MongoDB series that writes the directory from now on."""
        (self.path / "embedded.version").write_text(series + "\n")

    def rotate_log(self) -> None:
        """Keep one older log when the current one is larger than 16 MB."""
        if self.log.exists() and self.log.stat().st_size > _LOG_ROTATED_AT:
            self.log.replace(self.log.with_suffix(".log.1"))

    def last_log_lines(self, count: int = 8) -> str:
        """Return what mongod said last, errors first choice, one line each, indented."""
        lines = [_plain(line) for file in (self.log, self.output) for line in _tail(file)]
        serious = [line for line in lines if line.startswith(("E ", "F "))]
        return "\n".join(f"  {line}" for line in (serious or lines)[-count:]) or "  (mongod wrote no log)"


def _lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _holder(descriptor: int) -> int:
    text = os.pread(descriptor, 32, 0)
    return int(text) if text.isdigit() else 0


def _alive(process: int) -> bool:
    if process == 0:
        return False
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    try:  # a killed process that its parent has not collected yet is no holder
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return True


def socket_of(path: Path) -> Path:
    """Return the socket that the mongod of a data directory listens on."""
    return _socket_directory(path.expanduser().absolute()) / "mongod.sock"


def _socket_directory(path: Path) -> Path:
    if len(os.fsencode(path / "mongod.sock")) <= _LONGEST_SOCKET_PATH and _takes_sockets(path):
        return path
    name = hashlib.sha256(os.fsencode(path)).hexdigest()[:12]
    private = Path(tempfile.gettempdir()) / f"fhir-{os.getuid()}-{name}"
    private.mkdir(mode=0o700, exist_ok=True)
    status = private.lstat()
    if status.st_uid != os.getuid() or status.st_mode & 0o077 or private.is_symlink():
        raise EmbeddedMongodError(
            f"{private} belongs to somebody else; remove it or use a shorter data directory path."
        )
    return private


def _takes_sockets(path: Path) -> bool:
    probe = path / f".{os.getpid()}.sock"
    with socket.socket(socket.AF_UNIX) as listener:
        try:
            listener.bind(os.fspath(probe))
        except OSError:  # some mounted file systems have none
            return False
    probe.unlink()
    return True


def _tail(file: Path, size: int = 20_000) -> list[str]:
    if not file.exists():
        return []
    with file.open("rb") as opened:
        opened.seek(max(0, file.stat().st_size - size))
        return opened.read().decode(errors="replace").splitlines()


def _plain(line: str) -> str:
    """Return a JSON log line as "E STORAGE: message (detail)", any other line as it is."""
    try:
        entry: dict[str, Any] = json.loads(line)
        detail = entry.get("attr", {})
        text = f"{entry['s']} {entry['c']}: {entry['msg']}"
    except (ValueError, KeyError, AttributeError, TypeError):
        return line[:300]
    return f"{text} {json.dumps(detail)}"[:400] if detail else text
