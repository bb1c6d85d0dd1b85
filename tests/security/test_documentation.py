"""What docs/access.md shows is accepted, and each requirement of SMART names tests that exist."""

from __future__ import annotations

import ast
import csv
import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import httpx
import pytest

from fhir_server.settings import Settings

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "access.md").read_text()
REQUIREMENTS = list(
    csv.DictReader((ROOT / "conformance" / "requirements" / "smart-2.2.csv").read_text().splitlines())
)


def snippet(name):
    return re.search(rf"<!-- snippet: {name} -->\n```\w*\n(.*?)```", PAGE, re.DOTALL)[1]


def test_the_settings_of_an_issuer():
    settings = Settings(**tomllib.loads(snippet("issuer")))
    [issuer] = settings.auth.issuers
    assert {name: client.kind for name, client in issuer.clients.items()} == {
        "portal": "person",
        "step-counter": "app",
        "laboratory": "system",
    }
    assert settings.auth.smart.token_endpoint.startswith("https://login.example.org")


def test_the_registration_and_the_backend_service(site_with):
    with site_with({"auth.dev_server": True}) as client:
        site = str(client.base_url).rstrip("/")
        answer = httpx.post(f"{site}/auth/register", json=json.loads(snippet("register")))
        assert answer.status_code == 201
        assert "client_secret" not in answer.json()
        program = ROOT / "examples" / "clients" / "backend_services.py"
        done = subprocess.run(
            [sys.executable, str(program), f"{site}/fhir", "Practitioner"],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert done.returncode == 0, done.stderr
    assert "of Practitioner" in done.stdout


def names_in(file):
    return {
        node.name
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }


@pytest.mark.parametrize("row", REQUIREMENTS, ids=lambda row: row["id"])
def test_each_requirement_has_its_test(row):
    assert row["status"] in ("met", "not offered")
    if row["status"] == "met":
        path, _, name = row["test"].partition("::")
        assert name in names_in(ROOT / path)


def test_requirements_are_listed_once():
    assert len({row["id"] for row in REQUIREMENTS}) == len(REQUIREMENTS)
