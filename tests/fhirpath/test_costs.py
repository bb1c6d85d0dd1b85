"""Expressions whose cost isn't bounded by what they are asked about keep to a budget of steps."""

from __future__ import annotations

from typing import Any

import pytest

from fhir_server.definitions import Definitions
from fhir_server.fhirpath import Env, FhirPathError, compile_bounded

TYPES = Definitions().types
CODING = [{"system": "urn:s", "code": str(n)} for n in range(1000)]
RESOURCE: dict[str, Any] = {"resourceType": "Observation", "code": {"coding": CODING}}


@pytest.mark.parametrize(
    "expression",
    [
        "code.coding.all(code.exists())",
        "descendants().where(code = 'x').empty()",
        "%resource.code.exists()",
        "code.coding.where(system.matches('^(a+)+$')).empty()",
        "code.coding.code.isDistinct()",
        "value.ofType(Quantity).code in ('a' | 'b')",
    ],
)
def test_common_expressions_need_no_budget(expression: str) -> None:
    assert compile_bounded(expression, "Observation", TYPES) is None


@pytest.mark.parametrize(
    "expression",
    [
        "code.coding.all(%resource.code.coding.exists(code = 'x'))",
        "code.coding.select(%rootResource.descendants()).exists()",
        "descendants().descendants().descendants().count() > 0",
        "code.coding.repeat(%resource.code.coding).exists()",
        "(code.coding.where(code in %context.code.coding.code).exists()) and true",
        " and ".join(["(code.coding | code.coding).exists()"] * 10),
    ],
)
def test_expressions_that_may_explode_keep_to_their_budget(expression: str) -> None:
    check = compile_bounded(expression, "Observation", TYPES)
    assert check is not None
    with pytest.raises(FhirPathError) as refused:
        check(RESOURCE, Env(RESOURCE, RESOURCE, steps=2000))
    assert refused.value.phase == "budget"


def test_steps_are_counted_down_over_calls() -> None:
    check = compile_bounded("code.coding.all(%resource.code.exists())", "Observation", TYPES)
    assert check is not None
    env = Env(RESOURCE, RESOURCE, steps=100_000)
    assert check(RESOURCE, env)
    left = env.steps
    assert left is not None
    assert left < 100_000
    assert check(RESOURCE, env)
    assert env.steps == left - (100_000 - left)
