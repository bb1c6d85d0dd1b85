"""Constraints: single rows as data, all base constraints at least compile."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path

import pytest

from fhir_server.fhirpath import Env, FhirPathError, compile_invariant
from fhir_server.fhirpath.corrections import CORRECTIONS

ROWS = json.loads(Path(__file__).with_name("invariants.json").read_text(), parse_float=Decimal)

#: Paths in base constraints that the type doesn't have; they are as published.
UNKNOWN_PATHS = {
    ("cid-0", "ChargeItemDefinition"): ("ChargeItemDefinition.name",),
    ("ras-1", "decimal"): ("decimal.low", "decimal.high"),
}


@pytest.mark.parametrize("row", ROWS, ids=lambda r: f"{r['key']}-{r['holds']}")
def test_row(row, base_constraints, types):
    expression = next(e for k, e, t in base_constraints if k == row["key"] and t == row["type"])
    invariant = compile_invariant(expression, row["type"], types)
    root = row.get("root", row["node"])
    env = Env(row["node"], root)
    assert invariant(row["node"], env, row.get("sibling")) is row["holds"]


def test_all_base_constraints_compile_and_only_two_have_unknown_paths(base_constraints, types):
    unknown = {}
    for key, expression, type_name in base_constraints:
        invariant = compile_invariant(expression, type_name, types)
        if invariant.unknown_paths:
            unknown[key, type_name] = invariant.unknown_paths
    assert unknown == UNKNOWN_PATHS


def test_only_two_base_constraints_need_the_interpreter(base_constraints, types):
    calls = "(n, None, env)"
    interpreted = {
        key
        for key, expression, type_name in base_constraints
        if any(
            call in compile_invariant(expression, type_name, types).source for call in (calls, "(n, s, env)")
        )
    }
    assert interpreted == {"ctm-1", "txt-1"}


def test_corrections_are_of_published_expressions(base_constraints):
    published = {expression for _, expression, _ in base_constraints}
    assert CORRECTIONS.keys() <= published


HOSTILE = [
    "name = '\\'); import os #'",
    'name.where(family = \'"""\')',
    "`__import__('os')`.exists()",
    "name.`a\\'b`.exists()",
    "extension('\\n    return True').exists()",
]


@pytest.mark.parametrize("expression", HOSTILE)
def test_text_of_an_expression_never_becomes_code(expression, types):
    invariant = compile_invariant(expression, "Patient", types)
    patient = {"resourceType": "Patient"}
    assert invariant(patient, Env(patient, patient)) is False
    assert invariant.source.count("\n") <= 3


@pytest.mark.parametrize("expression", ["name.", "name.nothing()", "(((", "gender.matches('(')", "a ~~ b"])
def test_malformed_expressions_are_refused_when_compiled(expression, types):
    with pytest.raises(FhirPathError):
        compile_invariant(expression, "Patient", types)


def test_what_the_generator_leaves_to_the_interpreter_has_the_same_focus(types):
    patient = {"resourceType": "Patient", "name": [{"given": ["Ann", "Bo"]}, {"given": ["Cy"]}]}
    env = Env(patient, patient)
    expression = "name.all(given.select($this & '!').join(',').endsWith('!'))"
    assert compile_invariant(expression, "Patient", types)(patient, env) is True
    assert compile_invariant("name.given.lower().first() = 'ann'", "Patient", types)(patient, env) is False
    assert compile_invariant("name.given.first().lower() = 'ann'", "Patient", types)(patient, env) is True
