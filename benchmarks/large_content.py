"""`make bench-content`: a large Binary up, down and in ranges: rates, and the memory that the worker needs for it.

Starts its own server and mongod in a scratch folder. The file is made while it is sent and checked while it is
received, so that this program needs no memory for it either. GridFS, of PyMongo, moves the same bytes into and out of
the same mongod without any server in between. The exit code is 1 when content differs or the worker needs more than
--most-mb.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import http.client
import signal
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import psutil
from bare_client import socket_of
from bench import start_server
from gridfs.asynchronous import AsyncGridFSBucket
from pymongo import AsyncMongoClient

BLOCK = 1 << 16
MB = 1_000_000


def blocks(size: int) -> Iterator[bytes]:
    """Yield a file of this size that compresses badly and is the same each time."""
    seed = hashlib.sha256(b"large content").digest()
    while size > 0:
        seed = hashlib.sha256(seed).digest()
        yield (seed * (BLOCK // 32))[:size]
        size -= BLOCK


def digest(parts: Iterator[bytes]) -> bytes:
    """Return the SHA-256 of the parts."""
    found = hashlib.sha256()
    for part in parts:
        found.update(part)
    return found.digest()


class Worker:
    """The process that serves, and how much memory it needed at most since ``mark``."""

    def __init__(self, process: int) -> None:
        children = psutil.Process(process).children(recursive=True)
        self._worker = max(
            (p for p in (psutil.Process(process), *children) if "mongod" not in p.name()),
            key=lambda p: p.memory_info().rss,
        )
        self.mongod = next(p for p in children if "mongod" in p.name())
        self.before = 0.0

    def settle(self) -> None:
        """Wait until the worker has done what it does after its start."""
        for _ in range(60):
            before = sum(self._worker.cpu_times()[:2])
            time.sleep(1)
            if sum(self._worker.cpu_times()[:2]) - before < 0.05:
                return

    def mark(self) -> None:
        """Begin to watch; Linux keeps the peak, and forgets it on request."""
        Path(f"/proc/{self._worker.pid}/clear_refs").write_text("5")
        self.before = self._worker.memory_info().rss / MB

    def more(self) -> float:
        """Return the peak in MB above the size at the mark."""
        for line in Path(f"/proc/{self._worker.pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return max(0.0, int(line.split()[1]) * 1024 / MB - self.before)
        raise SystemExit("this system does not tell the peak of a process")


class Site:
    """The server under test."""

    def __init__(self, base: str) -> None:
        parts = urlsplit(base)
        self._host, self._port, self._prefix = parts.hostname, parts.port, parts.path

    def send(self, size: int) -> str:
        """Send a file; return its address."""
        wire = http.client.HTTPConnection(self._host or "", self._port, timeout=600)
        headers = {"Content-Type": "application/dicom", "Content-Length": str(size)}
        wire.request("POST", f"{self._prefix}/Binary", body=blocks(size), headers=headers)
        answer = wire.getresponse()
        assert answer.status == 201, answer.read()[:500]
        location = answer.headers["Location"]
        wire.close()
        return location.partition(self._prefix + "/")[2].partition("/_history")[0]

    def parts(self, path: str, **headers: str) -> Iterator[bytes]:
        """Yield the body of an answer as it comes."""
        wire = http.client.HTTPConnection(self._host or "", self._port, timeout=600)
        wire.request("GET", f"{self._prefix}/{path}", headers=headers)
        answer = wire.getresponse()
        assert answer.status in (200, 206), answer.read()[:500]
        while part := answer.read(BLOCK):
            yield part
        wire.close()


async def gridfs(uri: str, size: int) -> tuple[float, float]:
    """Return the seconds in which GridFS stores and reads the file."""

    class Source:
        def __init__(self) -> None:
            self._blocks = blocks(size)
            self._left = b""

        def read(self, count: int) -> bytes:
            while len(self._left) < count and (block := next(self._blocks, b"")):
                self._left += block
            found, self._left = self._left[:count], self._left[count:]
            return found

    client = AsyncMongoClient(uri, w="majority", journal=True)
    bucket = AsyncGridFSBucket(client["gridfs"])
    started = time.perf_counter()
    file = await bucket.upload_from_stream("file", Source())
    up = time.perf_counter() - started

    async def received() -> AsyncIterator[bytes]:
        stream = await bucket.open_download_stream(file)
        while part := await stream.readchunk():
            yield part

    started = time.perf_counter()
    found = hashlib.sha256()
    async for part in received():
        found.update(part)
    down = time.perf_counter() - started
    assert found.digest() == digest(blocks(size))
    await client.drop_database("gridfs")
    await client.close()
    return up, down


def measure(site: Site, worker: Worker, size: int) -> list[tuple[str, float, float]]:
    """Return (what, seconds, MB of memory) of each way of a file."""
    site.send(2 * MB)  # what is loaded at the first request is not what is measured
    worker.settle()
    worker.mark()
    rows = []

    def note(what: str, started: float) -> None:
        rows.append((what, time.perf_counter() - started, worker.more()))
        worker.mark()

    started = time.perf_counter()
    address_ = site.send(size)
    note("up", started)
    started = time.perf_counter()
    assert digest(site.parts(address_)) == digest(blocks(size)), "the content differs"
    note("down", started)
    started = time.perf_counter()
    length = sum(map(len, site.parts(address_, Accept="application/fhir+json")))
    assert length > size * 4 // 3, "the resource is cut off"
    note("down as JSON", started)
    started = time.perf_counter()
    length = sum(map(len, site.parts(f"{address_}/_history")))
    assert length > size * 4 // 3, "the history is cut off"
    note("down in a history Bundle", started)
    started = time.perf_counter()
    for number in range(100):
        first = number * (size // 100)
        asked = f"bytes={first}-{first + 999}"
        assert len(b"".join(site.parts(address_, Range=asked))) == 1000
    note("100 ranges of 1 kB", started)
    return rows


def main() -> None:
    """Run it and print a table in Markdown."""
    reader = argparse.ArgumentParser(description=__doc__)
    reader.add_argument("--mb", type=int, default=200, help="size of the file")
    reader.add_argument("--most-mb", type=float, default=30.0, help="memory that a worker may need for it")
    args = reader.parse_args()
    size = args.mb * MB
    with tempfile.TemporaryDirectory() as scratch:
        base, process = start_server(Path(scratch))
        try:
            worker = Worker(process.pid)
            rows = measure(Site(base), worker, size)
            up, down = asyncio.run(gridfs(socket_of(worker.mongod), size))
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(60)
    print(f"| a Binary of {args.mb} MB | s | MB/s | more memory in the worker, MB |\n|---|---|---|---|")
    for what, seconds, memory in rows:
        rate = "" if "ranges" in what else f"{args.mb / seconds:.0f}"
        print(f"| {what} | {seconds:.2f} | {rate} | {memory:.1f} |")
    print(f"| GridFS, bare client: up | {up:.2f} | {args.mb / up:.0f} | |")
    print(f"| GridFS, bare client: down | {down:.2f} | {args.mb / down:.0f} | |")
    if (most := max(memory for _, _, memory in rows)) > args.most_mb:
        sys.exit(f"the worker needed {most:.0f} MB more, {args.most_mb:g} are allowed")


if __name__ == "__main__":
    main()
