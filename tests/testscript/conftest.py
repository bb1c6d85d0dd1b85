"""What the tests of the engine share: scripts out of tables, run against the running application."""

from __future__ import annotations

from pathlib import Path

import pytest

from fhir_server.definitions import Definitions
from fhir_server.terminology import CodeSets
from fhir_server.testscript import Endpoints, Log, Options, run_scripts
from fhir_server.testscript.suites import script
from fhir_server.validation import Validator


@pytest.fixture(scope="session")
def judge():
    """Definitions and a validator of them."""
    definitions = Definitions()
    return definitions, Validator(definitions, CodeSets(definitions))


@pytest.fixture(scope="session")
def base(fhir):
    """The base URL of the application under test."""
    return str(fhir.base_url).rstrip("/")


@pytest.fixture(scope="session")
def run(judge, base):
    """Return ``run(scripts, endpoints=..., log=..., **options)``, a run of all of them."""

    def start(scripts, *, endpoints=None, log=None, finished=lambda _: None, **options):
        endpoints = endpoints or Endpoints({1: base})
        return run_scripts(
            scripts, endpoints, *judge, options=Options(**options),
            log=log or Log(None, endpoints.base(1)), finished=finished,
        )  # fmt: skip

    return start


@pytest.fixture(scope="session")
def written():
    """Return ``written(steps, **table)``, the script of one test."""

    def write(steps, **table):
        test = {"name": "one", "says": "A test.", "steps": steps}
        return script({"page": "testscript.html", **table}, test, Path("tests/table.yaml"))

    return write
