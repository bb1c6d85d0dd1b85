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

PYTHON = ("httpx", "fhirpy", "fhirclient")
JAVASCRIPT = ("fhir_kit_client", "fhirclient")
needs_curl = pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")


@pytest.fixture(
    params=[*PYTHON, *(f"{name}.mjs" for name in JAVASCRIPT), pytest.param("curl", marks=needs_curl)]
)
def program(request):
    """The command of a client program."""
    name = request.param
    if name == "curl":
        return ["sh", str(CLIENTS / "main_job.sh")]
    if name.endswith(".mjs"):
        return [
            "node",
            str(request.getfixturevalue("javascript") / f"{name.removesuffix('.mjs')}_main_job.mjs"),
        ]
    return [sys.executable, str(CLIENTS / f"{name}_main_job.py")]


def run(command: list[str], **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, env=os.environ | environment, capture_output=True, text=True, timeout=120, check=False
    )


def patients(base: str) -> set[str]:
    answer = httpx.get(f"{base}/Patient", params={"identifier": "https://vendor.example/patient|main-job"})
    return {entry["resource"]["id"] for entry in answer.raise_for_status().json().get("entry", [])}


def test_a_client_program_does_the_main_job_and_leaves_nothing_behind(program, fhir_base):
    before = patients(fhir_base)
    done = run([*program, fhir_base])
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.endswith("main job done\n")
    assert [line for line in done.stdout.splitlines() if line in RECORD_TYPES] == list(RECORD_TYPES)
    assert "A refusal\n" in done.stdout
    assert patients(fhir_base) == before


def test_the_base_url_may_come_from_the_environment(program, fhir_base):
    done = run(program, FHIR_BASE=fhir_base)
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_client_program_fails_where_no_fhir_server_answers(program, fhir_base):
    done = run([*program, fhir_base.removesuffix("/fhir") + "/elsewhere"])
    assert done.returncode != 0
    assert "main job done" not in done.stdout
