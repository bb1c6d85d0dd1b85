"""The public search cases that are in scope, against the engine on a real MongoDB; skipped without the suites."""

from __future__ import annotations

import json
import os
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest

from fhir_server.outcome import FhirError
from fhir_server.search import decode_pairs

SUITES = Path(os.environ.get("FHIR_SUITES", Path(__file__).parents[3] / "shared" / "suites"))
FILE = SUITES / "search" / "search_cases.json"
MODES = {"set", "contains", "ordered", "ordered_subset", "pages", "total", "status"}
#: Parameters of later work: chains, includes, system search, shapes of the answer.
LATER = ("_include", "_revinclude", "_has", "_content", "_text", "_list", "_filter", "_query", "_type")
#: Cases that are not ours to pass, each with its reason.
EXCEPTIONS = {
    "candle-0920": "needs the fixture's own SearchParameter multiplebirth",
    "candle-0921": "needs the fixture's own SearchParameter multiplebirth",
    "candle-0940": "all six patients of the fixture have Patient.active",
}


def _cases() -> list[Any]:
    if not FILE.is_file():
        return []
    data = json.loads(FILE.read_text(), parse_float=Decimal)
    found = []
    for case in data["cases"]:
        target, _, query = case["query"].partition("?")
        names = [unquote(pair.partition("=")[0]) for pair in query.split("&")]
        if case["id"] in EXCEPTIONS or case["grade"] not in {"spec", "common"}:
            continue
        if case["expect"]["mode"] not in MODES:
            continue
        if not target or "/" in target.removesuffix("/_search"):
            continue
        if any("." in name or name.startswith(LATER) for name in names):
            continue
        found.append(pytest.param(case, id=case["id"]))
    return found


@pytest.fixture(scope="module")
def loaded(new_engine, mongo_client, module_database_name):
    if not FILE.is_file():
        pytest.skip(f"no suites at {SUITES}: set FHIR_SUITES")
    data = json.loads(FILE.read_text(), parse_float=Decimal)
    engines = {}
    for name, fixture in data["fixture_sets"].items():
        database = "candle" if name == "candle" else "all"
        engine = engines.setdefault(database, new_engine(f"{module_database_name}_{database}"))
        engine.put(*fixture["resources"])
    yield engines
    for engine in engines.values():
        mongo_client.drop_database(engine.database.name)


@pytest.mark.parametrize("case", _cases())
def test_case(loaded, case):
    engine = loaded["candle" if case["fixture_set"] == "candle" else "all"]
    target, _, query = case["query"].partition("?")
    type_ = target.removesuffix("/_search")
    text = "&".join(filter(None, [query, *(f"{k}={v}" for k, v in (case.get("form") or {}).items())]))
    lenient = "lenient" in (case.get("headers") or {}).get("Prefer", "")
    expect = case["expect"]
    try:
        parsed = engine.parse(
            type_, decode_pairs(text.replace("{base}", "http://localhost/fhir")), lenient=lenient
        )
    except FhirError as problem:
        outcome = problem.status
    else:
        outcome = 200
    if expect["mode"] == "status" or outcome != 200:
        assert outcome in expect.get("status", [200])
        return
    pages = engine.pages(parsed)
    found = [f"{type_}/{row.id}" for page in pages for row in page.rows]
    assert len(found) == len(set(found))
    if expect["mode"] == "total":
        assert len(found) == expect["total"]
    elif expect["mode"] == "contains":
        assert set(expect["must"]) <= set(found)
        assert not set(expect["must_not"]) & set(found)
    elif expect["mode"] == "ordered":
        assert found == expect["match"]
    else:
        assert set(found) == set(expect["match"])
        if expect["mode"] == "ordered_subset":
            assert [id_ for id_ in found if id_ in expect["ordered"]] == expect["ordered"]
        if expect["mode"] == "pages":
            assert all(len(page.rows) <= expect["page_size"] for page in pages)
    in_memory = {
        f"{type_}/{id_}" for id_, made in engine.documents[type_].items() if parsed.expression.matches(made)
    }
    assert set(found) == in_memory
