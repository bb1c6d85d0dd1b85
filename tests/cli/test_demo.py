"""``demo``: into a file, a folder, a pipe and a running server, the same bytes each time."""

from __future__ import annotations

import gzip
import json
import os
import re
import subprocess
import sys
import urllib.request

import pytest


def demo(*arguments, text=True):
    environment = {name: value for name, value in os.environ.items() if not name.startswith("FHIR_")}
    return subprocess.run(
        [sys.executable, "-m", "fhir_server", "demo", *map(str, arguments)],
        capture_output=True, text=text, timeout=120, env=environment, check=False,
    )  # fmt: skip


def lines(content):
    return [json.loads(line) for line in content.splitlines()]


def test_one_file_plain_and_compressed_and_standard_output(tmp_path):
    plain, compressed = tmp_path / "a.ndjson", tmp_path / "b.ndjson.gz"
    for file in (plain, compressed):
        result = demo("--citizens", 4, "--seed", 3, "--output", file)
        assert (result.returncode, result.stdout, result.stderr) == (0, "", "")
    assert gzip.decompress(compressed.read_bytes()) == plain.read_bytes()
    assert demo("--citizens", 4, "--seed", 3, "--output", "-", text=False).stdout == plain.read_bytes()
    assert sum(r["resourceType"] == "Patient" for r in lines(plain.read_text())) == 4


def test_a_compressed_file_has_the_same_bytes_each_time(tmp_path):
    files = [tmp_path / "a.ndjson.gz", tmp_path / "b.ndjson.gz"]
    for file in files:
        demo("--citizens", 2, "--output", file)
    assert files[0].read_bytes() == files[1].read_bytes()


def test_a_folder_gets_one_file_a_type(tmp_path):
    assert demo("--citizens", 4, "--seed", 3, "--output", tmp_path / "made").returncode == 0
    for file in (tmp_path / "made").iterdir():
        assert {r["resourceType"] for r in lines(file.read_text())} == {file.stem}
    assert len(lines((tmp_path / "made" / "Patient.ndjson").read_text())) == 4


def test_into_a_running_server(served):
    result = demo("--citizens", 3, "--seed", 5, "--to", served)
    assert result.returncode == 0, result.stderr
    # organisations that other citizens share may be there already
    created, updated, rejected = map(int, re.findall(r"\d+", result.stdout))
    assert created > 3
    assert rejected == 0
    again = demo("--citizens", 3, "--seed", 5, "--to", served).stdout
    assert again == f"0 created, {created + updated} updated, 0 rejected\n"
    with urllib.request.urlopen(f"{served}/Patient/demo-5-0000002", timeout=10) as answer:
        assert json.loads(answer.read())["meta"]["profile"]


def test_a_server_that_is_not_there():
    result = demo("--citizens", 1, "--to", "http://127.0.0.1:9/fhir")
    assert result.returncode == 3
    assert "can't be reached" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "Name either --output"),
        (("--output", "-", "--to", "http://127.0.0.1:9/fhir"), "Name either --output"),
        (("--citizens", 0, "--output", "-"), "The number of citizens"),
        (("--seed", -1, "--output", "-"), "The seed"),
        (("--to", "ftp://x"), "ftp://x"),
        (("--output", "/proc/none/a.ndjson"), "can't be written"),
    ],
)
def test_what_can_not_be_done_is_said(arguments, said):
    result = demo(*arguments)
    assert result.returncode == 2
    assert said in result.stderr
