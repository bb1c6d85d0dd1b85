"""The command as a user starts it: help, version, exit codes, plain output."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from fhir_server import __version__

ENVIRONMENT = {name: value for name, value in os.environ.items() if not name.startswith("FHIR_")}
VERBS = ("serve", "load", "validate", "fhirpath", "schema", "doctor")


def run(*arguments, **variables):
    return subprocess.run(
        [sys.executable, "-m", "fhir_server", *arguments],
        capture_output=True, text=True, timeout=60, env={**ENVIRONMENT, **variables}, check=False,
    )  # fmt: skip


def test_version():
    result = run("--version")
    assert (result.returncode, result.stdout, result.stderr) == (0, f"fhir-server {__version__}\n", "")


@pytest.mark.parametrize("verb", [*VERBS, "config show", "conformance run"])
def test_help_ends_with_two_examples(verb):
    result = run(*verb.split(), "--help")
    assert result.returncode == 0
    _, _, examples = result.stdout.partition("Examples:")
    assert len(examples.strip().splitlines()) == 2
    assert "\x1b" not in result.stdout


def test_heavy_parts_are_not_imported_for_help():
    code = (
        "import sys; from fhir_server.cli.program import program\n"
        "heavy = {'pymongo', 'fastapi', 'uvicorn', 'fhir_server.app', 'fhir_server.validation'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout == "[]\n"


USAGE = [
    (["serve", "--prot", "1"], {}, "--p"),
    (["sevre"], {}, "sevre"),
    (["serve", "--port", "0"], {}, "http.port (command line)"),
    (["serve"], {"FHIR_MONGDB_URI": "x"}, "Did you mean FHIR_MONGODB_URI?"),
    (["serve", "--mongodb-uri", "mongodb://u:p@h/"], {}, "put the URI into FHIR_MONGODB_URI"),
    (["serve", "--config", "absent.toml"], {}, "absent.toml, which doesn't exist"),
    (["load", "absent.json"], {}, "absent.json doesn't exist"),
    (["load", "--base", "ftp://h", "-"], {}, "no http or https URL"),
    (["validate", "absent.json"], {}, "absent.json doesn't exist"),
    (["validate", "--format", "xml", "-"], {}, "--format knows text, json, junit"),
    (["conformance", "run", "--base", "ftp://h"], {}, "no http or https URL"),
    (
        ["conformance", "run", "absent", "--base", "http://h"],
        {},
        "absent is neither a suite (every-type, http, ",
    ),
    (["conformance", "run", "--base", "http://h", "--report", "pdf"], {}, "--report knows html, json"),
    (["conformance", "run", "--base", "http://h", "--variable", "x"], {}, "--variable wants NAME=VALUE"),
    (
        ["conformance", "run", "--base", "http://h", "--token-url", "http://h/t"],
        {},
        "CONFORMANCE_CLIENT_SECRET",
    ),
    (["conformance", "compare", "absent.json", "absent.json"], {}, "absent.json can't be read"),
    (["config", "check"], {"FHIR_HTTP_PORT": "0"}, "http.port (environment FHIR_HTTP_PORT)"),
]


@pytest.mark.parametrize(("arguments", "variables", "complaint"), USAGE)
def test_usage_errors_are_exit_code_2(arguments, variables, complaint):
    result = run(*arguments, **variables)
    assert result.returncode == 2
    assert complaint in result.stderr
    assert result.stdout == ""
    assert "Traceback" not in result.stderr


def test_load_into_nobody_is_exit_code_3(tmp_path):
    file = tmp_path / "a.json"
    file.write_text('{"resourceType": "Patient", "id": "a"}')
    result = run("load", str(file), "--base", "http://127.0.0.1:9/fhir")
    assert result.returncode == 3
    assert "fhir-server serve" in result.stderr
