"""A server that holds the examples, for the tests of the client programs and of the story."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

ROOT = Path(__file__).parents[2]
READY_WITHIN_S = 180


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


@pytest.fixture(scope="session")
def fhir_base(mongod_uri: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The base URL of ``fhir-server serve --load-examples``, run as a process of its own like a user does."""
    folder = tmp_path_factory.mktemp("serve")
    address = f"http://127.0.0.1:{(port := _free_port())}"
    command = [sys.executable, "-m", "fhir_server", "serve", "--load-examples", "--port", str(port)]
    environment = os.environ | {
        "FHIR_MONGODB_URI": mongod_uri,
        "FHIR_MONGODB_DATABASE": f"examples_{os.getpid()}",
        "FHIR_DATA_DIR": str(folder),
        "PYTHONPATH": str(ROOT),
    }
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen(command, env=environment, cwd=folder, stdout=log, stderr=log)
    try:
        deadline = time.monotonic() + READY_WITHIN_S
        while not _is_ready(address):
            if server.poll() is not None or time.monotonic() > deadline:
                pytest.fail(f"the server did not start:\n{(folder / 'log').read_text(errors='replace')}")
            time.sleep(0.1)
        yield f"{address}/fhir"
    finally:
        server.terminate()
        server.wait(timeout=30)


def _is_ready(address: str) -> bool:
    """Tell whether the server answers, and searches by what the health space adds (indexed some seconds later)."""
    added = f"{address}/fhir/ExplanationOfBenefit?service-date=2020&_summary=count"
    try:
        ready = httpx.get(f"{address}/health/ready", timeout=2).status_code == httpx.codes.OK
        return ready and httpx.get(added, timeout=10).status_code == httpx.codes.OK
    except httpx.TransportError:
        return False
