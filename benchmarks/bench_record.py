"""What the operations on one patient's record cost: $everything, $lastn, $stats, over a real server.

CPU is that of the server's thread (with the client of the database) and of mongod, per request. Starts its own
MongoDB and application. The record holds 500 Observations unless told otherwise.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
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


Clock = Callable[[], float]


def measure(fhir: httpx.Client, path: str, clocks: Sequence[Clock], rounds: int) -> str:
    """Return the row of a request: the size of the answer, wall time, and CPU by each of the clocks (seconds)."""
    fhir.get(path).raise_for_status()
    before = [clock() for clock in clocks]
    times = []
    for _ in range(rounds):
        begin = time.perf_counter()
        answer = fhir.get(path)
        times.append((time.perf_counter() - begin) * 1000)
    used = [(clock() - start) * 1000 / rounds for clock, start in zip(clocks, before, strict=True)]
    times.sort()
    entries = len(json.loads(answer.content).get("entry", ()))
    shown = path.replace("|", "%7C")
    last = times[int(len(times) * 0.95)]
    return (
        f"| `{shown}` | {entries} | {len(answer.content) // 1024} | {statistics.median(times):.1f} | {last:.1f} | "
        f"{used[0]:.1f} | {used[1]:.1f} |"
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
                run(fhir, given.observations, given.rounds, (of_thread(thread), of_process(mongod.pid)))
        finally:
            server.should_exit = True
            thread.join()
            mongod.stop()


def of_thread(thread: threading.Thread) -> Clock:
    """Return the clock of a thread's CPU time."""
    assert thread.ident is not None
    clock = time.pthread_getcpuclockid(thread.ident)
    return lambda: time.clock_gettime(clock)


def of_process(pid: int) -> Clock:
    """Return the clock of a process's CPU time."""
    process = psutil.Process(pid)
    return lambda: sum(process.cpu_times()[:2])


def run(fhir: httpx.Client, size: int, rounds: int, clocks: Sequence[Clock]) -> None:
    """Print the table."""
    fill(fhir, size)
    print("| request | entries | KB | median ms | p95 ms | CPU ms, server | CPU ms, mongod |")
    print("|---|---|---|---|---|---|---|")
    for path in (
        "Patient/record",
        "Patient/record/$everything",
        "Patient/record/$everything?_count=50",
        "Observation/$lastn?patient=Patient/record&category=vital-signs",
        "Observation/$lastn?patient=Patient/record&code=http://loinc.org|8867-4&max=3",
        "Observation/$stats?subject=Patient/record&code=8867-4&system=http://loinc.org&statistic=average&statistic=max",
        "Patient/record/$summary",
        "Patient/record/$passport",
    ):
        print(measure(fhir, path, clocks, rounds), flush=True)


if __name__ == "__main__":
    main()
