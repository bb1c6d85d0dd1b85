"""``config``: values, origins, masks; the documentation page and the schema match the models."""

from __future__ import annotations

import json
import os
import tomllib
from pathlib import Path

import jsonschema
import pytest
from typer.testing import CliRunner

from fhir_server import settings as declared
from fhir_server.cli import config
from fhir_server.cli.program import program

PAGE = Path(__file__).parents[2] / "docs" / "settings.md"


@pytest.fixture(autouse=True)
def clean(monkeypatch, tmp_path):
    for name in [name for name in os.environ if name.startswith("FHIR_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(*arguments):
    return CliRunner().invoke(program, ["config", *arguments])


def test_show_lists_every_setting():
    lines = run("show").stdout.splitlines()
    assert [line.split()[0] for line in lines] == list(declared.fields())
    assert ["http.port", "8080"] in [line.split() for line in lines]


def test_show_says_where_a_value_comes_from(clean, monkeypatch):
    (clean / "fhir-server.toml").write_text("[search]\nmax_count = 9\ndefault_count = 3\n")
    monkeypatch.setenv("FHIR_HTTP_PORT", "8081")
    rows = json.loads(run("show", "--sources", "-o", "json").stdout)
    assert rows["http.port"] == {"value": 8081, "source": "environment FHIR_HTTP_PORT"}
    assert rows["search.max_count"] == {"value": 9, "source": "fhir-server.toml"}
    assert rows["http.host"] == {"value": "127.0.0.1", "source": "default"}
    text = run("show", "--sources").stdout
    assert "environment FHIR_HTTP_PORT" in text


@pytest.mark.parametrize("arguments", [["show"], ["show", "--sources"], ["show", "-o", "json"], ["check"]])
def test_secrets_never_appear(monkeypatch, arguments):
    monkeypatch.setenv("FHIR_MONGODB_URI", "mongodb://user:pass-word@h/")
    monkeypatch.setenv("FHIR_CURSOR_KEY", "s3cret" * 6)
    result = run(*arguments)
    assert result.exit_code == 0
    assert "pass-word" not in result.output
    assert "s3cret" not in result.output


def test_formats_are_checked():
    assert run("show", "-o", "yaml").exit_code == 2


def test_the_page_matches_the_models():
    assert PAGE.read_text() == config.page(), "run make docs"


def test_the_page_names_nobody_s_folder():
    assert str(Path.home()) not in config.page()


def test_the_schema_judges_files_as_the_models_do(clean):
    schema = json.loads(run("schema").stdout)
    jsonschema.Draft202012Validator.check_schema(schema)
    assert str(Path.home()) not in json.dumps(schema)
    for text, is_valid in [
        ("[http]\nport = 1\n", True),
        ("[http]\nport = 0\n", False),
        ("[http]\nprot = 1\n", False),
        ("[htpp]\nport = 1\n", False),
        ('[search]\nhandling = "loose"\n', False),
    ]:
        (clean / "fhir-server.toml").write_text(text)
        assert jsonschema.Draft202012Validator(schema).is_valid(tomllib.loads(text)) is is_valid, text
        if is_valid:
            declared.load()
        else:
            with pytest.raises(declared.SettingsError):
                declared.load()
