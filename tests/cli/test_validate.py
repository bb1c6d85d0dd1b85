"""``validate``: files against the base definitions, in one process and in several."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from fhir_server.definitions.content import content_folder

GOOD = '{"resourceType":"Observation","id":"a","status":"final","code":{"text":"x"}}'
BAD = '{"resourceType":"Observation","id":"b","status":"finished"}'


def run(*arguments, stdin="", **variables):
    environment = {name: value for name, value in os.environ.items() if not name.startswith("FHIR_")}
    return subprocess.run(
        [sys.executable, "-m", "fhir_server", "validate", *map(str, arguments)],
        input=stdin, capture_output=True, text=True, timeout=120, env=environment | variables, check=False,
    )  # fmt: skip


def test_text(tmp_path):
    (tmp_path / "a.ndjson").write_text(f"{GOOD}\n{BAD}\n")
    result = run(tmp_path)
    assert result.returncode == 1
    assert result.stderr == "2 resources, 1 invalid\n"
    lines = result.stdout.splitlines()
    assert {line.split(" ")[0] for line in lines} == {f"{tmp_path / 'a.ndjson'}:2:"}
    assert any("error Observation.status: " in line for line in lines)


@pytest.mark.parametrize("jobs", ["1", "2"])
def test_json_in_order(tmp_path, jobs):
    (tmp_path / "a.ndjson").write_text(f"{GOOD}\n{BAD}\n{{\n{GOOD}")
    result = run(tmp_path, "--format", "json", "--jobs", jobs)
    rows = [json.loads(line) for line in result.stdout.splitlines()]
    assert [(row["line"], row["id"], row["valid"]) for row in rows] == [
        (1, "a", True), (2, "b", False), (3, None, False), (4, "a", True),
    ]  # fmt: skip
    assert rows[1]["issues"][0].keys() >= {"severity", "code", "diagnostics", "expression"}
    assert rows[0]["issues"] == []


def test_valid_is_exit_code_0():
    result = run("-", stdin=GOOD)
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "1 resources, 0 invalid\n")


def test_a_file_that_can_t_be_decompressed(tmp_path):
    (tmp_path / "a.json.gz").write_bytes(b"no gzip")
    result = run(tmp_path / "a.json.gz")
    assert result.returncode == 1
    assert "Can't be read" in result.stdout


def test_the_examples():
    assert run(content_folder("examples") / "pass").returncode == 0
    rows = [
        json.loads(line)
        for line in run(
            content_folder("examples") / "fail", "--format", "json", FHIR_VALIDATION_WARNINGS="none"
        ).stdout.splitlines()
        if "expected.json" not in json.loads(line)["file"]
    ]
    assert rows
    assert [row["file"] for row in rows if row["valid"]] == []
