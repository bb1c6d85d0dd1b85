"""`make bench`: the server against a bare MongoDB client in the same run, on the same machine, with the same data.

Starts its own server and mongod in a scratch folder, drives create, read, search and update at several numbers of
connections and a load of Observations, and prints per request: rate, p50, p99, CPU of server and mongod, memory.
The baseline is an AsyncMongoClient in a process of its own that inserts, finds, replaces one by one the very documents
that the server stores, in collections with the same indexes and the same write concern.

The ratios and CPU figures are what to compare; rates swing by 2 on a shared machine.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil
from loopback import Connection
from observations import encoded, observation, patient

try:
    import uvloop
except ImportError:
    uvloop = None

Call = Callable[[random.Random], Awaitable[None]]


@dataclass
class Row:
    """One measured point."""

    workload: str
    side: str
    connections: int
    per_second: float
    p50_ms: float
    p99_ms: float
    client_cpu_ms: float
    server_cpu_ms: float
    mongod_cpu_ms: float

    @property
    def cpu_ms(self) -> float:
        """CPU per request of everything that answers it: the server (or the bare client) and mongod."""
        return self.server_cpu_ms + self.mongod_cpu_ms


class Processes:
    """CPU of the server's own processes and of its mongod."""

    def __init__(self, server: int) -> None:
        tree = [psutil.Process(server), *psutil.Process(server).children(recursive=True)]
        self.mongod = [p for p in tree if "mongod" in p.name()]
        self.server = [p for p in tree if p not in self.mongod]

    def cpu(self) -> tuple[float, float]:
        """Return CPU seconds of server and mongod."""
        return _cpu(self.server), _cpu(self.mongod)

    def memory_mb(self) -> tuple[float, float]:
        """Return resident memory in MB of server and mongod."""
        return tuple(sum(p.memory_info().rss for p in group) / 1e6 for group in (self.server, self.mongod))  # type: ignore[return-value]


def _cpu(group: list[psutil.Process]) -> float:
    return sum(t.user + t.system for t in (p.cpu_times() for p in group))


async def measure(workload: str, side: str, seconds: float, calls: list[Call], processes: Processes) -> Row:
    """Run ``calls`` (one per connection) again and again for some seconds and return the figures."""
    taken: list[float] = []
    own = psutil.Process()
    before = (_cpu([own]), *processes.cpu())
    start = time.perf_counter()
    end = start + seconds

    async def run(call: Call, seed: int) -> None:
        rng = random.Random(seed)
        while (begun := time.perf_counter()) < end:
            await call(rng)
            taken.append(time.perf_counter() - begun)

    await asyncio.gather(*(run(call, time.time_ns() + n) for n, call in enumerate(calls)))
    elapsed = time.perf_counter() - start
    after = (_cpu([own]), *processes.cpu())
    client, server, mongod = ((b - a) * 1000 / len(taken) for a, b in zip(before, after, strict=True))
    taken.sort()
    return Row(
        workload, side, len(calls), len(taken) / elapsed,
        taken[len(taken) // 2] * 1000, taken[int(len(taken) * 0.99)] * 1000, client, server, mongod,
    )  # fmt: skip


class Bench:
    """The server under test and the ids that it gave."""

    def __init__(self, base: str, processes: Processes) -> None:
        self.base = base
        self.processes = processes
        self.patients: list[str] = []
        self.observations: list[str] = []
        self.token = ""

    def connection(self) -> Connection:
        """Return a connection, on which the bearer of the token asks."""
        return Connection(self.base, self.token)

    async def new(self, connection: Connection, resource: dict) -> str:
        """Create a resource and return its id."""
        raw = connection.request("POST", resource["resourceType"], encoded(resource))
        status, head, body = await connection.send(raw)
        assert status == 201, (status, body[:500])
        location = head[head.lower().index(b"\r\nlocation:") + 11 :]
        return location.split(b"\r\n", 1)[0].decode().split("/_history")[0].rpartition("/")[2]

    async def load(self, count: int, patients: int, connections: int) -> dict[str, float]:
        """Create the data; return rate, CPU and memory."""
        rng = random.Random(7)
        first = self.connection()
        self.patients = [await self.new(first, patient(n, rng)) for n in range(patients)]
        first.close()
        waiting = [
            observation(f"Patient/{self.patients[n % patients]}", rng, n // patients) for n in range(count)
        ]
        before = self.processes.cpu()
        start = time.perf_counter()

        async def feed() -> None:
            connection = self.connection()
            while waiting:
                self.observations.append(await self.new(connection, waiting.pop()))
            connection.close()

        await asyncio.gather(*(feed() for _ in range(connections)))
        elapsed = time.perf_counter() - start
        server, mongod = (b - a for a, b in zip(before, self.processes.cpu(), strict=True))
        server_mb, mongod_mb = self.processes.memory_mb()
        return {
            "resources": count,
            "per_second": count / elapsed,
            "server_cpu_ms": server * 1000 / count,
            "mongod_cpu_ms": mongod * 1000 / count,
            "server_mb": server_mb,
            "mongod_mb": mongod_mb,
        }

    def _one(self, rng: random.Random) -> str:
        return self.observations[rng.randrange(len(self.observations))]

    def _subject(self, rng: random.Random) -> str:
        return f"Patient/{self.patients[rng.randrange(len(self.patients))]}"

    def calls(self, workload: str, connections: int) -> list[Call]:
        """Return one call per connection for a workload."""
        return [self._call(workload) for _ in range(connections)]

    def _call(self, workload: str) -> Call:
        connection = self.connection()

        async def create(rng: random.Random) -> None:
            raw = connection.request("POST", "Observation", encoded(observation(self._subject(rng), rng, 4)))
            status, _, body = await connection.send(raw)
            assert status == 201, body

        async def read(rng: random.Random) -> None:
            status, _, body = await connection.send(
                connection.request("GET", f"Observation/{self._one(rng)}")
            )
            assert status == 200, body

        async def search(rng: random.Random) -> None:
            query = (
                f"Observation?patient={self._subject(rng)}&code=http://loinc.org%7C8867-4"
                "&date=ge2024-01-01&_sort=-date&_count=20"
            )
            status, _, body = await connection.send(connection.request("GET", query))
            assert status == 200, body
            assert body.count(b'"mode":"match"') == 20, body[:300]

        async def update(rng: random.Random) -> None:
            id_ = self._one(rng)
            resource = {**observation(self._subject(rng), rng, 4), "id": id_}
            raw = connection.request("PUT", f"Observation/{id_}", encoded(resource))
            status, _, body = await connection.send(raw)
            assert status == 200, body

        return {"create": create, "read": read, "search": search, "update": update}[workload]


WORKLOADS = ("create", "read", "search", "update")


async def drive(args: argparse.Namespace) -> None:
    """Run everything and print the tables."""
    with tempfile.TemporaryDirectory() as scratch:
        base, process = start_server(Path(scratch))
        try:
            bench = Bench(base, Processes(process.pid))
            load = await bench.load(args.load, args.patients or max(1, args.load // 400), 32)
            rows = []
            for workload in WORKLOADS:
                for connections in args.connections:
                    calls = bench.calls(workload, connections)
                    rows.append(await measure(workload, "server", args.seconds, calls, bench.processes))
                    rows.append(await baseline(args, workload, connections, bench))
            memory = bench.processes.memory_mb()
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(30)
    report(load, rows, memory)
    if args.json:
        args.json.write(json.dumps({"load": load, "rows": [asdict(row) for row in rows]}, indent=1))


def free_port() -> int:
    """Return a TCP port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def start_server(
    scratch: Path,
    *,
    port: int | None = None,
    workers: int = 1,
    uri: str | None = None,
    settings: dict[str, str] | None = None,
) -> tuple[str, subprocess.Popen]:
    """Start the server with its data in ``scratch`` or at ``uri``; return its base and process when it is ready.

    ``settings`` are further FHIR_* variables.
    """
    port = port or free_port()
    environment = {k: v for k, v in os.environ.items() if not k.startswith("FHIR_")}
    if uri is not None:
        environment["FHIR_MONGODB_URI"] = uri
    process = subprocess.Popen(
        [sys.executable, "-m", "fhir_server", "serve", "--port", str(port), "--workers", str(workers),
         "--data-dir", str(scratch / "data")],
        env={**environment, "FHIR_LOG_FORMAT": "json", **(settings or {})},
        stdout=subprocess.DEVNULL,
        stderr=(scratch / "server.log").open("ab"),
    )  # fmt: skip
    deadline = time.time() + 180
    while time.time() < deadline:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return f"http://127.0.0.1:{port}/fhir", process
        if process.poll() is not None:
            break
        time.sleep(0.05)
    raise SystemExit((scratch / "server.log").read_text()[-3000:])


async def baseline(args: argparse.Namespace, workload: str, connections: int, bench: Bench) -> Row:
    """Measure the bare client at one point, in a process of its own so that its CPU is its own."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(Path(__file__).with_name("bare_client.py")),
        "--mongod", str(bench.processes.mongod[0].pid), "--workload", workload, "--connections", str(connections),
        "--seconds", str(args.seconds), stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, _ = await process.communicate()
    assert process.returncode == 0, "the bare client failed"
    return Row(workload, "bare", connections, **json.loads(out))


def report(load: dict[str, float], rows: list[Row], memory: tuple[float, float]) -> None:
    """Print the tables as Markdown."""
    print(
        f"load: {load['resources']:.0f} Observations, {load['per_second']:.0f}/s, CPU per resource "
        f"{load['server_cpu_ms']:.3f} ms server + {load['mongod_cpu_ms']:.3f} ms mongod; memory after it "
        f"{load['server_mb']:.0f} MB server, {load['mongod_mb']:.0f} MB mongod "
        f"(at the end {memory[0]:.0f} and {memory[1]:.0f} MB)\n"
    )
    print(
        "| workload | c | /s | p50 ms | p99 ms | server CPU ms | mongod CPU ms | bare /s | bare CPU ms | rate / bare |"
    )
    print("|---|---|---|---|---|---|---|---|---|---|")
    for ours, bare in zip(rows[::2], rows[1::2], strict=True):
        print(
            f"| {ours.workload} | {ours.connections} | {ours.per_second:.0f} | {ours.p50_ms:.2f} | {ours.p99_ms:.2f} "
            f"| {ours.server_cpu_ms:.3f} | {ours.mongod_cpu_ms:.3f} | {bare.per_second:.0f} | {bare.cpu_ms:.3f} "
            f"| {ours.per_second / bare.per_second:.2f} |"
        )


def main() -> None:
    """Parse the command line and run."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--load", type=int, default=20_000, help="Observations to load first (default 20000)")
    parser.add_argument(
        "--patients", type=int, help="how many patients they are of (default: one for 400 Observations)"
    )
    parser.add_argument("--seconds", type=float, default=3, help="seconds per point (default 3)")
    parser.add_argument("--connections", type=int, nargs="+", default=[1, 8, 32, 64])
    parser.add_argument("--json", type=argparse.FileType("w"), help="also write the figures to this file")
    args = parser.parse_args()
    if uvloop is not None:
        uvloop.run(drive(args))
    else:
        asyncio.run(drive(args))


if __name__ == "__main__":
    main()
