"""`make kill-test`, `make jepsen`: things die in the middle of a load; every acknowledged write must survive.

Writers create, update, patch, delete, create under a condition or a key, and send transactions, all at once. In
each round one fault happens among them: kill -9 of a worker, of the whole server, of its mongod; with --members 3 kill
-9 of a primary, of a majority, a member that is stopped (SIGSTOP) and wakes up later. When writes go through again the
writers rest, and every acknowledged write is compared with what is stored: nothing lost, nothing twice, no half
transaction, versions dense, each made from the one before, and exactly one event in the outbox for each.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import tempfile
import time
import urllib.parse
from collections import Counter
from pathlib import Path

from bench import start_server
from kill_run.faults import OF_EMBEDDED, OF_REPLICA_SET, Site
from kill_run.ledger import Ledger
from kill_run.load import Load
from kill_run.replica_set import ReplicaSet
from kill_run.verdict import compare_events, contents, judge, over_http

from fhir_server.store import Store
from fhir_server.store.outbox import Token

DATABASE = "fhir"


class Events:
    """Follows the outbox while things die, as a subscription would; each event is counted."""

    def __init__(self) -> None:
        self.seen: Counter[tuple[str, int]] = Counter()
        self.last = time.monotonic()

    async def follow(self, store: Store, after: Token) -> None:
        """Count until cancelled."""
        async for event in store.outbox.follow(after):
            self.seen[f"{event.type}/{event.id}", event.version] += 1
            self.last = time.monotonic()

    async def until_quiet(self) -> None:
        """Return when no event has come for a while: the writers rest."""
        while (rest := self.last + 1.5 - time.monotonic()) > 0:  # noqa: ASYNC110 (it waits for nothing to happen)
            await asyncio.sleep(rest)


async def run(args: argparse.Namespace) -> int:
    """Run the rounds and print the table; return 1 when a promise was broken."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        replicas = ReplicaSet(folder, args.members) if args.members else None
        try:
            return await _rounds(args, folder, replicas)
        finally:
            if replicas is not None:
                replicas.stop()


async def _rounds(args: argparse.Namespace, folder: Path, replicas: ReplicaSet | None) -> int:
    if replicas is not None:
        await asyncio.to_thread(replicas.start)
        uri = replicas.uri
    else:
        socket = urllib.parse.quote(str(folder / "data" / "mongodb" / "mongod.sock"), safe="")
        uri = f"mongodb://{socket}/?replicaSet=fhir"
    base, process = start_server(folder, workers=args.workers, uri=replicas and uri)
    port = int(base.split(":")[2].split("/")[0])

    def restart() -> int:
        nonlocal process
        process.wait()
        time.sleep(0.5)
        _, process = start_server(folder, port=port, workers=args.workers, uri=replicas and uri)
        return process.pid

    site = Site(process.pid, restart, replicas)
    offered = OF_REPLICA_SET if replicas is not None else OF_EMBEDDED
    names = args.faults.split(",") if args.faults else list(offered)
    ledger = Ledger()
    load = Load(base, ledger)
    store = await Store.connect(uri, database=DATABASE, indexes=lambda _: (), timeout_s=30)
    events = Events()
    following = asyncio.create_task(events.follow(store, await store.outbox.here()))
    wrong: list[str] = []
    print("| round | fault | writes acknowledged | longest gap, s | broken promises |")
    print("|---|---|---|---|---|", flush=True)
    try:
        for number in range(args.rounds or len(names)):
            name = names[number % len(names)]
            writers = load.start(args.connections)
            await asyncio.sleep(args.seconds)
            begin = time.perf_counter()
            mend = await asyncio.to_thread(offered[name], site)
            await _until_writing(ledger, args.seconds)
            await asyncio.to_thread(mend)
            if replicas is not None:
                await asyncio.to_thread(replicas.until_whole)
            await asyncio.sleep(args.seconds / 2)
            gap = ledger.longest_silence(begin)
            load.stopping = True
            await asyncio.gather(*writers)
            await events.until_quiet()
            found = await asyncio.to_thread(contents, uri, DATABASE)
            wrong = judge(ledger, found) + compare_events(events.seen, found)
            print(f"| {number + 1} | {name} | {ledger.acknowledged} | {gap:.1f} | {len(wrong)} |", flush=True)
            if wrong or following.done():
                break
        if following.done():
            following.result()
        if not wrong:
            wrong = await over_http(base, found)
    finally:
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)
        await store.close()
        process.terminate()
        process.wait(60)
    _report(ledger, found, events, wrong)
    return 1 if wrong else 0


async def _until_writing(ledger: Ledger, seconds: float, deadline: float = 60) -> None:
    """Return when writes have gone through for a while without a break of half a second."""
    begin = time.perf_counter()
    while time.perf_counter() < begin + deadline:
        await asyncio.sleep(0.1)
        now = time.perf_counter()
        recent = [moment for moment in ledger.times[-20_000:] if moment > now - min(seconds, 1)]
        if now > begin + 1 and len(recent) >= 20 and ledger.longest_silence(now - min(seconds, 1)) < 0.5:
            return
    raise SystemExit(f"no writes within {deadline} s after the fault: {dict(ledger.answers)}")


def _report(ledger: Ledger, found, events: Events, wrong: list[str]) -> None:
    numbers = sorted(len(versions) for versions in found.versions.values())
    print(
        f"\n{ledger.acknowledged} writes acknowledged, {len(found.versions)} resources with up to {numbers[-1]} "
        f"versions stored, {sum(events.seen.values())} events; {len(ledger.whole)} transactions, {len(ledger.claims)} "
        f"criteria and {len(ledger.keys)} keys of several creates at once; "
        f"answers {dict(sorted(ledger.answers.items()))}. "
        f"Broken promises: {len(wrong)}."
    )
    for line in wrong[:30]:
        print("  " + line)


def main() -> None:
    """Parse the command line and run."""
    parser = argparse.ArgumentParser(
        prog="kill_run", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--members", type=int, default=0, help="of a replica set; 0: the embedded mongod")
    parser.add_argument(
        "--faults", default="", help="comma list in place of all; --members decides which there are"
    )
    parser.add_argument("--rounds", type=int, default=0, help="default: each fault once")
    parser.add_argument("--seconds", type=float, default=4, help="load before and after each fault")
    parser.add_argument("--connections", type=int, default=15)
    parser.add_argument("--workers", type=int, default=2)
    os.environ.setdefault("PYTHONUNBUFFERED", "1")
    sys.exit(asyncio.run(run(parser.parse_args())))


if __name__ == "__main__":
    main()
