"""The public terminology cases (HL7/fhir-tx-ecosystem-ig), mode general, against the running server.

The resources that a case needs travel with its request (``tx-resource``). The files are in R5's form: our answers, in
which properties of expansions are extensions, are brought into that form before they are compared.
"""

from __future__ import annotations

import json
import os
import tarfile
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from tests.suites.tx_comparison import as_r5, differences

SUITES = Path(os.environ.get("FHIR_SUITES", Path(__file__).parents[3] / "shared" / "suites"))
FOLDER = SUITES / "tx"
#: Cases that are answered in another way, with the reason.
KNOWN: dict[str, str] = json.loads((Path(__file__).parent / "terminology_differences.json").read_text())
#: At least so many of the cases agree.
LEAST = 0.9

pytestmark = pytest.mark.skipif(
    not FOLDER.exists(), reason=f"no terminology cases in {SUITES}: set FHIR_SUITES"
)

ADDRESS = {
    "expand": "ValueSet/$expand",
    "validate-code": "ValueSet/$validate-code",
    "cs-validate-code": "CodeSystem/$validate-code",
    "lookup": "CodeSystem/$lookup",
    "translate": "ConceptMap/$translate",
}
#: Inputs of R5's $translate by their names in R4.
TRANSLATE = {"sourceSystem": "system", "sourceCode": "code", "targetSystem": "targetsystem"}


def cases() -> list[Any]:
    if not FOLDER.exists():
        return []
    return [pytest.param(case, id=case["id"]) for case in json.loads((FOLDER / "index.json").read_text())]


@cache
def files() -> dict[str, Any]:
    found = {}
    with tarfile.open(FOLDER / "files.tar.gz") as archive:
        for member in archive:
            if member.name.endswith(".json"):
                file = archive.extractfile(member)
                assert file is not None
                text = file.read().decode("utf-8-sig")
                try:
                    found[member.name.removeprefix("./")] = json.loads(text)
                except ValueError:  # one of the files isn't JSON, and no case needs it
                    continue
    return found


def request_of(case: dict[str, Any]) -> dict[str, Any]:
    known = files()
    parameters = list(known[case["request"]]["parameter"])
    if case.get("profile"):
        parameters += known[case["profile"]]["parameter"]
    if case["operation"] == "translate":
        parameters = [{**row, "name": TRANSLATE.get(row["name"], row["name"])} for row in parameters]
    parameters += [{"name": "tx-resource", "resource": known[name]} for name in case["setup"]]
    return {"resourceType": "Parameters", "parameter": parameters}


def problems(fhir: Any, case: dict[str, Any]) -> list[str]:
    if case["operation"] not in ADDRESS:
        return ["this operation is not offered"]
    headers = {"Accept-Language": case["Accept-Language"]} if case.get("Accept-Language") else {}
    answer = fhir.post(ADDRESS[case["operation"]], json=request_of(case), headers=headers)
    wanted = case.get("http_code")
    if wanted and not str(answer.status_code).startswith(wanted[0]):
        return [f"status {answer.status_code}, expected {wanted}"]
    if not wanted and answer.status_code != 200:
        return [f"status {answer.status_code}: {answer.text[:300]}"]
    expected, actual = files()[case["response"]], as_r5(answer.json())
    if case["operation"] == "translate":
        actual = json.loads(
            json.dumps(actual).replace(
                '"name": "source", "valueUri"', '"name": "originMap", "valueCanonical"'
            )
        )
    return differences(expected, actual)


@pytest.mark.parametrize("case", cases())
def test_terminology_case(fhir, case):
    found = problems(fhir, case)
    if case["id"] in KNOWN:
        assert found, "the case agrees now: take it out of terminology_differences.json"
        return
    assert not found, "\n".join(found)


def test_enough_cases_agree():
    assert len(KNOWN) <= (1 - LEAST) * len(cases())
