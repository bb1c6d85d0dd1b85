from __future__ import annotations

import os
from pathlib import Path

import pytest

from fhir_server.definitions import Definitions


@pytest.fixture(scope="session")
def definitions():
    return Definitions()


@pytest.fixture(scope="session")
def types(definitions):
    return definitions.types


@pytest.fixture(scope="session")
def suites():
    """The folder of public test material; tests that need it are skipped without it."""
    folder = Path(os.environ.get("FHIR_SUITES") or Path(__file__).parents[2].parent / "shared" / "suites")
    if not folder.is_dir():
        pytest.skip(f"the public test material is not at {folder}; set FHIR_SUITES")
    return folder


@pytest.fixture(scope="session")
def base_constraints(definitions):
    """All constraints of the core types, once for each expression and type: (key, expression, type)."""
    types = definitions.types
    found = {}
    for name in types.names():
        if "." in name:
            continue
        for element in definitions.structure(name)["snapshot"]["element"]:
            path = element["path"]
            if types.type(path):
                targets = [path]
            else:
                parent, _, last = path.rpartition(".")
                targets = types.type(parent).elements[last.removesuffix("[x]")].types
            for constraint in element.get("constraint", ()):
                for target in targets:
                    found.setdefault((constraint["expression"], target), constraint["key"])
    return [(key, expression, target) for (expression, target), key in found.items()]
