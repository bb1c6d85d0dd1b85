"""``doctor`` finds what is wrong and says what to do."""

from __future__ import annotations

import fcntl
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from fhir_server.cli import doctor
from fhir_server.settings import load


@pytest.fixture(autouse=True)
def clean(monkeypatch, tmp_path):
    for name in [name for name in os.environ if name.startswith("FHIR_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_python_and_definitions_are_well():
    assert doctor.python(load()).is_well
    assert doctor.definitions(load()).found == "hl7.fhir.r4.core#4.0.1"


def test_directory(clean):
    settings = load({"data.dir": clean / "a" / "b"})
    assert doctor.directory(settings).is_well
    assert not (clean / "a").exists()
    assert doctor.space(settings).is_well


def test_a_file_in_the_way_of_the_directory(clean):
    (clean / "file").write_text("")
    (clean / "file").chmod(0o400)
    finding = doctor.directory(load({"data.dir": clean / "file" / "data"}))
    assert not finding.is_well
    assert "--data-dir" in finding.advice


def test_a_held_directory_names_its_holder(clean):
    (clean / "mongodb").mkdir()
    lock = clean / "mongodb" / "embedded.lock"
    lock.write_text("4711")
    with lock.open("r+") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        assert "in use by process 4711" in doctor.directory(load({"data.dir": clean})).found
    assert "in use" not in doctor.directory(load({"data.dir": clean})).found


def test_little_space(clean, monkeypatch):
    monkeypatch.setattr(doctor, "LEAST_SPACE", 1 << 62)
    finding = doctor.space(load({"data.dir": clean}))
    assert not finding.is_well
    assert "GB free" in finding.found


def test_port():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        finding = doctor.port(load({"http.port": taken.getsockname()[1]}))
    assert not finding.is_well
    assert "--port" in finding.advice


def test_a_program_that_is_no_mongod(clean):
    finding = doctor.database(load({"mongodb.binary": clean / "absent"}))
    assert not finding.is_well
    assert "FHIR_MONGODB_URI" in finding.advice


def test_a_replica_set_that_does_not_answer(clean):
    """In a process of its own: the driver leaves a socket unclosed when it is closed while it tries to connect."""
    variables = {"FHIR_MONGODB_URI": "mongodb://127.0.0.1:9/?replicaSet=r", "FHIR_MONGODB_TIMEOUT_S": "0.2"}
    result = subprocess.run(
        [sys.executable, "-m", "fhir_server", "doctor", "--data-dir", str(clean)],
        capture_output=True, text=True, timeout=60, check=False,
        env={**os.environ, **variables, "PYTHONPATH": str(Path(__file__).parents[2])},
    )  # fmt: skip
    assert result.returncode == 1
    assert "BAD  MongoDB" in result.stdout
    assert "Check FHIR_MONGODB_URI" in result.stdout
