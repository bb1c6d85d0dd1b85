"""Becomes mongod, and sees to it that mongod does not outlive the server: run as a script, never imported.

``python -I -S launcher.py SERVER_PID MOTHER mongod --dbpath ...`` keeps its process id, so the server
supervises mongod itself. On Linux the kernel sends SIGTERM when the thread that started us ends; elsewhere
(``MOTHER`` is "watch") a small child polls the server's process.
"""

from __future__ import annotations

import os
import signal
import sys
import time

_PR_SET_PDEATHSIG = 1
_POLL_SECONDS = 0.5


def _die_with_parent(server: int) -> None:
    import ctypes  # noqa: PLC0415 (only Linux needs it)

    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0) != 0:
        sys.exit("prctl(PR_SET_PDEATHSIG) failed")
    if os.getppid() != server:  # the server died before prctl took effect
        sys.exit(1)


def _watch(server: int) -> None:
    mongod = os.getpid()
    if os.fork():
        return
    for descriptor in range(3, 256):  # the watcher must not keep the data directory's lock
        try:
            os.close(descriptor)
        except OSError:
            continue
    while os.getppid() == mongod:
        try:
            os.kill(server, 0)
        except ProcessLookupError:
            os.kill(mongod, signal.SIGTERM)
            break
        time.sleep(_POLL_SECONDS)
    os._exit(0)


def _raise_file_limit() -> None:
    import resource  # noqa: PLC0415 (absent on Windows)

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        except (ValueError, OSError):  # macOS caps it below "unlimited"; mongod then runs with what there is
            return


def main(arguments: list[str]) -> None:
    """Replace this process by ``arguments[2:]``; never returns."""
    server = int(arguments[0])
    _raise_file_limit()
    if arguments[1] == "watch":
        _watch(server)
    else:
        _die_with_parent(server)
    os.execv(arguments[2], arguments[2:])  # noqa: S606 (no shell is wanted)


if __name__ == "__main__":
    main(sys.argv[1:])
