"""The example resources: what must pass passes, what must fail reports the issue that is promised."""

from __future__ import annotations

import base64
import hashlib
import json
from collections import Counter
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from fhir_server.datatypes.json_format import decode
from fhir_server.definitions import Definitions
from fhir_server.outcome import FhirError, Issue
from fhir_server.terminology import CodeSets
from fhir_server.validation import Validator
from tests.examples.references import references

EXAMPLES = Path(__file__).parents[2] / "examples"
PASS = sorted((EXAMPLES / "pass").glob("*/*.json"))
FAIL = EXAMPLES / "fail"
EXPECTED: dict[str, dict[str, str]] = json.loads((FAIL / "expected.json").read_text(encoding="utf-8"))
RECORDS = sorted((EXAMPLES / "clients" / "records").glob("*.json"))
RECORD_TYPES = ("DocumentReference", "Consent", "RelatedPerson", "Observation", "ExplanationOfBenefit")
FLAT = ("participation-forfaitaire", "franchise", "forfait-acte")
TYPES = (*RECORD_TYPES, "Patient", "Practitioner", "Organization", "Device")


@pytest.fixture(scope="module")
def validator() -> Validator:
    definitions = Definitions()
    return Validator(definitions, CodeSets(definitions))


def issues(validator: Validator, body: bytes) -> list[Issue]:
    """Return the errors of a body, whether its JSON or its content is wrong."""
    try:
        return [issue for issue in validator.validate(decode(body)) if issue.severity in {"error", "fatal"}]
    except FhirError as malformed:
        return list(malformed.issues)


def resources() -> dict[str, dict[str, Any]]:
    return {f"{path.parent.name}/{path.stem}": decode(path.read_bytes()) for path in PASS}


def name(path: Path) -> str:
    return f"{path.parent.name}/{path.stem}"


@pytest.mark.parametrize("path", PASS, ids=name)
def test_a_good_example_has_no_error(validator, path):
    assert issues(validator, path.read_bytes()) == []


@pytest.mark.parametrize("path", PASS, ids=name)
def test_a_good_example_lies_where_its_type_and_id_say(path):
    resource = decode(path.read_bytes())
    assert (resource["resourceType"], resource["id"]) == (path.parent.name, path.stem)


@pytest.mark.parametrize(("file", "expected"), EXPECTED.items())
def test_a_bad_example_reports_the_issue_that_is_promised(validator, file, expected):
    found = issues(validator, (FAIL / file).read_bytes())
    assert any(
        issue.code == expected["code"]
        and issue.expression == expected["expression"]
        and issue.rule == expected.get("rule", issue.rule)
        for issue in found
    ), [(issue.code, issue.expression, issue.rule, issue.diagnostics) for issue in found]


@pytest.mark.parametrize("file", EXPECTED)
def test_a_bad_example_has_one_defect_only(validator, file):
    found = issues(validator, (FAIL / file).read_bytes())
    assert len(found) == 1, [(issue.code, issue.expression, issue.rule) for issue in found]


@pytest.mark.parametrize("path", RECORDS, ids=lambda path: path.stem)
def test_the_records_that_the_client_programs_send_are_good(validator, path):
    assert issues(validator, path.read_bytes().replace(b"{{patientId}}", b"claude")) == []


def test_every_bad_example_is_promised_an_issue():
    assert {f"{path.parent.name}/{path.name}" for path in FAIL.glob("*/*.json")} == set(EXPECTED)


@pytest.mark.parametrize("type_", TYPES)
def test_there_are_enough_of_each_type(type_):
    good = Counter(path.parent.name for path in PASS)
    bad = Counter(file.split("/")[0] for file in EXPECTED)
    assert good[type_] >= (5 if type_ in RECORD_TYPES else 4)
    assert bad[type_] >= 3


def test_good_examples_refer_to_each_other_only():
    known = resources()
    named = {target for resource in known.values() for target in references(resource)}
    assert {target.partition("/_history/1")[0] for target in named} <= set(known)


def test_documents_tell_size_and_hash_of_their_binary():
    known = resources()
    documents = [resource for key, resource in known.items() if key.startswith("DocumentReference/")]
    for document in documents:
        attachment = document["content"][0]["attachment"]
        binary = known[attachment["url"]]
        content = base64.b64decode(binary["data"])
        assert binary["contentType"] == attachment["contentType"]
        assert attachment["size"] == len(content)
        assert attachment["hash"] == base64.b64encode(hashlib.sha1(content).digest()).decode()


def amounts(adjudications: list[dict[str, Any]]) -> dict[str, Decimal]:
    return {
        one["category"]["coding"][0]["code"]: Decimal(one["amount"]["value"])
        if "amount" in one
        else Decimal(one["value"])
        for one in adjudications
    }


@pytest.mark.parametrize("path", [p for p in PASS if p.parent.name == "ExplanationOfBenefit"], ids=name)
def test_reimbursements_add_up_to_the_cent(path):
    statement = decode(path.read_bytes())
    items = [amounts(item["adjudication"]) for item in statement["item"]]
    for item, adjudicated in zip(statement["item"], items, strict=True):
        share = adjudicated["eligible"] * adjudicated["eligpercent"] / 100
        flat = sum(adjudicated.get(kind, Decimal(0)) for kind in FLAT)
        assert Decimal(item["net"]["value"]) == adjudicated["submitted"]
        assert abs(adjudicated["benefit"] - max(share - flat, Decimal(0))) <= Decimal("0.01")
        assert adjudicated["submitted"] == (
            adjudicated["benefit"] + adjudicated.get("part-amc", Decimal(0)) + adjudicated["reste-a-charge"]
        )
        assert adjudicated["submitted"] - adjudicated["eligible"] == adjudicated.get(
            "depassement", Decimal(0)
        )
    for code, total in amounts(statement["total"]).items():
        assert total == sum(item[code] for item in items)
    assert Decimal(statement["payment"]["amount"]["value"]) == amounts(statement["total"])["benefit"]


def ins_key(ins: str) -> int:
    """https://www.insee.fr: 97 minus the first 13 characters modulo 97; 2A counts as 19, 2B as 18."""
    return 97 - int(ins[:13].replace("2A", "19").replace("2B", "18")) % 97


def luhn(number: str) -> int:
    doubled = [int(digit) * (1 + place % 2) for place, digit in enumerate(reversed(number))]
    return sum(value - 9 if value > 9 else value for value in doubled) % 10


def test_national_identifiers_are_test_numbers_with_the_right_key():
    found = [
        (identifier["system"], identifier["value"])
        for resource in resources().values()
        if isinstance(resource.get("identifier"), list)
        for identifier in resource["identifier"]
    ]
    ins = [value for system, value in found if system.startswith("urn:oid:1.2.250.1.213.1.4.")]
    rpps = [value for system, value in found if system == "https://rpps.esante.gouv.fr"]
    assert {system for system, value in found if value in ins} == {"urn:oid:1.2.250.1.213.1.4.10"}
    assert ins
    assert rpps
    assert all(int(value[13:]) == ins_key(value) for value in ins)
    assert all(luhn(value) == 0 for value in rpps)
