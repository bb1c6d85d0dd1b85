"""Older resources are indexed by one worker at a time, and another one goes on where a killed one stopped."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import contextmanager

import httpx
import pytest

COUNT = 4_000
NAME = "own-twin"
PARAMETER = {
    "resourceType": "SearchParameter", "id": NAME, "url": f"http://example.org/SearchParameter/{NAME}", "name": "Twin",
    "status": "active", "description": "Whether a patient is a twin.", "code": NAME, "base": ["Patient"], "type": "token",
    "expression": "Patient.multipleBirth.as(boolean)",
}  # fmt: skip


@contextmanager
def worker(uri, database, folder):
    """A server process of its own; a client of its FHIR API, and the process."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = {
        **os.environ,
        "FHIR_MONGODB_URI": uri,
        "FHIR_MONGODB_DATABASE": database,
        "FHIR_CONTENT_LOAD": "false",
    }
    command = [
        sys.executable,
        "-m",
        "uvicorn",
        "--factory",
        "fhir_server.app:create_app",
        "--port",
        str(port),
    ]
    process = subprocess.Popen(
        [*command, "--log-level", "warning"],
        env={**environment, "FHIR_DATA_DIR": str(folder), "FHIR_LOG_LEVEL": "warning"},
    )
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}/fhir/", timeout=60) as client:
            until(lambda: answers(client, process), 60)
            yield client, process
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            process.wait(20)


def answers(client, process):
    assert process.poll() is None, "the worker did not start"
    try:
        return client.get("metadata").status_code == 200
    except httpx.TransportError:
        return False


def until(condition, seconds):
    end = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.01)
    return found


@pytest.fixture
def filled(mongo_client, mongod_uri, database_name, tmp_path):
    """A database of patients, half of them twins, that were there before the parameter; and its jobs."""
    with worker(mongod_uri, database_name, tmp_path / "a") as (client, _):
        for start in range(0, COUNT, 1000):
            entries = [
                {
                    "resource": {
                        "resourceType": "Patient",
                        "id": f"p{n}",
                        "multipleBirthBoolean": n % 2 == 0,
                    },
                    "request": {"method": "PUT", "url": f"Patient/p{n}"},
                }
                for n in range(start, start + 1000)
            ]
            bundle = {"resourceType": "Bundle", "type": "transaction", "entry": entries}
            assert client.post("", json=bundle).status_code == 200
    return mongo_client[database_name]["jobs"]


def _total(client):
    answer = client.get("Patient", params={NAME: "true", "_summary": "count"})
    return answer.json()["total"] if answer.status_code == 200 else None


def test_another_worker_goes_on_after_a_kill(filled, mongod_uri, database_name, tmp_path):
    with worker(mongod_uri, database_name, tmp_path / "a") as (client, process):
        assert client.put(f"SearchParameter/{NAME}", json=PARAMETER).status_code == 201
        until(lambda: (filled.find_one() or {}).get("indexed", 0) > 0, 20)
        process.kill()
        process.wait()
    stopped = filled.find_one()
    assert stopped["state"] == "running", "the kill came too late"
    assert 0 < stopped["indexed"] < COUNT

    filled.update_one({}, {"$set": {"lease": 0}})  # the time of the lease has passed
    with worker(mongod_uri, database_name, tmp_path / "b") as (client, _):
        assert _total(client) is None, "it is refused until all is indexed"
        until(lambda: _total(client) is not None, 60)
        assert _total(client) == COUNT // 2
    done = filled.find_one()
    assert done["state"] == "done"
    assert done["owner"] != stopped["owner"]
    # It went on: at most one step was done twice, and the steps before it were not.
    assert COUNT <= done["indexed"] <= COUNT + 200
    assert done["begun"] == stopped["begun"]


def test_of_two_workers_one_does_the_work(filled, mongod_uri, database_name, tmp_path):
    with (
        worker(mongod_uri, database_name, tmp_path / "a") as (first, _),
        worker(mongod_uri, database_name, tmp_path / "b") as (second, _),
    ):
        assert first.put(f"SearchParameter/{NAME}", json=PARAMETER).status_code == 201
        owners = set()

        def is_done():
            job = filled.find_one() or {}
            owners.add(job.get("owner") or None)
            return job.get("state") == "done"

        until(is_done, 60)
        assert len(owners - {None}) == 1
        assert filled.find_one()["indexed"] == COUNT
        for client in (first, second):
            until(lambda client=client: _total(client) is not None, 5)
            assert _total(client) == COUNT // 2
