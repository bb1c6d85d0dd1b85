"""The entries of whole resources, as they stand in the stored document."""

from __future__ import annotations

import json
import os
import tarfile
from decimal import Decimal
from pathlib import Path

import pytest

from fhir_server.search.indexing import compile_type

BASE = "http://localhost/fhir"
SUITES = Path(os.environ.get("FHIR_SUITES", Path(__file__).parents[3] / "shared" / "suites"))
GOLDEN = json.loads((Path(__file__).parent / "entries.json").read_text())


@pytest.mark.parametrize("case", GOLDEN, ids=lambda case: case["name"])
def test_entries(indexer, case):
    entries = indexer.entries(case["resource"], BASE)
    for name in ("_text", "_content"):  # words: tests/search/parameters/test_full_text.py
        entries.values.pop(name, None)
        entries.raw.pop(name, None)

    assert entries.patient == case.get("p")
    assert list(entries.other_compartments) == case.get("cp", [])
    assert entries.main_date == case.get("s")
    assert entries.values == case["i"]
    assert entries.raw == case.get("x", {})


def test_one_walk_serves_all_parameters(registry):
    source = vars(compile_type(registry, "Observation"))["__source__"]

    assert source.count("get('component')") == 1
    assert source.count(".get('valueQuantity')") == 1


def test_every_type_compiles(registry):
    for type_ in registry.types.resource_types:
        entries = compile_type(registry, type_)({"resourceType": type_, "id": "x"}, BASE)
        assert entries.patient == ("x" if type_ == "Patient" else None)


def test_an_unknown_type_is_the_callers_mistake(indexer):
    with pytest.raises(KeyError):
        indexer.entries({"resourceType": "Nonsense"}, BASE)


def test_entries_do_not_hold_parts_of_the_resource(indexer):
    resource = {"resourceType": "Observation", "id": "x", "meta": {"profile": ["http://p/a", "http://p/b"]}}
    indexer.entries(resource, BASE).values["_profile"].append("x")

    assert resource["meta"]["profile"] == ["http://p/a", "http://p/b"]


def test_all_official_examples(indexer):
    archive = SUITES / "r4-examples" / "json.tar.gz"
    if not archive.is_file():
        pytest.skip(f"no examples at {archive}: set FHIR_SUITES")
    count = 0
    with tarfile.open(archive) as members:
        for member in members:
            file = members.extractfile(member)
            resource = json.loads(file.read(), parse_float=Decimal) if file else None
            if isinstance(resource, dict) and "resourceType" in resource:
                entries = indexer.entries({"id": "x", **resource}, BASE)
                assert json.dumps([entries.values, entries.raw])
                count += 1
    assert count > 800
