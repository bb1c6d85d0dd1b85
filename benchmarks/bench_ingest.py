"""Heart rates of many citizens through Observation/$ingest: rate, memory of the worker, duplicates of a second sending.

Starts its own server with an embedded MongoDB. ``--rows 1000000 --citizens 1000`` is the whole run.
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

ROOT = Path(__file__).parents[1]
HS = "https://health-space.example/fhir"
BEGIN = datetime(2024, 1, 1, tzinfo=UTC)


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
    at = BEGIN + timedelta(minutes=5 * (row // citizens))
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


def run(base: str, options: argparse.Namespace) -> dict[int, int]:
    counts: dict[int, int] = {}
    size = min(options.lines, options.rows // (options.citizens if options.per_citizen else 1))
    starts = range(0, options.rows, size)
    with concurrent.futures.ThreadPoolExecutor(options.connections) as pool:
        futures = [
            pool.submit(
                send,
                base,
                s,
                min(s + size, options.rows),
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
            "--data-dir", folder, "--workers", str(options.workers),
        ]  # fmt: skip
        log = Path(folder) / "server.log"
        with log.open("w") as output:
            server = subprocess.Popen(command, env=environment, stdout=output, stderr=output)
        try:
            measure(base, options, psutil.Process(server.pid))
        finally:
            server.terminate()
            server.wait(60)


def measure(base: str, options: argparse.Namespace, process: psutil.Process) -> None:
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
    workers = [p for p in [process, *process.children(recursive=True)] if "python" in p.name()]
    for title in ("first sending", "second sending"):
        load = os.getloadavg()[0]
        started = time.perf_counter()
        cpu = sum(sum(p.cpu_times()[:2]) for p in workers)
        counts = run(base, options)
        seconds = time.perf_counter() - started
        cpu = sum(sum(p.cpu_times()[:2]) for p in workers) - cpu
        memory = max(p.memory_info().rss for p in workers) / 1e6
        print(
            f"{title}: {options.rows / seconds:,.0f} rows/s, {cpu / options.rows * 1e6:,.0f} us CPU of the workers "
            "a row, "
            f"{memory:,.0f} MB in a worker, answers {dict(sorted(counts.items()))}, load {load:.1f}"
        )
    total = httpx.get(f"{base}/Observation", params={"_summary": "count"}, timeout=600).json()["total"]
    print(f"stored: {total:,} of {options.rows:,}")


if __name__ == "__main__":
    main()
