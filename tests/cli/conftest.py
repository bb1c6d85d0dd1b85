"""A server for the tests of this folder, and an HTTP peer whose answers a test scripts."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
from contextlib import asynccontextmanager

import pytest


class Peer:
    """Answers each request by ``script(method, path, body)``: (status, headers, body), "close", "silence" or raw bytes.

    It does on a real socket what a healthy server never does.
    """

    def __init__(self, script):
        self.script = script
        self.requests = []
        self.connections = 0
        self.at_once = 0
        self.most_at_once = 0

    async def serve(self, reader, writer):
        self.connections += 1
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                lines = head.decode().split("\r\n")
                method, path, _ = lines[0].split(" ")
                headers = dict(line.lower().split(": ", 1) for line in lines[1:] if line)
                body = await reader.readexactly(int(headers.get("content-length", 0)))
                self.requests.append((method, path, body, headers))
                self.at_once += 1
                self.most_at_once = max(self.most_at_once, self.at_once)
                await asyncio.sleep(0.001)
                answer = self.script(method, path, body)
                self.at_once -= 1
                if answer == "close":
                    break
                if answer == "silence":
                    await asyncio.sleep(60)
                writer.write(answer if isinstance(answer, bytes) else message(*answer))
        except asyncio.IncompleteReadError:
            pass
        finally:
            writer.transport.abort()


def message(status, headers=None, body=b""):
    lines = "".join(f"{name}: {value}\r\n" for name, value in (headers or {}).items())
    return f"HTTP/1.1 {status} X\r\n{lines}Content-Length: {len(body)}\r\n\r\n".encode() + body


@pytest.fixture
def peer():
    """Return the context manager ``peer(script)`` of (base URL, Peer)."""
    return scripted


@asynccontextmanager
async def scripted(script):
    it = Peer(script)
    tasks = set()

    async def handle(reader, writer):
        tasks.add(asyncio.current_task())
        await it.serve(reader, writer)

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/fhir", it
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await server.wait_closed()
        await asyncio.sleep(0.01)  # transports close their sockets in the loop's next round


def _free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture(scope="session")
def free_port():
    """Return the function that finds a TCP port that nobody listens on."""
    return _free_port


@pytest.fixture(scope="session")
def serving(tmp_path_factory):
    """Return ``serving(data, ...)``, which starts ``fhir-server serve`` and returns (process, base, banner)."""
    logs = tmp_path_factory.mktemp("logs")
    started = []

    def start(data, *, examples=False, workers=1, port=None):
        port = port or _free_port()
        environment = {name: value for name, value in os.environ.items() if not name.startswith("FHIR_")}
        environment["FHIR_CONTENT_LOAD"] = "false"  # tests/interactions/test_content.py has its own start
        log = logs / f"{len(started)}.log"
        with log.open("wb") as errors:
            process = subprocess.Popen(
                [sys.executable, "-m", "fhir_server", "serve", "--port", str(port), "--workers", str(workers),
                 "--data-dir", str(data), "--load-examples" if examples else "--no-load-examples"],
                env=environment, stdout=subprocess.PIPE, stderr=errors, text=True,
            )  # fmt: skip
        started.append(process)
        banner = []
        for line in process.stdout:
            banner.append(line)
            if "Ctrl-C stops" in line:
                return process, f"http://127.0.0.1:{port}/fhir", "".join(banner)
        raise AssertionError(f"the server ended with {process.wait()}: {log.read_text()[-3000:]}")

    yield start
    for process in started:
        if process.poll() is None:
            process.kill()
        process.wait()
        process.stdout.close()


@pytest.fixture(scope="session")
def served(serving, tmp_path_factory):
    """Return the base URL of a server with the examples, for the session."""
    process, base, _ = serving(tmp_path_factory.mktemp("served"), examples=True)
    yield base
    process.terminate()
    assert process.wait(60) == 0
