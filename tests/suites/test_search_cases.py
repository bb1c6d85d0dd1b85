"""The public search cases that need the whole server (chains, includes, pages), by the suite's own runner."""

from __future__ import annotations

import importlib.util
import json
import os
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

SUITES = Path(os.environ.get("FHIR_SUITES", Path(__file__).parents[3] / "shared" / "suites"))
FOLDER = SUITES / "search"
AREAS = {"chain", "has", "include", "paging", "sort", "composite", "token-not", "result-params"}


def _data() -> Any:
    file = FOLDER / "search_cases.json"
    return json.loads(file.read_text(), parse_float=Decimal) if file.is_file() else {"cases": []}


def _cases() -> list[Any]:
    return [
        pytest.param(case, id=case["id"])
        for case in _data()["cases"]
        if case["area"] in AREAS and case["grade"] in {"spec", "common"} and case["fixture_set"] != "candle"
    ]


@pytest.fixture(scope="module")
def runner(fhir):
    if not FOLDER.is_dir():
        pytest.skip(f"no suites at {SUITES}: set FHIR_SUITES")
    spec = importlib.util.spec_from_file_location("run_search", FOLDER / "run_search.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    runner = module.SearchRunner(str(fhir.base_url), _data()["fixture_sets"], client=fhir)
    for name in {case.values[0]["fixture_set"] for case in _cases()} - {""}:
        problems = [problem for problem in runner.load(name) if not problem.startswith("transaction refused")]
        assert not problems, (name, problems)
    return runner


@pytest.mark.parametrize("case", _cases())
def test_case(runner, case):
    passed, message = runner.run(case)

    assert passed, f"{case['query']}: {message}"
