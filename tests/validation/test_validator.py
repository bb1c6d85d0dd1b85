from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fhir_server.datatypes.json_format import decode
from fhir_server.definitions import Definitions
from fhir_server.outcome import Issue
from fhir_server.terminology import CodeSets
from fhir_server.validation import Validator

HERE = Path(__file__).parent
DEFINITIONS = Definitions()
CODE_SETS = CodeSets(DEFINITIONS)
VALIDATOR = Validator(DEFINITIONS, CODE_SETS)
CASES = json.loads((HERE / "cases.json").read_text())
#: What the reference implementation refuses, but we store: errors of a verdict, warnings of a write.
JUDGED = json.loads((HERE / "judged.json").read_text())


@pytest.mark.parametrize("case", CASES, ids=[c["name"] for c in CASES])
def test_case(case: dict[str, Any]) -> None:
    resource = decode(json.dumps(case["resource"]).encode())
    found = [[i.severity, i.code, i.expression, i.rule] for i in VALIDATOR.validate(resource)]
    assert sorted(found) == sorted(case["issues"])


@pytest.mark.parametrize("case", JUDGED, ids=[c["name"] for c in JUDGED])
def test_judged(case: dict[str, Any]) -> None:
    resource = decode(json.dumps(case["resource"]).encode())
    errors = [[i.expression, i.rule] for i in VALIDATOR.validate(resource) if i.severity == "error"]
    assert errors[:1] == case["errors"]
    lenient = VALIDATOR.validate(resource, lenient=True)
    assert [i for i in lenient if i.severity == "error"] == []
    warnings = [[i.expression, i.rule] for i in lenient if i.severity == "warning"]
    assert all(error in warnings for error in case["errors"])


@pytest.mark.parametrize(
    ("resource", "diagnostics"),
    [
        ({}, "The value must be a resource: an object with its resourceType."),
        ({"id": "1"}, "The resource has no resourceType: name its type."),
        ({"resourceType": ["Patient"]}, "The resourceType must be the name of a resource type of R4."),
        ({"resourceType": "DomainResource"}, "The resourceType must be the name of a resource type of R4."),
        ({"resourceType": "Patient.contact"}, "The resourceType must be the name of a resource type of R4."),
        ({"resourceType": "Patient", "birthdate": "1"}, 'Patient has no property "birthdate": did you mean "birthDate"?'),
        ({"resourceType": "Patient", "qqqqqq": "1"}, 'Patient has no property "qqqqqq": remove it or move it to an extension.'),
        ({"resourceType": "Patient", "Jane Doe": "1"}, "Patient has a property whose name isn't FHIR's: remove it."),
        (
            {"resourceType": "Patient", "deceased": True},
            'Patient has no property "deceased": the name of the value\'s type belongs to it, such as deceasedBoolean or deceasedDateTime.',
        ),
        ({"resourceType": "Patient", "gender": "f"}, "The code must be one of: female, male, other, unknown."),
        ({"resourceType": "Patient", "active": "yes"}, "The value must be a boolean (boolean), not a string."),
        ({"resourceType": "Patient", "name": {"family": "X"}}, "The value must be an array: put it in [ ] (name may repeat)."),
        ({"resourceType": "Patient", "deceasedBoolean": True, "deceasedDateTime": "2020"}, "There must be only one deceased[x], not deceasedBoolean and deceasedDateTime: keep one."),
    ],
)  # fmt: skip
def test_diagnostics(resource: dict[str, Any], diagnostics: str) -> None:
    assert [i.diagnostics for i in VALIDATOR.validate(resource)] == [diagnostics]


def test_diagnostics_never_repeat_values() -> None:
    secret = "Jane  Doe"
    values = [
        secret,
        [secret],
        {"family": secret},
        {"reference": secret},
        [{"value": secret}],
        [{"given": secret}],
        [{"system": secret}],
    ]
    for key in DEFINITIONS.types.type("Patient").json_elements:
        for value in values:
            for issue in VALIDATOR.validate({"resourceType": "Patient", key: value}):
                assert secret not in str(issue)


def test_a_hundred_errors_are_listed_and_one_tells_of_the_rest() -> None:
    issues = VALIDATOR.validate({"resourceType": "Patient", "name": [{"given": [1]}] * 9_000})
    assert len(issues) == 101
    assert issues[99].expression == "Patient.name[99].given[0]"
    assert issues[100] == Issue(
        "error",
        "incomplete",
        "More issues were not listed: these are the first 100 errors.",
        "Patient",
        "incomplete",
    )


def test_warnings_never_hide_an_error() -> None:
    definition = {
        "resourceType": "NamingSystem",
        "name": "a b",
        "status": "draft",
        "kind": "root",
        "date": "2020",
        "uniqueId": [{"type": "oid", "value": "1"}],
    }
    entries = [{"fullUrl": f"http://a/{i}", "resource": definition} for i in range(200)]
    bundle = {"resourceType": "Bundle", "type": "collection", "entry": entries}
    issues = VALIDATOR.validate(bundle)
    assert [i.severity for i in issues] == ["warning"] * 50 + ["information"]
    bundle["entry"] = [
        *entries,
        {"fullUrl": "http://a/x", "resource": {"resourceType": "Patient", "active": 1}},
    ]
    assert [i.rule for i in VALIDATOR.validate(bundle) if i.severity == "error"] == ["type@Patient.active"]


@pytest.mark.parametrize(
    ("resource", "rule"),
    [
        ({"resourceType": "Patient", "name": [{"family": "x"}] * 10_001}, "cardinality@Patient.name"),
        (
            {"resourceType": "Patient", "language": "fr", "name": [{"given": ["x"] * 10_001}]},
            "cardinality@HumanName.given",
        ),
        ({"resourceType": "Patient", "name": [{"family": "x" * 1_048_577}]}, "primitive@HumanName.family"),
    ],
)
def test_limits(resource: dict[str, Any], rule: str) -> None:
    assert [i.rule for i in VALIDATOR.validate(resource)] == [rule]


def test_large_groups_are_allowed() -> None:
    member = {"entity": {"reference": "Patient/1"}}
    assert (
        VALIDATOR.validate(
            {"resourceType": "Group", "type": "person", "actual": True, "member": [member] * 20_000}
        )
        == ()
    )


def test_nesting_that_did_not_come_through_the_decoder_is_refused() -> None:
    extension: dict[str, Any] = {"url": "http://a", "valueCode": "x"}
    for _ in range(2_000):
        extension = {"url": "http://a", "extension": [extension]}
    [issue] = VALIDATOR.validate({"resourceType": "Patient", "extension": [extension]})
    assert (issue.code, issue.rule) == ("structure", "depth")


def test_rules_can_be_made_warnings() -> None:
    lenient = Validator(DEFINITIONS, CODE_SETS, as_warnings=frozenset({"txt-2"}))
    empty = {
        "resourceType": "Patient",
        "text": {"status": "empty", "div": '<div xmlns="http://www.w3.org/1999/xhtml"/>'},
    }
    assert [(i.severity, i.rule) for i in lenient.validate(empty)] == [("warning", "txt-2")]
    assert [(i.severity, i.rule) for i in VALIDATOR.validate(empty)] == [("error", "txt-2")]


def test_best_practices_are_evaluated_on_demand() -> None:
    strict = Validator(DEFINITIONS, CODE_SETS, best_practices=True)
    assert [(i.severity, i.rule) for i in strict.validate({"resourceType": "Patient", "active": True})] == [
        ("warning", "dom-6")
    ]
    assert VALIDATOR.validate({"resourceType": "Patient", "active": True}) == ()
    assert {n.key for n in strict.not_evaluated} == set()


def test_everything_compiles_and_what_is_not_checked_is_listed() -> None:
    validator = Validator(DEFINITIONS, CODE_SETS)
    validator.preload(DEFINITIONS.types.resource_types)
    assert validator.unbound == ()
    listed = {f"{n.key}@{n.path}": n.reason for n in validator.not_evaluated if n.key != "dom-6"}
    assert listed == json.loads((HERE / "not_evaluated.json").read_text())
    assert {n.path for n in validator.not_evaluated if n.key == "dom-6"} == set(
        DEFINITIONS.types.resource_types
    ) - {"Binary", "Bundle", "Parameters"}


@pytest.mark.parametrize(
    "name", ["Period", "Reference", "Extension", "Patient.contact", "Bundle.entry", "Basic"]
)
def test_generated_code(name: str) -> None:
    path = name if "." in name else ""
    assert (
        VALIDATOR.source(name.partition(".")[0], path) == (HERE / "generated" / f"{name}.py.txt").read_text()
    )


def test_names_from_definitions_do_not_become_code() -> None:
    hostile = "\"]; raise SystemExit  #\n'\\"

    class Hostile(Definitions):
        def structure(self, url: str) -> dict[str, Any] | None:
            if url != "Basic":
                return super().structure(url)
            root = {"id": "Basic", "path": "Basic", "min": 0, "max": "*", "constraint": [
                {"key": hostile, "severity": "error", "human": hostile, "expression": f"`{hostile}`.exists()"},
                {"key": "ok-1", "severity": "error", "human": hostile, "expression": "b.exists() or b.hasValue()"},
            ]}  # fmt: skip
            child = {
                "id": "Basic.b",
                "path": f"Basic.{hostile.replace('.', '')}",
                "min": 1,
                "max": "1",
                "type": [{"code": "string"}],
            }
            other = {"id": "Basic.c", "path": "Basic.b", "min": 0, "max": "1", "type": [{"code": "string"}]}
            return {"url": hostile, "kind": "resource", "snapshot": {"element": [root, child, other]}}

    issues = Validator(Hostile(), CODE_SETS).validate({"resourceType": "Basic", hostile: "x", "b": "y"})
    assert all(i.rule != "depth" for i in issues)


RESOURCES = json.loads((HERE / "resources.json").read_text())
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.sampled_from(["", "x", "#", "Patient/1", "2020", "transaction"]),
    lambda child: (
        st.lists(child, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "id",
                    "extension",
                    "url",
                    "resourceType",
                    "type",
                    "reference",
                    "contained",
                    "valueCode",
                    "_value",
                ]
            ),
            child,
            max_size=4,
        )
    ),
    max_leaves=8,
)


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(RESOURCES), st.data(), JSON)
def test_whatever_stands_anywhere_gives_issues_and_no_exception(
    resource: dict[str, Any], data: st.DataObject, value: object
) -> None:
    def replaced(node: Any, depth: int) -> Any:
        if not isinstance(node, dict | list) or not node or (depth and data.draw(st.integers(0, 3)) == 0):
            return value
        if isinstance(node, list):
            index = data.draw(st.integers(0, len(node) - 1))
            return [*node[:index], replaced(node[index], depth + 1), *node[index + 1 :]]
        key = data.draw(st.sampled_from(sorted(node)))
        return {**node, key: replaced(node[key], depth + 1)}

    changed = replaced(resource, 0)
    for issue in VALIDATOR.validate(changed):
        assert issue.severity in {"error", "warning", "information"}
        assert issue.diagnostics
        assert issue.rule


def test_a_code_outside_a_maximum_value_set_is_an_error_of_a_verdict_and_a_warning_of_a_write():
    spoken = {"coding": [{"system": "http://example.org/languages", "code": "x"}]}
    resource = {"resourceType": "Patient", "communication": [{"language": spoken}]}
    found = [
        [
            issue.severity
            for issue in VALIDATOR.validate(resource, lenient=lenient)
            if "binding-max" in issue.rule
        ]
        for lenient in (False, True)
    ]
    assert found == [["error"], ["warning"]]
