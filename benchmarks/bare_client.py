"""The baseline: an AsyncMongoClient that does one by one, without any server, what the workloads need.

It works on the documents that the server stored: it reads them, copies them into a database of its own with the same
indexes, and inserts, finds, or replaces there at the same concurrency with the same write concern.
Prints its figures as JSON.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import time
from typing import Any
from urllib.parse import quote

import psutil
from pymongo import AsyncMongoClient, WriteConcern

try:
    import uvloop
except ImportError:
    uvloop = None

SOURCE, OWN = "fhir", "bare"


async def prepare(client: AsyncMongoClient[dict[str, Any]]) -> list[dict[str, Any]]:
    """Copy the server's Observations and their indexes once; return a sample of the documents."""
    source, own = client[SOURCE]["Observation"], client[OWN]["Observation"]
    if await own.estimated_document_count() == 0:
        for name, row in (await source.index_information()).items():
            if name != "_id_":
                options = {k: row[k] for k in ("unique", "partialFilterExpression") if k in row}
                await own.create_index(row["key"], name=name, **options)
        await source.aggregate([{"$out": {"db": OWN, "coll": "Observation"}}])
    return await own.find({"j": {"$exists": True}}).limit(5000).to_list()


async def run(args: argparse.Namespace) -> dict[str, float]:
    """Return the figures of one workload."""
    mongod = psutil.Process(args.mongod)
    client: AsyncMongoClient[dict[str, Any]] = AsyncMongoClient(socket_of(mongod), maxPoolSize=100)
    sample = await prepare(client)
    patients = sorted({row["p"] for row in sample if "p" in row})
    code = next(row["i"]["code"] for row in sample if str(row["i"]["code"]).startswith("8867-4|"))
    plain = client[OWN]["Observation"]
    durable = plain.with_options(write_concern=WriteConcern("majority", j=True))

    async def create(rng: random.Random) -> None:
        await durable.insert_one({**sample[rng.randrange(len(sample))], "_id": new_id()})

    async def read(rng: random.Random) -> None:
        assert await plain.find_one(
            {"_id": sample[rng.randrange(len(sample))]["_id"]}, {"j": 1, "v": 1, "lu": 1}
        )

    async def search(rng: random.Random) -> None:
        cursor = plain.find(
            {
                "p": patients[rng.randrange(len(patients))],
                "i.code": code,
                "i.date.h": {"$gte": 1704067200000},
            },
            {"j": 1, "v": 1, "lu": 1},
        )
        assert len(await cursor.sort("s", -1).limit(20).to_list()) == 20

    async def update(rng: random.Random) -> None:
        row = sample[rng.randrange(len(sample))]
        old = await plain.find_one({"_id": row["_id"]})
        assert old is not None
        history = client[OWN]["history"].with_options(write_concern=WriteConcern("majority", j=True))
        await history.insert_one({**old, "_id": new_id()})
        await durable.replace_one({"_id": row["_id"]}, {**old, "v": old["v"] + 1})

    call = {"create": create, "read": read, "search": search, "update": update}[args.workload]
    own = psutil.Process()
    taken: list[float] = []

    async def loop(seed: int) -> None:
        rng = random.Random(seed)
        while (begun := time.perf_counter()) < end:
            await call(rng)
            taken.append(time.perf_counter() - begun)

    for warm in range(20):
        await call(random.Random(warm))
    before = [sum(p.cpu_times()[:2]) for p in (own, mongod)]
    start = time.perf_counter()
    end = start + args.seconds
    await asyncio.gather(*(loop(time.time_ns() + n) for n in range(args.connections)))
    elapsed = time.perf_counter() - start
    client_cpu, mongod_cpu = (
        (sum(p.cpu_times()[:2]) - b) * 1000 / len(taken) for p, b in zip((own, mongod), before, strict=True)
    )
    taken.sort()
    await client.close()
    return {
        "per_second": len(taken) / elapsed,
        "p50_ms": taken[len(taken) // 2] * 1000,
        "p99_ms": taken[int(len(taken) * 0.99)] * 1000,
        "client_cpu_ms": client_cpu,
        "server_cpu_ms": client_cpu,
        "mongod_cpu_ms": mongod_cpu,
    }


def new_id() -> str:
    """Return an id that grows with time and has the length of the server's own."""
    return f"{time.time_ns():020d}-{os.urandom(10).hex()}"


def socket_of(mongod: psutil.Process) -> str:
    """Return the URI of the Unix socket that a mongod listens on."""
    [path] = {c.laddr for c in mongod.net_connections("unix") if str(c.laddr).endswith(".sock")}
    return f"mongodb://{quote(path, safe='')}/?directConnection=true"


def main() -> None:
    """Parse the command line and run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mongod", type=int, required=True, help="pid of the server's mongod")
    parser.add_argument("--workload", choices=["create", "read", "search", "update"], required=True)
    parser.add_argument("--connections", type=int, required=True)
    parser.add_argument("--seconds", type=float, default=3)
    args = parser.parse_args()
    print(json.dumps((uvloop.run if uvloop is not None else asyncio.run)(run(args))))


if __name__ == "__main__":
    main()
