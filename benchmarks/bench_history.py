"""What a page of a type's history costs with more and more versions: it must not grow.

Versions are written as the store would have written them, a hundred resources with equally many each; pages are read
through the store, at the begin, in the middle and near the end. Starts its own MongoDB.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

from pymongo import MongoClient

from fhir_server.access import OPEN
from fhir_server.store import Store
from fhir_server.store.documents import milliseconds, order_key
from fhir_server.store.embedded import EmbeddedMongod
from fhir_server.store.history import Cursor

START = 1_767_225_600_000
RESOURCES = 100
BODY = b'{"resourceType":"Basic","code":{"text":"' + b"x" * 400 + b'"}}'


def version(number: int) -> dict[str, Any]:
    """Return a superseded version; all resources take turns."""
    id_, of_resource = f"r{number % RESOURCES}", number // RESOURCES + 1
    key, following = (order_key(START + at, id_) for at in (number, number + RESOURCES))
    return {
        "_id": f"Basic/{id_}/{of_resource:08d}", "t": "Basic", "id": id_, "v": of_resource,
        "lu": key, "u": following, "w": b"12345678", "m": "PUT", "j": BODY,
    }  # fmt: skip


async def pages(store: Store, cursor: str | None, count: int) -> float:
    """Return the median of the milliseconds of pages that follow each other."""
    times = []
    for _ in range(count):
        begin = time.perf_counter()
        page = await store.history("Basic", None, OPEN, cursor=cursor, limit=50)
        times.append((time.perf_counter() - begin) * 1000)
        assert len(page.rows) == 50
        cursor = page.next
    return statistics.median(times)


async def run(sizes: list[int], uri: str) -> None:
    """Print the table."""
    store = await Store.connect(uri, database="history", indexes=lambda _: ())
    await store.count_history("Basic", None, OPEN)
    print("| versions | first pages, ms | in the middle | near the end |")
    print("|---|---|---|---|", flush=True)
    written = 0
    with MongoClient[dict[str, Any]](uri) as client:
        client["history"].create_collection("Basic")
        rows = client["history"]["history"]
        for size in sizes:
            for start in range(written, size, 5000):
                rows.insert_many(list(map(version, range(start, min(size, start + 5000)))))
            written = size
            found = []
            for place in (size, size // 2, 3000):
                before = version(place - 1)
                cursor = Cursor(before["lu"] + (1 << 15), "Basic", before["id"], before["v"], 0)
                assert milliseconds(before["lu"]) == START + place - 1
                found.append(await pages(store, None if place == size else cursor.text(), 40))
            print(f"| {size:,} | " + " | ".join(f"{ms:.2f}" for ms in found) + " |", flush=True)
    await store.close()


def main() -> None:
    """Parse the command line and run."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sizes", default="10000,100000,1000000")
    sizes = [int(size) for size in parser.parse_args().sizes.split(",")]
    with tempfile.TemporaryDirectory() as scratch:
        mongod = EmbeddedMongod.start(Path(scratch) / "d", cache_gb=0.5)
        try:
            asyncio.run(run(sizes, mongod.uri))
        finally:
            mongod.stop()


if __name__ == "__main__":
    main()
