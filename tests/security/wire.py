"""Bytes on a socket, as no client library would send them."""

from __future__ import annotations

import contextlib
import json
import socket
import time
from dataclasses import dataclass, field

import httpx


@dataclass
class Answer:
    """One answer on the wire; ``rest`` is what came after it."""

    status: int
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    rest: bytes = b""

    def outcome(self) -> str:
        """Return the first issue's code; fails when the body is no OperationOutcome."""
        found = json.loads(self.body)
        assert found["resourceType"] == "OperationOutcome"
        return found["issue"][0]["code"]


def address(client: httpx.Client) -> tuple[str, int]:
    return client.base_url.host, client.base_url.port


def exchanged(client: httpx.Client, *parts: bytes, pause: float = 0.0, seconds: float = 20) -> list[Answer]:
    """Send the parts one after the other; return all answers until the server ends the connection or says nothing."""
    received = b""
    with socket.create_connection(address(client), timeout=seconds) as wire:
        with contextlib.suppress(OSError):
            for part in parts:
                wire.sendall(part)
                if pause:
                    time.sleep(pause)
        wire.settimeout(2 if not pause else seconds)
        with contextlib.suppress(OSError):
            while data := wire.recv(65536):
                received += data
    return _answers(received)


def _answers(received: bytes) -> list[Answer]:
    found = []
    while received.startswith(b"HTTP/1.1"):
        head, _, received = received.partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        headers = {n.lower(): v.strip() for n, _, v in (line.partition(":") for line in lines)}
        size = int(headers.get("content-length", "0"))
        found.append(Answer(int(first.split()[1]), headers, received[:size], received[size:]))
        received = received[size:]
    return found
