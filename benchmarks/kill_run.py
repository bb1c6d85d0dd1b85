"""`make kill-test`: kill -9 in the middle of a load of creates and updates, then account for every acknowledged write.

Each round kills mongod, a worker, or the whole server (in turn) while writers are at work, waits until the server
answers again, and at the end reads back every version that was acknowledged: none may be missing, none may differ, and
versions must be dense. mongod and workers come back by themselves; the whole server is started again on its data.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import random
import signal
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

import psutil
from bench import start_server
from loopback import Connection

NETWORK = (OSError, asyncio.IncompleteReadError, TimeoutError)


@dataclass
class Ledger:
    """What was acknowledged: the number that each version of each resource holds, and how the rest ended."""

    versions: dict[str, dict[int, int]] = field(default_factory=dict)
    answers: dict[str, int] = field(default_factory=dict)

    def note(self, outcome: str) -> None:
        """Count one answer."""
        self.answers[outcome] = self.answers.get(outcome, 0) + 1

    @property
    def acknowledged(self) -> int:
        """How many writes were acknowledged."""
        return sum(len(versions) for versions in self.versions.values())


class Load:
    """Writers that create resources and update them; each resource belongs to one writer."""

    def __init__(self, base: str, ledger: Ledger) -> None:
        self.base = base
        self.ledger = ledger
        self.stopping = False
        self.numbers = iter(range(1, 10**9))

    async def write(self, seed: int) -> None:
        """Write until told to stop; a lost connection or a 503 leaves the outcome open and is not counted."""
        rng = random.Random(seed)
        own: list[str] = []
        connection = Connection(self.base)
        while not self.stopping:
            number = next(self.numbers)
            id_ = own[rng.randrange(len(own))] if own and rng.random() < 0.5 else None
            body = {"resourceType": "Basic", "code": {"text": str(number)}, **({"id": id_} if id_ else {})}
            raw = connection.request(
                "PUT" if id_ else "POST", f"Basic/{id_}" if id_ else "Basic", json.dumps(body).encode()
            )
            try:
                status, _, answer = await asyncio.wait_for(connection.send(raw), 60)
            except NETWORK as lost:
                self.ledger.note(type(lost).__name__)
                connection.close()
                await asyncio.sleep(0.05)
                continue
            self.ledger.note(str(status))
            if status in (200, 201):
                stored = json.loads(answer)
                self.ledger.versions.setdefault(stored["id"], {})[int(stored["meta"]["versionId"])] = number
                if not id_:
                    own.append(stored["id"])
            else:
                await asyncio.sleep(0.05)
        connection.close()


async def until_writable(base: str, deadline: float = 60) -> float:
    """Return the seconds until a create succeeds again."""
    start = time.perf_counter()
    while time.perf_counter() - start < deadline:
        connection = Connection(base)
        with contextlib.suppress(*NETWORK):
            raw = connection.request("POST", "Basic", b'{"resourceType":"Basic","code":{"text":"probe"}}')
            status, _, _ = await asyncio.wait_for(connection.send(raw), 10)
            if status == 201:
                return time.perf_counter() - start
        connection.close()
        await asyncio.sleep(0.05)
    raise SystemExit(f"the server did not come back within {deadline} s")


async def verify(base: str, ledger: Ledger) -> list[str]:
    """Return what is wrong: missing, differing or non-dense versions of what was acknowledged."""
    wrong: list[str] = []
    waiting = list(ledger.versions)

    async def check() -> None:
        connection = Connection(base)
        while waiting:
            id_ = waiting.pop()
            found: dict[int, int] = {}
            path: str | None = f"Basic/{id_}/_history?_count=1000"
            while path:
                status, _, body = await connection.send(connection.request("GET", path))
                if status != 200:
                    wrong.append(f"{id_}: history answers {status}")
                    break
                bundle = json.loads(body)
                for entry in bundle["entry"]:
                    resource = entry["resource"]
                    found[int(resource["meta"]["versionId"])] = int(resource["code"]["text"])
                path = next((x["url"] for x in bundle["link"] if x["relation"] == "next"), None)
                path = path and path.split("/fhir/", 1)[1]
            for version, number in ledger.versions[id_].items():
                if found.get(version) != number:
                    wrong.append(f"{id_} version {version}: {found.get(version)} instead of {number}")
            if sorted(found) != list(range(1, len(found) + 1)):
                wrong.append(f"{id_}: versions {sorted(found)}")
        connection.close()

    await asyncio.gather(*(check() for _ in range(16)))
    return wrong


def victims(server: int) -> dict[str, psutil.Process]:
    """Return the processes by role: the server that was started, one worker of it, its mongod."""
    parent = psutil.Process(server)
    children = parent.children(recursive=True)
    roles = {"server": parent}
    for child in children:
        if "mongod" in child.name():
            roles["mongod"] = child
        elif "spawn_main" in " ".join(child.cmdline()):
            roles["worker"] = child
    return roles


async def run(args: argparse.Namespace) -> int:
    """Run the rounds and print the table; return 1 when an acknowledged write is missing."""
    ledger = Ledger()
    with tempfile.TemporaryDirectory() as scratch:
        base, process = start_server(Path(scratch), workers=args.workers)
        port = int(base.split(":")[2].split("/")[0])
        print("| round | killed | writes acknowledged | s until it writes again |")
        print("|---|---|---|---|", flush=True)
        for number in range(1, args.rounds + 1):
            load = Load(base, ledger)
            writers = [asyncio.create_task(load.write(number * 1000 + n)) for n in range(args.connections)]
            await asyncio.sleep(args.seconds * random.Random(number).uniform(0.5, 1))
            roles = victims(process.pid)
            wanted = ("mongod", "worker", "server")[number % 3]
            role = wanted if wanted in roles else "server"
            roles[role].send_signal(signal.SIGKILL)
            if role == "server":
                process.wait()
                await asyncio.sleep(0.5)
                _, process = await asyncio.to_thread(
                    start_server, Path(scratch), port=port, workers=args.workers
                )
            gap = await until_writable(base)
            await asyncio.sleep(1)
            load.stopping = True
            await asyncio.gather(*writers)
            print(f"| {number} | {role} | {ledger.acknowledged} | {gap:.1f} |", flush=True)
        wrong = await verify(base, ledger)
        process.send_signal(signal.SIGTERM)
        process.wait(60)
    print(
        f"\n{ledger.acknowledged} writes acknowledged on {len(ledger.versions)} resources; "
        f"answers {dict(sorted(ledger.answers.items()))}; missing or wrong: {len(wrong)}"
    )
    for line in wrong[:20]:
        print("  " + line)
    return 1 if wrong else 0


def main() -> None:
    """Parse the command line and run."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--seconds", type=float, default=4, help="load before each kill, at most")
    parser.add_argument("--connections", type=int, default=16)
    parser.add_argument("--workers", type=int, default=2)
    args = parser.parse_args()
    os.environ.setdefault("PYTHONUNBUFFERED", "1")
    sys.exit(asyncio.run(run(args)))


if __name__ == "__main__":
    main()
