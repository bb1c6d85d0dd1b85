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


def test_a_profile_of_a_package(tmp_path):
    (tmp_path / "package.json").write_text('{"name": "example.one", "version": "1.0.0"}')
    profile = {
        "resourceType": "StructureDefinition", "url": "https://example.org/named", "version": "1.0.0", "name": "Named",
        "kind": "resource", "type": "Patient", "derivation": "constraint",
        "baseDefinition": "http://hl7.org/fhir/StructureDefinition/Patient",
        "differential": {"element": [{"id": "Patient.name", "path": "Patient.name", "min": 1}]},
    }  # fmt: skip
    (tmp_path / "StructureDefinition-named.json").write_text(json.dumps(profile))
    result = run("https://example.org/named|1.0.0", "--package", str(tmp_path))
    assert result.returncode == 0, result.stderr
    assert not jsonschema.Draft202012Validator(json.loads(result.stdout)).is_valid(
        {"resourceType": "Patient"}
    )
    assert run("https://example.org/named").returncode == 2
