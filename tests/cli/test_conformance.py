"""``fhir-server conformance`` as people start it."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

ENVIRONMENT = {
    name: value for name, value in os.environ.items() if not name.startswith(("FHIR_", "CONFORMANCE_"))
}


def conformance(*arguments, **variables):
    return subprocess.run(
        [sys.executable, "-m", "fhir_server", "conformance", *map(str, arguments)],
        capture_output=True, text=True, timeout=120, env={**ENVIRONMENT, **variables}, check=False,
    )  # fmt: skip


FAILING = """
page: http.html#read
tests:
  - {name: wrong, says: It is there., steps: [{read: Patient/none}, {status: 200}]}
"""


def test_run_reports_and_resumes(served, tmp_path):
    log, out = tmp_path / "run.log", tmp_path / "out"
    result = conformance("run", "http/capabilities", "--base", served, "--out", out, "--resume", log)
    assert (result.returncode, result.stdout.splitlines()[-1].partition(": ")[2]) == (0, "6 pass")
    assert len(log.read_bytes().splitlines()) == 6
    again = conformance(
        "run", "http/capabilities", "--base", served, "--out", out, "--resume", log, "--report", "json"
    )
    assert again.returncode == 0
    assert json.loads((out / "results.json").read_bytes())["base"] == served
    assert conformance("compare", out / "results.json", out / "results.json").returncode == 0


def test_findings(served, tmp_path):
    table = tmp_path / "suite" / "table.yaml"
    table.parent.mkdir()
    table.write_text(FAILING)
    out = tmp_path / "out"
    result = conformance("run", table, "--base", served, "--out", out)
    assert result.returncode == 1
    assert (
        'fail\tsuite_table_wrong\twrong: status 200 (https://hl7.org/fhir/R4/http.html#read): The status should be "200", but is "404".'
        in result.stdout
    )
    table.write_text(FAILING.replace("200", "404"))
    good = tmp_path / "good"
    assert conformance("run", table.parent, "--base", served, "--out", good).returncode == 0
    compared = conformance("compare", good / "results.json", out / "results.json")
    assert compared.returncode == 1
    assert compared.stdout.startswith("worse\tpass -> fail\tsuite_table_wrong: wrong\tThe status should be")


def test_a_token_is_sent_and_not_shown(served, tmp_path):
    out = tmp_path / "out"
    token = "abcdef-0123456789"
    conformance("run", "http/capabilities", "--base", served, "--out", out, CONFORMANCE_TOKEN=token)
    report = (out / "report.html").read_text()
    assert "authorization: •••" in report
    assert all(token not in file.read_text() for file in out.iterdir())


def test_exit_codes_of_what_makes_a_run_impossible(free_port, served, tmp_path):
    gone = f"http://127.0.0.1:{free_port()}/fhir"
    result = conformance("run", "http/capabilities", "--base", gone)
    assert (result.returncode, "can't be reached" in result.stderr) == (3, True)
    how = ("--token-url", f"{served}/metadata", "--client-id", "x")
    result = conformance("run", "http/capabilities", "--base", served, *how, CONFORMANCE_CLIENT_SECRET="s")
    assert (result.returncode, "gave no token" in result.stderr) == (4, True)
    (tmp_path / "bad.json").write_text('{"resourceType": "TestScript"')
    for named in (tmp_path / "bad.json", tmp_path):
        assert conformance("run", named, "--base", served).returncode == 2


def test_write_gives_scripts_that_run(served, tmp_path):
    assert conformance("write", tmp_path / "scripts", "http").returncode == 0
    assert len(list((tmp_path / "scripts").iterdir())) > 100
    one = tmp_path / "scripts" / "http-read-status.json"
    assert conformance("run", one, "--base", served).returncode == 0


def test_list():
    lines = conformance("list").stdout.splitlines()
    assert "http\thttp_read_status\tA read gives the resource with 200." in lines
    assert len(lines) > 240


@pytest.mark.parametrize("name", ["http/capabilities"])
def test_self_runs_on_a_fresh_server(name, tmp_path):
    result = conformance("self", name, "--out", tmp_path)
    assert (result.returncode, result.stdout.partition(": ")[2]) == (0, "6 pass\n"), result.stderr
    assert "| http | 6 | 6 |" in (tmp_path / "summary.md").read_text()
