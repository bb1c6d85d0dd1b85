"""``serve`` end to end: banner, second start, several workers, what is refused, and what survives a kill."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from contextlib import contextmanager, suppress

import psutil
import pytest


def get(url):
    with urllib.request.urlopen(url, timeout=10) as answer:
        return answer.status, answer.read().decode()


def sent(method, url, resource):
    """Send a resource on a connection of its own."""
    body = None if method == "DELETE" else json.dumps(resource).encode()
    headers = {"content-type": "application/fhir+json", "connection": "close"}
    with urllib.request.urlopen(
        urllib.request.Request(url, body, headers, method=method), timeout=30
    ) as answer:
        return answer.status, answer.read().decode()


def stopped(process):
    """Stop the server as an operator does; return its exit code and the seconds that it took."""
    start = time.monotonic()
    process.send_signal(signal.SIGTERM)
    code = process.wait(60)
    return code, time.monotonic() - start


def workers_of(process):
    """Return the worker processes that are alive."""
    found = []
    for child in psutil.Process(process.pid).children():
        with suppress(psutil.Error):  # one that was killed is a zombie until it is waited for
            if "spawn_main" in " ".join(child.cmdline()):
                found.append(child)
    return found


@contextmanager
def running(serving, data, **options):
    process, base, banner = serving(data, **options)
    try:
        yield process, base, banner
    finally:
        if process.poll() is None:
            stopped(process)


def test_first_and_second_start(serving, tmp_path):
    with running(serving, tmp_path / "data", examples=True) as (process, base, banner):
        lines = banner.splitlines()
        assert lines[0].startswith("MongoDB   embedded ")
        assert lines[1].startswith(f"FHIR R4   {base}   146 types, ")
        assert "\x1b" not in banner
        [curl] = [line.split('"')[1] for line in lines if line.startswith("Try")]
        assert json.loads(get(curl)[1])["resourceType"] == "Bundle"
        assert get(base.removesuffix("/fhir") + "/health/ready")[0] == 200
        first = json.loads(get(f"{base}/Patient/camille-exemple")[1])
        code, seconds = stopped(process)
        assert code == 0
        assert seconds < 60
        assert [
            p for p in psutil.process_iter(["cmdline"]) if str(tmp_path) in " ".join(p.info["cmdline"] or [])
        ] == []
    with running(serving, tmp_path / "data", examples=True) as (_, base, _):
        assert json.loads(get(f"{base}/Patient/camille-exemple")[1]) == first


def test_several_workers_and_kills(serving, tmp_path):
    with running(serving, tmp_path / "data", workers=2) as (process, base, _):
        workers = workers_of(process)
        assert len(workers) == 2
        workers[0].kill()
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            alive = workers_of(process)
            if workers[0].pid not in [p.pid for p in alive] and len(alive) == 2:
                break
            time.sleep(0.1)
        assert len(alive) == 2
        assert get(f"{base}/metadata")[0] == 200
        assert "fhir_requests_total" in get(base.removesuffix("/fhir") + "/metrics")[1]
        port = base.split(":")[2].split("/")[0]
        process.kill()
        process.wait()
        # the next start gets the port and the data although nobody stopped the old workers
    with running(serving, tmp_path / "data", port=port) as (_, base, _):
        assert get(f"{base}/metadata")[0] == 200
    with running(serving, tmp_path / "data", port=port, workers=2):
        assert len(list((tmp_path / "data").glob("metrics-*"))) == 1  # the killed server's is gone
    assert list((tmp_path / "data").glob("metrics-*")) == []


def test_a_stored_profile_counts_in_every_worker(serving, tmp_path):
    """At once in the worker that took it; in the others when they have looked, a quarter of a second later."""
    url = "https://example.org/StructureDefinition/gendered"
    profile = {
        "resourceType": "StructureDefinition", "id": "gendered", "url": url, "name": "Gendered", "status": "active",
        "kind": "resource", "abstract": False, "type": "Patient", "derivation": "constraint",
        "baseDefinition": "http://hl7.org/fhir/StructureDefinition/Patient",
        "differential": {"element": [{"id": "Patient.gender", "path": "Patient.gender", "min": 1}]},
    }  # fmt: skip
    patient = {"resourceType": "Patient", "meta": {"profile": [url]}, "active": True}

    def verdicts(base):
        """Return the severities that 24 connections get, which the system spreads over the workers."""
        found = set()
        for _ in range(24):
            status, answer = sent("POST", f"{base}/Patient/$validate", patient)
            assert status == 200
            found.add(json.loads(answer)["issue"][0]["severity"])
        return found

    with running(serving, tmp_path / "data", workers=2) as (process, base, _):
        assert len(workers_of(process)) == 2
        assert verdicts(base) == {"warning"}  # nobody knows the profile
        for method, expected in (("PUT", {"error"}), ("DELETE", {"warning"}), ("PUT", {"error"})):
            assert sent(method, f"{base}/StructureDefinition/gendered", profile)[0] in (200, 201, 204)
            time.sleep(1)  # four looks
            assert verdicts(base) == expected


@pytest.fixture
def refused(tmp_path):
    def run(*arguments, **variables):
        environment = {name: value for name, value in os.environ.items() if not name.startswith("FHIR_")}
        return subprocess.run(
            [sys.executable, "-m", "fhir_server", "serve", "--data-dir", str(tmp_path / "data"), *arguments],
            capture_output=True, text=True, timeout=90, env={**environment, **variables}, check=False,
        )  # fmt: skip

    return run


def test_a_port_in_use_is_exit_code_5(refused, tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        result = refused("--port", str(taken.getsockname()[1]))
    assert result.returncode == 5
    assert "choose another port with --port" in result.stderr
    assert not (tmp_path / "data" / "mongodb").exists()


def test_a_directory_in_use_is_exit_code_5(refused, serving, tmp_path):
    with running(serving, tmp_path / "data"), socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
        free.close()
        result = refused("--port", str(port))
    assert result.returncode == 5
    assert "in use by process" in result.stderr


def test_a_database_that_does_not_answer_is_exit_code_3(refused, free_port):
    result = refused(
        "--port",
        str(free_port()),
        FHIR_MONGODB_URI="mongodb://127.0.0.1:9/?replicaSet=r",
        FHIR_MONGODB_TIMEOUT_S="0.3",
    )
    assert result.returncode == 3
    assert "Traceback" not in result.stderr
