"""Search expressions: single rows as data, all parameters of the core package compile and run on all examples."""

from __future__ import annotations

import json
import tarfile
from decimal import Decimal
from pathlib import Path

import pytest

from fhir_server.fhirpath import FhirPathError, compile_extraction

ROWS = json.loads(Path(__file__).with_name("extractions.json").read_text())


@pytest.mark.parametrize("row", ROWS, ids=lambda r: r["expression"][:50])
def test_row(row, types):
    extract = compile_extraction(row["expression"], row["type"], types)
    assert [list(v) for v in extract(row["node"], row.get("resource"))] == row["values"]


def test_unknown_paths_are_recorded(types):
    assert compile_extraction("Observation.nonsense", "Observation", types).unknown_paths == (
        "Observation.nonsense",
    )
    assert compile_extraction("Observation.code | Patient.nonsense", "Observation", types).unknown_paths == ()


def test_value_types_are_told(types):
    extract = compile_extraction("Observation.value.as(Quantity) | Observation.code", "Observation", types)
    assert extract.value_types == ("Quantity", "CodeableConcept")


def test_what_search_cannot_use_is_refused(types):
    with pytest.raises(FhirPathError):
        compile_extraction("Patient.name.aggregate($total)", "Patient", types)


@pytest.fixture(scope="module")
def parameters(definitions):
    """The extraction functions of all core parameters by resource type."""
    types = definitions.types
    found = {}
    for parameter in definitions.search_parameters():
        if "expression" not in parameter:
            continue
        for base in parameter["base"]:
            for name in (t for t in types.resource_types if types.is_subtype(t, base)):
                extract = compile_extraction(parameter["expression"], name, types)
                found.setdefault(name, []).append((parameter["code"], extract))
    return found


def test_all_core_parameters_compile_without_unknown_paths(parameters):
    unknown = {(n, c): f.unknown_paths for n, row in parameters.items() for c, f in row if f.unknown_paths}
    assert len(parameters) == 146
    assert unknown == {}


def test_all_examples_give_values_without_exception(parameters, suites):
    resources = values = 0
    with tarfile.open(suites / "r4-examples" / "json.tar.gz") as archive:
        for member in archive:
            if not member.name.endswith(".json"):
                continue
            resource = json.loads(archive.extractfile(member).read(), parse_float=Decimal)
            resources += 1
            for _, extract in parameters[resource["resourceType"]]:
                values += len(extract(resource))
    assert resources > 800
    assert values > 10 * resources
