"""`make bench-search`: thirty shapes of search on Synthea data, at one size and at ten times that size.

Starts its own server and mongod in a scratch folder, sends the Bundles of FHIR_SUITES/synthea-blaze as they are, and
prints for each shape p50 and p99, keys and documents that mongod examined per match, and CPU of server and mongod
per search; then the same with ten times the patients, and the exponent of the cost (0: it does not grow).
"""

from __future__ import annotations

import argparse
import bz2
import json
import math
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import httpx
from bench import Processes

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
    "Observation?_lastUpdated=ge2020&_count=20",
    "Patient?identifier={identifier}",
    "Patient?family={family}",
    "Patient?name={family}&gender=female",
    "Patient?birthdate=1960",
    "Patient?_has:Condition:patient:code=" + SNOMED + "59621000",
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


def start(folder: str) -> tuple[subprocess.Popen, str]:
    """Start a server on a free port; return it with its FHIR base."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = {
        **os.environ, "FHIR_SEARCH_EXPLAIN": "true", "FHIR_LOG_LEVEL": "warning", "FHIR_HTTP_REQUEST_TIMEOUT_S": "300",
    }  # fmt: skip
    command = [sys.executable, "-m", "fhir_server", "serve", "--port", str(port), "--data-dir", folder]
    running = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)
    base = f"http://127.0.0.1:{port}"
    for _ in range(300):
        try:
            if httpx.get(f"{base}/health/ready").status_code == 200:
                return running, f"{base}/fhir"
        except httpx.TransportError:
            pass
        time.sleep(0.1)
    raise SystemExit("the server did not start")


def load(client: httpx.Client, files: list[Path]) -> int:
    """Send Bundles; return how many resources they hold."""
    count = 0
    for file in files:
        body = bz2.decompress(file.read_bytes())
        answer = client.post(
            "", content=body, headers={"Content-Type": "application/fhir+json", "Prefer": "return=minimal"}
        )
        if answer.status_code != 200:
            raise SystemExit(f"{file.name}: {answer.status_code} {answer.text[:500]}")
        count += len(json.loads(body)["entry"])
    return count


def samples(client: httpx.Client) -> dict[str, str]:
    """Return values that the shapes ask for."""
    patient = client.get("Patient?_sort=_lastUpdated&_count=1").json()["entry"][0]["resource"]
    encounter = client.get(f"Encounter?patient={patient['id']}&_count=1").json()["entry"][0]["resource"]
    return {
        "patient": patient["id"],
        "encounter": encounter["id"],
        "identifier": patient["identifier"][0]["value"],
        "family": patient["name"][0]["family"],
    }


def measure(client: httpx.Client, processes: Processes, path: str, times: int) -> dict[str, float]:
    """Run one shape again and again; return its figures."""
    bundle = client.get(path)
    if bundle.status_code != 200:
        raise SystemExit(f"{path}: {bundle.text[:500]}")
    matches = sum(e["search"]["mode"] == "match" for e in bundle.json().get("entry", ()))
    taken = []
    before = processes.cpu()
    for _ in range(times):
        begun = time.perf_counter()
        client.get(path)
        taken.append((time.perf_counter() - begun) * 1000)
    after = processes.cpu()
    taken.sort()
    keys = documents = math.nan
    explained = (
        client.get(path + ("&" if "?" in path else "?") + "_explain=true") if "*" not in path else None
    )
    if explained is not None and explained.status_code == 200:
        plans = [
            json.loads(issue["diagnostics"])
            for entry in explained.json().get("entry", ())
            if entry["search"]["mode"] == "outcome"
            for issue in entry["resource"]["issue"]
            if issue["diagnostics"].startswith("{")
        ]
        keys, documents = (sum(plan[name] for plan in plans) for name in ("keys", "documents"))
    return {
        "matches": matches, "p50": taken[times // 2], "p99": taken[int(times * 0.99)], "keys": keys, "docs": documents,
        "server": (after[0] - before[0]) * 1000 / times, "mongod": (after[1] - before[1]) * 1000 / times,
    }  # fmt: skip


def main() -> None:
    """Load, measure, load more, measure again, print."""
    arguments = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    arguments.add_argument("--patients", type=int, default=10, help="patients of the smaller size")
    arguments.add_argument("--growth", type=int, default=10, help="how many times larger the larger size is")
    arguments.add_argument("--times", type=int, default=30, help="searches of each shape")
    chosen = arguments.parse_args()
    suites = (
        Path(os.environ.get("FHIR_SUITES", Path(__file__).parents[2] / "shared" / "suites")) / "synthea-blaze"
    )
    if not suites.is_dir():
        raise SystemExit(f"no data at {suites}: set FHIR_SUITES")
    first = sorted(suites.glob("0-*.bz2"))
    people = sorted(set(suites.glob("*.bz2")) - set(first))[: chosen.patients * chosen.growth]
    with tempfile.TemporaryDirectory() as folder:
        running, base = start(folder)
        try:
            with httpx.Client(base_url=base, timeout=300) as client:
                processes = Processes(running.pid)
                sizes = [load(client, [*first, *people[: chosen.patients]])]
                values = samples(client)
                paths = [shape.format(**values) for shape in SHAPES]
                small = [measure(client, processes, path, chosen.times) for path in paths]
                sizes.append(sizes[0] + load(client, people[chosen.patients :]))
                large = [measure(client, processes, path, chosen.times) for path in paths]
        finally:
            running.send_signal(signal.SIGTERM)
            running.wait(60)
    print(f"{sizes[0]} resources, then {sizes[1]}; each shape {chosen.times} times, one connection\n")
    print(
        "| shape | matches | p50 ms | p99 ms | keys | documents | server CPU ms | mongod CPU ms | p50 at more "
        "| exponent |"
    )
    print("|---|---|---|---|---|---|---|---|---|---|")
    for shape, now, then in zip(SHAPES, small, large, strict=True):
        exponent = (
            math.log(then["p50"] / now["p50"]) / math.log(sizes[1] / sizes[0]) if sizes[1] > sizes[0] else 0.0
        )
        text = shape.replace("|", "\\|").replace("%7C", "\\|")
        print(
            f"| `{text}` | {then['matches']} | {now['p50']:.1f} | {now['p99']:.1f} | {then['keys']:.0f} "
            f"| {then['docs']:.0f} | {now['server']:.1f} | {now['mongod']:.1f} | {then['p50']:.1f} | {exponent:.2f} |"
        )


if __name__ == "__main__":
    main()
