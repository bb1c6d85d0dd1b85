"""The public patch cases, at the engines: FHIRPath Patch in the upstream direction "forwards", JSON Patch."""

import json
import os
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest

from fhir_server.interactions.patching import fhirpath_patch, json_patch
from fhir_server.interactions.patching.budget import Budget
from fhir_server.outcome import FhirError

SUITES = Path(os.environ.get("FHIR_SUITES", Path(__file__).parents[3] / "shared" / "suites"))
FOLDER = SUITES / "patch"

pytestmark = pytest.mark.skipif(not FOLDER.exists(), reason=f"no patch cases in {SUITES}: set FHIR_SUITES")


def cases(name):
    if not FOLDER.exists():
        return []
    found = json.loads((FOLDER / name).read_text(), parse_float=Decimal)
    return [pytest.param(case, id=case["id"]) for case in found]


def without_space(text):
    return "".join(text.split())


@pytest.mark.parametrize("case", cases("fhirpath_patch.json"))
def test_fhirpath_patch(types, case):
    try:
        made = fhirpath_patch.apply(
            case["input"],
            fhirpath_patch.read_operations(case["diff"]),
            Budget(10_000, 10_000),
            types,
            lambda: datetime(2026, 1, 1, tzinfo=UTC),
        )
    except FhirError:
        assert case["error"] is not None
        return
    assert case["error"] is None
    # "text plays no part": upstream compares narratives without their white space.
    texts = [resource.pop("text", {}).get("div", "") for resource in (made, case["output"])]
    assert without_space(texts[0]) == without_space(texts[1])
    assert made == case["output"]


@pytest.mark.parametrize("case", cases("json_patch.json"))
def test_json_patch(case):
    try:
        made = json_patch.apply(
            case["doc"], json_patch.read_operations(case["patch"]), Budget(10_000, 10_000)
        )
    except FhirError:
        assert "error" in case
        return
    assert "error" not in case
    assert json_patch.equal(made, case["expected"])
