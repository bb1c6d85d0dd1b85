"""A code system of 100,000 invented codes: $expand with a filter, $validate-code, $lookup, $subsumes, in one worker.

Starts an embedded MongoDB, imports the codes and starts one server process on it. Beside the operations stands a
read of one resource, measured in the same way in the same run. The engine by itself is measured in this process.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import psutil
from bench import start_server
from loopback import Connection as Http

from fhir_server.definitions import Definitions
from fhir_server.interactions.terminology_import import import_source
from fhir_server.store.code_systems import CodeSystems
from fhir_server.store.connection import Connection
from fhir_server.store.embedded import EmbeddedMongod
from fhir_server.terminology import CodeSets
from fhir_server.terminology.code_validation import CodeValidator, Options
from fhir_server.terminology.importing import Source, SourceConcept
from fhir_server.terminology.library import Library

URL = "http://example.org/big"
_FIRST = ["ba", "ce", "di", "fo", "gu", "ka", "le", "mi", "no", "ru", "sa", "te", "vi", "wo", "xu"]
_SECOND = ["ne", "ra", "to", "li", "su", "va", "pe", "do", "mo", "ti", "gra", "plo", "stu", "kri", "fle"]
WORDS = [a + b + c for a in _FIRST for b in _SECOND for c in ("", "ne", "tis", "or")]


def concepts(count: int) -> list[SourceConcept]:
    """Return codes in a tree of ten children each, with displays of four words of 900."""
    rng = random.Random(7)
    return [
        SourceConcept(
            f"C{i}",
            " ".join(rng.choices(WORDS, k=4)),
            parents=(f"C{(i - 1) // 10}",) if i else (),
            properties=({"code": "kind", "valueCode": rng.choice("abcd")},),
        )
        for i in range(count)
    ]


async def imported(uri: str, database: str, count: int) -> float:
    """Import the code system; return the seconds that it took."""
    header = {
        "resourceType": "CodeSystem", "url": URL, "version": "1", "name": "Big", "status": "active",
        "content": "complete", "caseSensitive": True, "valueSet": f"{URL}/vs",
    }  # fmt: skip
    connection = await Connection.open(uri, database, timeout_s=5, limit_ms=600_000)
    begun = time.perf_counter()
    await import_source(
        CodeSystems(connection), Source(header, concepts(count)), "0" * 64, 0, lambda *_: None
    )
    took = time.perf_counter() - begun
    await connection.close()
    return took


async def timed(
    base: str, server: psutil.Process, path: Callable[[random.Random], str], connections: int, seconds: float
) -> str:
    """Return the cells of one row: requests/s, p50 and p95 in ms, CPU of the server per request in us."""
    times: list[float] = []
    until = time.perf_counter() + seconds

    async def run(seed: int) -> None:
        http, rng = Http(base), random.Random(seed)
        while time.perf_counter() < until:
            begun = time.perf_counter()
            status, _, body = await http.send(http.request("GET", path(rng)))
            assert status == 200, body[:300]
            times.append(time.perf_counter() - begun)
        http.close()

    group = [server, *server.children(recursive=True)]
    cpu = sum(sum(one.cpu_times()[:2]) for one in group)
    begun = time.perf_counter()
    await asyncio.gather(*(run(seed) for seed in range(connections)))
    took = time.perf_counter() - begun
    cpu = sum(sum(one.cpu_times()[:2]) for one in group) - cpu
    times.sort()
    p95 = times[int(len(times) * 0.95)] * 1000
    return f"{len(times) / took:.0f} | {statistics.median(times) * 1000:.2f} | {p95:.2f} | {cpu / len(times) * 1e6:.0f}"


def engine(count: int) -> float:
    """Return validations per second of the engine alone, on a code system of a resource with as many codes."""
    definitions = Definitions()
    definitions.add(
        {"resourceType": "CodeSystem", "url": URL, "version": "1", "content": "complete", "caseSensitive": True,
         "concept": [{"code": one.code, "display": one.display} for one in concepts(count)]}
    )  # fmt: skip
    value_set = {"url": "urn:vs", "compose": {"include": [{"system": URL}]}}
    library = Library(CodeSets(definitions).shelf)
    validator, rng = CodeValidator(library, Options()), random.Random(1)
    validator.in_value_set(value_set, {"system": URL, "code": "C1"}, "")
    begun, times = time.perf_counter(), 20_000
    for _ in range(times):
        answer = validator.in_value_set(value_set, {"system": URL, "code": f"C{rng.randrange(count)}"}, "")
        assert answer.result
    return times / (time.perf_counter() - begun)


async def measure(base: str, pid: int, args: argparse.Namespace) -> None:
    """Print the table."""
    server = psutil.Process(pid)
    http = Http(base)
    while True:  # until the server knows of the import
        status, _, body = await http.send(http.request("GET", "metadata?mode=terminology"))
        if status == 200 and URL.encode() in body:
            break
        await asyncio.sleep(0.2)
    status, _, body = await http.send(
        http.request("PUT", "Patient/p", b'{"resourceType":"Patient","id":"p","active":true}')
    )
    assert status in (200, 201), body
    value_set = (
        b'{"resourceType":"ValueSet","id":"big","url":"http://example.org/big-vs","status":"active",'
        b'"compose":{"include":[{"system":"http://example.org/big"}]}}'
    )
    status, _, body = await http.send(http.request("PUT", "ValueSet/big", value_set))
    assert status in (200, 201), body

    def expand(rng: random.Random) -> str:
        word, other = rng.choices(WORDS, k=2)
        return f"ValueSet/$expand?url=http://example.org/big-vs&count=20&filter={word[:4]}%20{other[:2]}"

    def expand_one(rng: random.Random) -> str:
        return f"ValueSet/$expand?url=http://example.org/big-vs&count=20&filter={rng.choice(WORDS)[:3]}"

    def code(rng: random.Random) -> str:
        return f"C{rng.randrange(args.codes)}"

    recent = [f"C{i}" for i in range(0, args.codes, args.codes // 5_000)]
    rows = {
        "read of one resource (for comparison)": lambda _: "Patient/p",
        "$expand, filter of two words": expand,
        "$expand, filter of three letters": expand_one,
        "$validate-code, 5,000 codes in turn": lambda r: (
            f"ValueSet/$validate-code?url=http://example.org/big-vs&system={URL}&code={r.choice(recent)}"
        ),
        "$validate-code, any code": lambda r: (
            f"ValueSet/$validate-code?url=http://example.org/big-vs&system={URL}&code={code(r)}"
        ),
        "$lookup": lambda r: f"CodeSystem/$lookup?system={URL}&code={code(r)}&property=display",
        "$subsumes": lambda r: f"CodeSystem/$subsumes?system={URL}&codeA={code(r)}&codeB={code(r)}",
    }
    print(
        "| request | connections | requests/s | p50 ms | p95 ms | server CPU us |\n|---|---|---|---|---|---|"
    )
    for name, path in rows.items():
        for connections in args.connections:
            print(
                f"| {name} | {connections} | {await timed(base, server, path, connections, args.seconds)} |"
            )
    http.close()


def main() -> None:
    """Read the arguments and run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--codes", type=int, default=100_000)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--connections", type=int, nargs="+", default=[1, 16])
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        mongod = EmbeddedMongod.start(Path(folder) / "mongodb")
        try:
            took = asyncio.run(imported(mongod.uri, "fhir", args.codes))
            print(f"{args.codes} codes imported in {took:.1f} s\n")
            base, server = start_server(Path(folder), uri=mongod.uri)
            try:
                asyncio.run(measure(base, server.pid, args))
            finally:
                server.terminate()
                server.wait()
        finally:
            mongod.stop()
    print(f"\nEngine alone, in this process: {engine(args.codes):.0f} validations/s")


if __name__ == "__main__":
    main()
