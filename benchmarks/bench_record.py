"""What the operations on one patient's record cost: $everything, $lastn, $stats, over a real server.

CPU is that of the server process (with the client of the database) and of mongod, per request. Starts its own
MongoDB and application. The record holds 500 Observations unless told otherwise.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import httpx
import psutil
import uvicorn

from fhir_server.app import create_app
from fhir_server.settings import load
from fhir_server.store.embedded import EmbeddedMongod

_KINDS = (("8867-4", "/min"), ("29463-7", "kg"), ("8310-5", "Cel"), ("59408-5", "%"), ("2339-0", "mg/dL"))


def observation(number: int) -> dict[str, Any]:
    """Return one of the patient's measures; the kinds take turns, one each hour."""
    code, unit = _KINDS[number % len(_KINDS)]
    return {
        "resourceType": "Observation",
        "status": "final",
        "category": [{"coding": [{"system": "http://terminology.hl7.org/CodeSystem/observation-category",
                                  "code": "vital-signs"}]}],
        "code": {"coding": [{"system": "http://loinc.org", "code": code}], "text": f"measure {code}"},
        "subject": {"reference": "Patient/record"},
        "performer": [{"reference": "Practitioner/of-record"}],
        "effectiveDateTime": f"2026-{number // 672 % 12 + 1:02d}-{number // 24 % 28 + 1:02d}T{number % 24:02d}:00:00Z",
        "valueQuantity": {"value": 60 + number % 40, "unit": unit, "system": "http://unitsofmeasure.org", "code": unit},
    }  # fmt: skip


def fill(fhir: httpx.Client, size: int) -> None:
    """Store the patient, the practitioner and the measures."""
    for type_, id_ in (("Patient", "record"), ("Practitioner", "of-record")):
        fhir.put(f"{type_}/{id_}", json={"resourceType": type_, "id": id_}).raise_for_status()
    for at in range(0, size, 500):
        entries = [
            {"resource": observation(number), "request": {"method": "POST", "url": "Observation"}}
            for number in range(at, min(size, at + 500))
        ]
        body = {"resourceType": "Bundle", "type": "transaction", "entry": entries}
        fhir.post("", json=body).raise_for_status()


def measure(fhir: httpx.Client, path: str, processes: list[psutil.Process], rounds: int) -> str:
    """Return the row of a request: wall time, CPU of each process, and the size of the answer."""
    fhir.get(path).raise_for_status()
    before = [sum(process.cpu_times()[:2]) for process in processes]
    times = []
    for _ in range(rounds):
        begin = time.perf_counter()
        answer = fhir.get(path)
        times.append((time.perf_counter() - begin) * 1000)
    after = [sum(process.cpu_times()[:2]) for process in processes]
    used = [(then - now) * 1000 / rounds for now, then in zip(before, after, strict=True)]
    times.sort()
    entries = len(json.loads(answer.content).get("entry", ()))
    return (
        f"| `{path}` | {entries} | {len(answer.content) // 1024} | {statistics.median(times):.1f} | "
        f"{times[int(len(times) * 0.95)]:.1f} | {used[0]:.1f} | {used[1]:.1f} |"
    )


def main() -> None:
    """Parse the command line and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--observations", type=int, default=500)
    parser.add_argument("--rounds", type=int, default=60)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        mongod = EmbeddedMongod.start(Path(scratch) / "d", cache_gb=0.5)
        flags = {
            "mongodb.uri": mongod.uri,
            "mongodb.database": "record",
            "data.dir": Path(scratch),
            "log.level": "warning",
        }
        app = create_app(load({**flags, "examples.load": True}))
        server = uvicorn.Server(uvicorn.Config(app, port=8197, log_config=None, access_log=False))
        thread = threading.Thread(target=server.run)
        thread.start()
        while not server.started:
            time.sleep(0.05)
        try:
            with httpx.Client(base_url="http://127.0.0.1:8197/fhir/", timeout=120) as fhir:
                fhir.headers["Accept-Encoding"] = "identity"
                run(fhir, given.observations, given.rounds, mongod.pid)
        finally:
            server.should_exit = True
            thread.join()
            mongod.stop()


def run(fhir: httpx.Client, size: int, rounds: int, mongod: int) -> None:
    """Print the table; the CPU of the client is in that of the server's process, as both live in it."""
    fill(fhir, size)
    print("| request | entries | KB | median ms | p95 ms | CPU ms, server and client | CPU ms, mongod |")
    print("|---|---|---|---|---|---|---|")
    processes = [psutil.Process(), psutil.Process(mongod)]
    for path in (
        "Patient/record",
        "Patient/record/$everything",
        "Patient/record/$everything?_count=50",
        "Observation/$lastn?patient=Patient/record&category=vital-signs",
        "Observation/$lastn?patient=Patient/record&code=http://loinc.org|8867-4&max=3",
        "Observation/$stats?subject=Patient/record&code=8867-4&system=http://loinc.org&statistic=average&statistic=max",
    ):
        print(measure(fhir, path, processes, rounds), flush=True)


if __name__ == "__main__":
    main()
