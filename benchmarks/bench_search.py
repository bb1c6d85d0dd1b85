"""`make bench-search`: thirty shapes of search on Synthea data, at one size and at ten times that size.

Starts its own server and mongod per size in a scratch folder (or in ``--keep``, to measure again without loading),
sends the Bundles of FHIR_SUITES/synthea-blaze, whole patients until the size is reached (each patient again under
another identity when there are too few), and prints for each shape at the larger size: matches on the page, p50 and
p99 at 8 connections, keys and documents that mongod examined, CPU of server and mongod per search; then p50 of one
connection at both sizes with the exponent of the cost (0: it does not grow, 1: it grows with the data).
"""

from __future__ import annotations

import argparse
import asyncio
import bz2
import itertools
import json
import math
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from bench import Call, Processes, Row, free_port
from bench import measure as measured
from loopback import Connection

LOINC, SNOMED = "http://loinc.org%7C", "http://snomed.info/sct%7C"
SHAPES = (
    "Observation?patient={patient}",
    "Observation?patient={patient}&code=" + LOINC + "8302-2",
    "Observation?patient={patient}&code=" + LOINC + "8302-2&_sort=-date&_count=1",
    "Observation?patient={patient}&category=vital-signs",
    "Observation?patient={patient}&date=ge2015",
    "Observation?patient={patient}&status=final&_sort=code",
    "Observation?patient={patient}&_summary=count",
    "Observation?patient={patient}&code-value-quantity=" + LOINC + "8302-2$gt100",
    "Observation?code=" + LOINC + "8302-2",
    "Observation?code=" + LOINC + "8302-2," + LOINC + "29463-7",
    "Observation?code=" + LOINC + "8302-2&value-quantity=gt170%7Chttp://unitsofmeasure.org%7Ccm",
    "Observation?code=" + LOINC + "8302-2&date=ge2018",
    "Observation?code=8302-2&_total=accurate&_count=5",
    "Observation?encounter={encounter}",
    "Observation?subject:Patient.identifier={identifier}",
    "Observation?subject:Patient.gender=female",
    "Observation?_lastUpdated=ge2020&_count=20",
    "Patient?identifier={identifier}",
    "Patient?family={family}",
    "Patient?name={family}&gender=female",
    "Patient?birthdate=1960",
    "Patient?_has:Condition:patient:code=" + SNOMED + "59621000",
    "Patient?_has:Observation:patient:code=" + LOINC + "8302-2",
    "Patient?_id={patient}&_revinclude=Encounter:subject",
    "Encounter?patient={patient}&_include=Encounter:participant",
    "Condition?patient={patient}&clinical-status=active",
    "Condition?code=" + SNOMED + "59621000&_include=Condition:subject",
    "MedicationRequest?patient={patient}&status=active",
    "DocumentReference?patient={patient}&_sort=-date&_count=10",
    "ExplanationOfBenefit?patient={patient}&_count=10",
    "Patient/{patient}/Observation?_count=20",
    "Patient/{patient}/*?_count=20",
)  # fmt: skip
#: Bundles that are on their way at the same time while loading.
_AT_ONCE = 2
_MOST_REFUSED = 20


def start(folder: Path) -> tuple[subprocess.Popen, str]:
    """Start a server on a free port; return it with its FHIR base."""
    port = free_port()
    environment = {
        **os.environ, "FHIR_SEARCH_EXPLAIN": "true", "FHIR_LOG_LEVEL": "warning", "FHIR_HTTP_REQUEST_TIMEOUT_S": "300",
    }  # fmt: skip
    command = [sys.executable, "-m", "fhir_server", "serve", "--port", str(port), "--data-dir", str(folder)]
    return subprocess.Popen(
        command, env=environment, stdout=subprocess.DEVNULL
    ), f"http://127.0.0.1:{port}/fhir"


async def ready(base: str) -> None:
    """Return when the server answers."""
    for _ in range(600):
        try:
            connection = Connection(base.removesuffix("/fhir"))
            if (await connection.send(connection.request("GET", "health/ready")))[0] == 200:
                return
        except OSError:
            pass
        await asyncio.sleep(0.1)
    raise SystemExit("the server did not start")


def bundles(folder: Path) -> Iterator[tuple[bytes, bool]]:
    """Yield Bundles without end; the flag tells that others refer to this one. Patients come again as others."""
    files = sorted(folder.glob("*.bz2"), key=lambda file: (not file.name.startswith("0-"), file.name))
    for again in itertools.count():
        for file in files:
            identity, is_first = file.name.partition(".")[0], file.name.startswith("0-")
            body = bz2.decompress(file.read_bytes())
            if again:
                body = body.replace(identity.encode(), f"{identity[:-6]}{again:06d}".encode())
            if not (again and is_first):
                yield body, is_first


async def load(base: str, folder: Path, size: int) -> int:
    """Send Bundles until the server holds ``size`` resources, a few more in the end; return how many."""
    loaded = refused = 0

    async def send(body: bytes) -> None:
        nonlocal loaded, refused
        connection = Connection(base)
        status, _, answer = await connection.send(connection.request("POST", "", body))
        connection.close()
        if status == 200:
            loaded += len(json.loads(body)["entry"])
        else:  # a few hold a code that is in no value set
            refused += 1
            errors = {i["diagnostics"] for i in json.loads(answer)["issue"] if i["severity"] == "error"}
            print(f"a Bundle was refused: {status} {' '.join(errors)[:200]}", file=sys.stderr)
        if refused > _MOST_REFUSED:
            raise SystemExit("too many Bundles were refused")

    waiting: list[asyncio.Task] = []
    for body, is_first in bundles(folder):
        if loaded >= size:
            break
        waiting.append(asyncio.create_task(send(body)))
        while waiting and (is_first or len(waiting) >= _AT_ONCE):
            await waiting.pop(0)
    await asyncio.gather(*waiting)
    return loaded


async def get(base: str, path: str) -> dict:
    """Return the Bundle at a path."""
    connection = Connection(base)
    status, _, body = await connection.send(connection.request("GET", path))
    connection.close()
    if status != 200:
        raise SystemExit(f"{path}: {status} {body[:500]!r}")
    return json.loads(body)


async def samples(base: str) -> dict[str, str]:
    """Return values that the shapes ask for, of the patient that was loaded first."""
    patient = (await get(base, "Patient?_sort=_lastUpdated&_count=1"))["entry"][0]["resource"]
    encounter = (await get(base, f"Encounter?patient={patient['id']}&_count=1"))["entry"][0]["resource"]
    return {
        "patient": patient["id"],
        "encounter": encounter["id"],
        "identifier": patient["identifier"][0]["value"],
        "family": patient["name"][0]["family"],
    }


def caller(base: str, path: str) -> Call:
    """Return a call that gets a path through a connection of its own."""
    connection = Connection(base)
    raw = connection.request("GET", path)

    async def call(rng: random.Random) -> None:  # noqa: ARG001 (every call is the same)
        status, _, body = await connection.send(raw)
        assert status == 200, body[:500]

    return call


async def examined(base: str, path: str) -> tuple[int, int, float, float]:
    """Return how many resources a page shows, how many were counted for its total, and keys and documents read."""
    bundle = await get(base, path + ("&" if "?" in path else "?") + "_explain=true")
    plans = [
        json.loads(issue["diagnostics"])
        for entry in bundle.get("entry", ())
        if entry["search"]["mode"] == "outcome"
        for issue in entry["resource"]["issue"]
        if issue["diagnostics"].startswith("{")
    ]
    matches = sum(entry["search"]["mode"] != "outcome" for entry in bundle.get("entry", ()))
    if not plans:
        return matches, 0, math.nan, math.nan
    counted = sum(
        plan["rows"] for plan in plans if plan["query"] == "number of matches" and "total" in bundle
    )
    return matches, counted, sum(plan["keys"] for plan in plans), sum(plan["documents"] for plan in plans)


async def shapes(base: str, pid: int, seconds: float, only: str) -> dict[str, tuple[Row, Row, tuple]]:
    """Return for each shape the rows of one connection and of eight, and what it examined."""
    processes = Processes(pid)
    values = await samples(base)
    found = {}
    for shape in SHAPES:
        if only not in shape:
            continue
        path = shape.format(**values)
        keys = await examined(base, path)
        one = await measured(shape, "server", seconds, [caller(base, path)], processes)
        eight = await measured(shape, "server", seconds, [caller(base, path) for _ in range(8)], processes)
        found[shape] = (one, eight, keys)
    return found


async def loaded(base: str, suite: Path, size: int) -> int:
    """Load; return how many resources."""
    began = time.perf_counter()
    count = await load(base, suite, size)
    print(f"{count} resources loaded in {time.perf_counter() - began:.0f} s", file=sys.stderr)
    return count


def at_size(scratch: Path, size: int, suite: Path, args: argparse.Namespace) -> tuple[int, dict]:
    """Return the number of resources and the figures of a server that holds about ``size``.

    What was loaded into ``scratch`` before is not loaded again.
    """
    done = scratch / f"{size}.loaded"
    running, base = start(scratch / str(size))
    try:
        asyncio.run(ready(base))
        if not done.exists():
            done.write_text(str(asyncio.run(loaded(base, suite, size))))
        return int(done.read_text()), asyncio.run(shapes(base, running.pid, args.seconds, args.only))
    finally:
        running.send_signal(signal.SIGTERM)
        running.wait(60)


def report(small: dict, large: dict, ratio: float) -> None:
    """Print the table as Markdown."""
    print(
        "| shape | shown + counted | keys | at most | documents | c8 p50 ms | c8 p99 ms | p99 / p50 "
        "| server CPU ms | mongod CPU ms | c1 p50 ms, small | c1 p50 ms, large | exponent |"
    )
    print("|---|---|---|---|---|---|---|---|---|---|---|---|---|")
    misses = 0
    for shape, (one, eight, (matches, counted, keys, documents)) in large.items():
        before = small[shape][0].p50_ms if shape in small else math.nan
        # A count's result is what it counted: a key for each is the least that tells it.
        bound = 3 * (matches + counted) + 50
        misses += keys > bound
        text = shape.replace("|", "\\|").replace("%7C", "\\|")
        print(
            f"| `{text}` | {matches}{f' + {counted}' if counted else ''} | {keys:.0f} | {bound} | {documents:.0f} "
            f"| {eight.p50_ms:.1f} | {eight.p99_ms:.1f} "
            f"| {eight.p99_ms / eight.p50_ms:.1f} | {eight.server_cpu_ms:.2f} | {eight.mongod_cpu_ms:.2f} "
            f"| {before:.2f} | {one.p50_ms:.2f} | {math.log(one.p50_ms / before) / math.log(ratio):.2f} |",
            flush=True,
        )
    print(
        f"\n{len(large) - misses} of {len(large)} shapes read at most 3 keys for each result and 50 beside."
    )


def main() -> None:
    """Load, measure, load more, measure again, print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--resources", type=int, default=10_000, help="resources of the smaller size")
    parser.add_argument("--growth", type=int, default=10, help="how many times larger the larger size is")
    parser.add_argument(
        "--seconds", type=float, default=1, help="seconds of each shape and number of connections"
    )
    parser.add_argument("--only", default="", help="measure only shapes that hold this text")
    parser.add_argument("--keep", type=Path, help="folder for the data, used again when it is there")
    args = parser.parse_args()
    suites = Path(os.environ.get("FHIR_SUITES", Path(__file__).parents[2] / "shared" / "suites"))
    suite = suites / "synthea-blaze"
    if not suite.is_dir():
        raise SystemExit(f"no data at {suite}: set FHIR_SUITES")
    with tempfile.TemporaryDirectory() as folder:
        scratch = args.keep or Path(folder)
        few, small = at_size(scratch, args.resources, suite, args)
        many, large = at_size(scratch, args.resources * args.growth, suite, args)
    print(f"{few} resources, then {many}; {args.seconds} s each\n")
    report(small, large, many / few)


if __name__ == "__main__":
    main()
