"""A server of our own on a free port, with data that vanish with it."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def fresh_server(**settings: str) -> Iterator[str]:
    """Give the base URL of an empty server with the embedded MongoDB; ``settings`` are variables of its environment.

    Raises RuntimeError when it doesn't start.
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("FHIR_")}
    environment |= settings
    with tempfile.TemporaryDirectory(prefix="fhir-conformance-") as folder:
        log = Path(folder) / "server.log"
        command = [
            sys.executable, "-m", "fhir_server", "serve", "--port", str(port),
            "--data-dir", str(Path(folder) / "data"), "--no-load-examples",
        ]  # fmt: skip
        with log.open("wb") as errors:
            process = subprocess.Popen(  # noqa: S603 (our own command)
                command, stdout=subprocess.PIPE, stderr=errors, text=True, env=environment
            )
        try:
            assert process.stdout is not None
            if not any("Ctrl-C stops" in line for line in process.stdout):
                raise RuntimeError(f"The server did not start: {log.read_text()[-2000:]}")
            yield f"http://127.0.0.1:{port}/fhir"
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(30)
            if process.stdout is not None:
                process.stdout.close()
