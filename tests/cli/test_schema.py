"""``schema``: the JSON Schema of a type."""

from __future__ import annotations

import json
import subprocess
import sys

import jsonschema


def run(*arguments):
    return subprocess.run(
        [sys.executable, "-m", "fhir_server", "schema", *arguments],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


def test_schema():
    schema = json.loads(run("Patient").stdout)
    jsonschema.Draft202012Validator(schema).validate({"resourceType": "Patient", "gender": "male"})
    assert len(json.loads(run("Bundle", "--full").stdout)["$defs"]) > len(schema["$defs"])


def test_a_type_that_there_is_not():
    result = run("Patint")
    assert (result.returncode, result.stdout) == (2, "")
    assert "did you mean Patient" in result.stderr
