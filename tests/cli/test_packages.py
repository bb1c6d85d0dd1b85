from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from fhir_server.cli.program import program


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FHIR_PACKAGES_DIR", str(tmp_path / "installed"))
    folder = tmp_path / "source" / "package"
    folder.mkdir(parents=True)
    manifest = {"name": "example.one", "version": "1.0.0", "dependencies": {"example.two": "2.0.0"}}
    (folder / "package.json").write_text(json.dumps(manifest))
    return folder.parent


def test_install_list_and_remove(package: Path) -> None:
    run = CliRunner().invoke
    installed = run(program, ["packages", "install", str(package)])
    assert installed.exit_code == 0
    assert installed.stdout.splitlines()[0] == "installed example.one#1.0.0"
    assert "missing   example.two#2.0.0" in installed.stdout
    assert run(program, ["packages", "list"]).stdout == "example.one#1.0.0\n"
    [row] = json.loads(run(program, ["packages", "list", "-o", "json"]).stdout)
    assert row["dependencies"] == {"example.two": "2.0.0"}
    assert run(program, ["packages", "remove", "example.one#1.0.0"]).stdout == "removed example.one#1.0.0\n"
    assert run(program, ["packages", "list"]).stdout == ""


@pytest.mark.parametrize(
    "arguments", [["install", "nowhere.tgz"], ["remove", "example.one#1.0.0"], ["list", "-o", "xml"]]
)
def test_what_cannot_be_done_is_a_usage_error(package: Path, arguments: list[str]) -> None:
    assert package.is_dir()
    assert CliRunner().invoke(program, ["packages", *arguments]).exit_code == 2
