"""Heart rates of many citizens through Observation/$ingest: rate, CPU, duplicates of a second sending; then questions.

The baseline is a bare ``insert_many`` of the same JSON into an empty collection of the same MongoDB, in the same run;
questions are those of one citizen's month: $lastn, $stats, $downsample, a search. Starts its own server and MongoDB.
``--rows 1000000 --citizens 1000`` is the whole run: a citizen's rows are spread over a month.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import gzip
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import psutil
from pymongo import MongoClient, WriteConcern

from fhir_server.store.embedded import EmbeddedMongod

ROOT = Path(__file__).parents[1]
HS = "https://health-space.example/fhir"
BEGIN = datetime(2024, 1, 1, tzinfo=UTC)
#: Seconds between two measures of a citizen: a thousand of them are a month.
STEP = 2592
LOINC = "http://loinc.org|8867-4"
#: One citizen's month, asked for in four ways.
QUESTIONS = {
    "$lastn": ("Observation/$lastn", {"patient": "{id}", "code": LOINC, "max": "10"}),
    "$lastn of a category": ("Observation/$lastn", {"patient": "{id}", "category": "vital-signs"}),
    "$stats": (
        "Observation/$stats",
        {"subject": "Patient/{id}", "code": LOINC, "statistic": "average,maximum,minimum,count"},
    ),
    "$downsample": (
        "Observation/$downsample",
        {"patient": "{id}", "code": LOINC, "start": "2024-01-01", "end": "2024-01-31", "points": "200"},
    ),
    "a month, first page of 100": (
        "Observation",
        {"patient": "{id}", "date": ["ge2024-01-01", "lt2024-02-01"], "_sort": "-date", "_count": "100"},
    ),
    "a month, all of it": (
        "Observation",
        {"patient": "{id}", "date": ["ge2024-01-01", "lt2024-02-01"], "_count": "1000"},
    ),
}


def citizen(number: int) -> dict[str, Any]:
    first = f"2{24:02}01991{number:05}"
    key = 97 - int(first) % 97
    return {
        "resourceType": "Patient",
        "id": f"bench-{number}",
        "identifier": [
            {"use": "official", "system": "urn:oid:1.2.250.1.213.1.4.10", "value": f"{first}{key:02}"}
        ],
        "active": True,
        "name": [{"use": "official", "family": "EXEMPLE", "given": ["Camille"]}],
        "gender": "female",
        "birthDate": "2022-01-03",
    }


def heart_rate(row: int, citizens: int) -> bytes:
    at = BEGIN + timedelta(seconds=STEP * (row // citizens))
    number = row % citizens
    return json.dumps(
        {
            "resourceType": "Observation",
            "status": "final",
            "category": [
                {
                    "coding": [
                        {
                            "system": "http://terminology.hl7.org/CodeSystem/observation-category",
                            "code": "vital-signs",
                        }
                    ]
                }
            ],
            "code": {"coding": [{"system": "http://loinc.org", "code": "8867-4"}]},
            "subject": {"reference": f"Patient/bench-{number}"},
            "effectiveDateTime": at.isoformat(),
            "valueQuantity": {
                "value": 55 + (row * 7919) % 90,
                "unit": "/min",
                "system": "http://unitsofmeasure.org",
                "code": "/min",
            },
            "device": {"reference": "Device/bench-app"},
        }
    ).encode()


def send(
    base: str, first: int, last: int, citizens: int, *, counts: dict[int, int], per_citizen: bool
) -> None:
    rows = range(first, last)
    if per_citizen:  # as an app sends: one citizen a request
        rows = [row * citizens + first // (last - first) for row in range(last - first)]
    body = gzip.compress(b"\n".join(heart_rate(row, citizens) for row in rows), 1)
    answer = httpx.post(
        f"{base}/Observation/$ingest?app=Device/bench-app",
        content=body,
        headers={"Content-Type": "application/fhir+ndjson", "Content-Encoding": "gzip"},
        timeout=600,
    )
    answer.raise_for_status()
    for status in re.findall(rb'"status":(\d+)', answer.content):
        counts[int(status)] = counts.get(int(status), 0) + 1


def run(base: str, options: argparse.Namespace, rows: int) -> dict[int, int]:
    counts: dict[int, int] = {}
    size = min(options.lines, options.rows // (options.citizens if options.per_citizen else 1))
    starts = range(0, rows, size)
    with concurrent.futures.ThreadPoolExecutor(options.connections) as pool:
        futures = [
            pool.submit(
                send,
                base,
                s,
                min(s + size, rows),
                options.citizens,
                counts=counts,
                per_citizen=options.per_citizen,
            )
            for s in starts
        ]
        for future in futures:
            future.result()
    return counts


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=50_000)
    parser.add_argument("--citizens", type=int, default=1000)
    parser.add_argument("--lines", type=int, default=10_000)
    parser.add_argument("--connections", type=int, default=2)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--questions", type=int, default=200)
    parser.add_argument("--again", type=int, default=0, help="rows of the second sending, all by default")
    parser.add_argument("--port", type=int, default=8193)
    parser.add_argument(
        "--per-citizen", action="store_true", help="each request holds one citizen's measures"
    )
    options = parser.parse_args()
    if options.rows % options.citizens or options.rows // options.citizens > options.lines:
        parser.error("rows must be a multiple of citizens, with no more rows of a citizen than lines")
    base = f"http://127.0.0.1:{options.port}/fhir"
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "FHIR_APP_MEASURES_PER_DAY": "10000000"}
        command = [
            sys.executable, "-m", "fhir_server", "serve", "--port", str(options.port),
            "--workers", str(options.workers),
        ]  # fmt: skip
        mongod = EmbeddedMongod.start(Path(folder), cache_gb=1.0)
        environment["FHIR_MONGODB_URI"] = mongod.uri
        log = Path(folder) / "server.log"
        with log.open("w") as output:
            server = subprocess.Popen(command, env=environment, stdout=output, stderr=output)
        try:
            measure(base, options, Processes(server.pid, mongod.pid), mongod.uri)
        finally:
            server.terminate()
            server.wait(60)
            mongod.stop()


class Processes:
    """CPU seconds and memory of the workers, of mongod and of this client."""

    def __init__(self, server: int, mongod: int) -> None:
        self._server = psutil.Process(server)
        self._others = {"mongod": psutil.Process(mongod), "client": psutil.Process()}

    def cpu(self) -> dict[str, float]:
        """Return the CPU seconds so far of each side."""
        workers = sum(sum(p.cpu_times()[:2]) for p in self._workers())
        return {"server": workers, **{name: sum(p.cpu_times()[:2]) for name, p in self._others.items()}}

    def memory_mb(self) -> float:
        """Return the memory of the largest worker."""
        return max(p.memory_info().rss for p in self._workers()) / 1e6

    def _workers(self) -> list[psutil.Process]:
        family = [self._server, *self._server.children(recursive=True)]
        return [p for p in family if "python" in p.name()]


def told(title: str, rows: int, seconds: float, before: dict[str, float], after: dict[str, float]) -> float:
    """Print rate and CPU of a load; return microseconds of all processes a row."""
    each = {name: (after[name] - before[name]) / rows * 1e6 for name in after}
    shares = ", ".join(f"{name} {cost:,.0f}" for name, cost in each.items())
    print(
        f"{title}: {rows / seconds:,.0f} rows/s; us CPU a row: {shares}, together {sum(each.values()):,.0f}; "
        f"load {os.getloadavg()[0]:.1f}",
        flush=True,
    )
    return sum(each.values())


def baseline(uri: str, options: argparse.Namespace, processes: Processes) -> float:
    """Insert the same rows with the driver alone, 500 at a time; return microseconds of all processes a row."""
    rows = min(options.rows, 50_000)
    with MongoClient[dict[str, Any]](uri) as client:
        bare = client["bare"].get_collection("rows", write_concern=WriteConcern(w="majority", j=True))
        before, started = processes.cpu(), time.perf_counter()
        for first in range(0, rows, 500):
            last = min(first + 500, rows)
            bare.insert_many(
                [json.loads(heart_rate(row, options.citizens)) for row in range(first, last)], ordered=False
            )
        cost = told("bare insert_many", rows, time.perf_counter() - started, before, processes.cpu())
        client.drop_database("bare")
    return cost


def questions(base: str, options: argparse.Namespace, processes: Processes) -> None:
    """Ask for the month of many citizens; print p50, p95, and the CPU time of who answers."""
    with httpx.Client(timeout=60) as client:
        for title, (path, parameters) in QUESTIONS.items():
            times = []
            before = processes.cpu()
            for number in range(options.questions):
                name = f"bench-{number * 7919 % options.citizens}"
                query = {
                    key: value.replace("{id}", name) if isinstance(value, str) else value
                    for key, value in parameters.items()
                }
                started = time.perf_counter()
                answer = client.get(f"{base}/{path}", params=query)
                times.append((time.perf_counter() - started) * 1000)
                answer.raise_for_status()
            times.sort()
            after = processes.cpu()
            costs = [(after[side] - before[side]) / len(times) * 1000 for side in ("server", "mongod")]
            print(
                f"{title}: p50 {times[len(times) // 2]:.1f} ms, p95 {times[len(times) * 95 // 100]:.1f} ms; CPU of the "
                f"server {costs[0]:.1f} ms, of mongod {costs[1]:.1f} ms; {len(answer.content):,} bytes; "
                f"load {os.getloadavg()[0]:.1f}",
                flush=True,
            )


def measure(base: str, options: argparse.Namespace, processes: Processes, uri: str) -> None:
    for _ in range(600):
        try:
            if httpx.get(f"{base}/StructureDefinition/hs-provenance").status_code == 200:
                break
        except httpx.TransportError:
            pass
        time.sleep(0.1)
    device = {
        "resourceType": "Device",
        "id": "bench-app",
        "status": "active",
        "identifier": [{"system": f"{HS}/sid/app", "value": "fr.exemple.mesure"}],
        "type": {"coding": [{"system": f"{HS}/CodeSystem/hs-device-kind", "code": "app"}]},
        "deviceName": [{"name": "Mesure", "type": "user-friendly-name"}],
    }
    httpx.put(f"{base}/Device/bench-app", json=device).raise_for_status()
    with httpx.Client(timeout=60) as client:
        for number in range(options.citizens):
            client.put(f"{base}/Patient/bench-{number}", json=citizen(number)).raise_for_status()
    bare = baseline(uri, options, processes)
    for title, rows in (("first sending", options.rows), ("second sending", options.again or options.rows)):
        before, started = processes.cpu(), time.perf_counter()
        counts = run(base, options, rows)
        cost = told(title, rows, time.perf_counter() - started, before, processes.cpu())
        print(
            f"  {cost / bare:.1f} times the bare driver; answers {dict(sorted(counts.items()))}; "
            f"{processes.memory_mb():,.0f} MB in a worker",
            flush=True,
        )
    total = httpx.get(f"{base}/Observation", params={"_summary": "count"}, timeout=600).json()["total"]
    print(f"stored: {total:,} of {options.rows:,}", flush=True)
    questions(base, options, processes)


if __name__ == "__main__":
    main()
