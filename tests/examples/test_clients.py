"""The client programs do the whole main job against a live server, and notice when an answer is wrong."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

CLIENTS = Path(__file__).parents[2] / "examples" / "clients"
RECORD_TYPES = ("DocumentReference", "Consent", "RelatedPerson", "Observation", "ExplanationOfBenefit")

PROGRAMS = {
    "fhirpy": [sys.executable, str(CLIENTS / "fhirpy_main_job.py")],
    "fhirclient": [sys.executable, str(CLIENTS / "fhirclient_main_job.py")],
    "curl": ["sh", str(CLIENTS / "main_job.sh")],
}
parametrized = pytest.mark.parametrize(
    "program",
    [
        "fhirpy",
        "fhirclient",
        pytest.param(
            "curl", marks=pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
        ),
    ],
)


def run(command: list[str], **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, env=os.environ | environment, capture_output=True, text=True, timeout=120, check=False
    )


@parametrized
def test_a_client_program_does_the_main_job(program, fhir_base):
    done = run([*PROGRAMS[program], fhir_base])
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.endswith("main job done\n")
    assert [line for line in done.stdout.splitlines() if line in RECORD_TYPES] == list(RECORD_TYPES)


@parametrized
def test_the_base_url_may_come_from_the_environment(program, fhir_base):
    done = run(PROGRAMS[program], FHIR_BASE=fhir_base)
    assert done.returncode == 0, done.stdout + done.stderr


@parametrized
def test_a_client_program_fails_where_no_fhir_server_answers(program, fhir_base):
    done = run([*PROGRAMS[program], fhir_base.removesuffix("/fhir") + "/elsewhere"])
    assert done.returncode != 0
    assert "main job done" not in done.stdout


def patients(base: str) -> set[str]:
    answer = httpx.get(f"{base}/Patient", params={"identifier": "https://vendor.example/patient|main-job"})
    return {entry["resource"]["id"] for entry in answer.raise_for_status().json().get("entry", [])}


@parametrized
def test_a_client_program_leaves_nothing_behind(program, fhir_base):
    before = patients(fhir_base)
    assert run([*PROGRAMS[program], fhir_base]).returncode == 0
    assert patients(fhir_base) == before
