from __future__ import annotations

from typing import Any

import pytest

from fhir_server.definitions import Definitions
from fhir_server.terminology import CodeSets
from fhir_server.terminology.library import Library, Shelf

HL7 = "http://hl7.org/fhir/"
DEFINITIONS = Definitions()
CODE_SETS = CodeSets(DEFINITIONS)

TREE = {
    "url": "http://a/tree",
    "content": "complete",
    "concept": [
        {
            "code": "animal",
            "concept": [
                {"code": "cat", "display": "Cat", "property": [{"code": "legs", "valueInteger": 4}, {"code": "pet", "valueBoolean": True}]},
                {"code": "bird", "property": [{"code": "legs", "valueInteger": 2}], "concept": [{"code": "owl", "property": [{"code": "legs", "valueInteger": 2}]}]},
            ],
        },
        {"code": "bat", "property": [{"code": "parent", "valueCode": "bird"}]},
        {"code": "dragon", "property": [{"code": "kin", "valueCoding": {"system": "http://a/tree", "code": "bird"}}, {"code": "child", "valueCode": "wyvern"}]},
        {"code": "wyvern"},
    ],
}  # fmt: skip
ALL = {"animal", "cat", "bird", "owl", "bat", "dragon", "wyvern"}


class Example(Definitions):
    """R4 with some value sets and code systems more."""

    def __init__(self, value_sets: dict[str, Any]) -> None:
        super().__init__()
        self._value_sets = value_sets

    def versions_of(self, kind: str, url: str) -> dict[str, dict[str, Any]]:
        if kind == "ValueSet" and url in self._value_sets:
            return {"": {"url": url, **self._value_sets[url]}}
        if url == "http://a/tree":
            return {"": TREE}
        if url == "http://a/part":
            return {"": {**TREE, "url": url, "content": "fragment"}}
        return super().versions_of(kind, url)


def members(compose: dict[str, Any], **others: Any) -> set[str] | None:
    value_sets = {"http://a/vs": {"compose": compose}} | {f"http://a/{k}": v for k, v in others.items()}
    code_set = CodeSets(Example(value_sets)).codes("http://a/vs|1")
    if code_set is None:
        return None
    assert all(code_set.has_concept(*concept) for concept in code_set.concepts)
    return set(code_set.codes)


@pytest.mark.parametrize(
    ("property_", "operator", "value", "expected"),
    [
        ("concept", "is-a", "bird", {"bird", "owl", "bat"}),
        ("concept", "is-a", "dragon", {"dragon", "wyvern"}),
        ("concept", "is-a", "nothing", set()),
        ("concept", "descendent-of", "bird", {"owl", "bat"}),
        ("concept", "is-not-a", "animal", {"dragon", "wyvern"}),
        ("concept", "generalizes", "owl", {"owl", "bird", "animal"}),
        ("concept", "=", "cat", {"cat"}),
        ("parent", "=", "bird", {"owl", "bat"}),
        ("child", "=", "owl", {"bird"}),
        ("legs", "=", "2", {"bird", "owl"}),
        ("legs", "in", "2, 4", {"bird", "owl", "cat"}),
        ("legs", "not-in", "2,4", {"animal", "bat", "dragon", "wyvern"}),
        ("legs", "exists", "true", {"cat", "bird", "owl"}),
        ("legs", "exists", "false", {"animal", "bat", "dragon", "wyvern"}),
        ("pet", "=", "true", {"cat"}),
        ("kin", "=", "bird", {"dragon"}),
        ("display", "=", "Cat", {"cat"}),
        ("code", "regex", "[bc]at", {"bat", "cat"}),
        ("code", "regex", "a", set()),
        ("code", "regex", "(a+)+$", set()),
    ],
)
def test_filters(property_: str, operator: str, value: str, expected: set[str]) -> None:
    include = {"system": "http://a/tree", "filter": [{"property": property_, "op": operator, "value": value}]}
    assert members({"include": [include]}) == expected


TREE_ALL = {"system": "http://a/tree"}
BIRDS = {"system": "http://a/tree", "filter": [{"property": "concept", "op": "is-a", "value": "bird"}]}


@pytest.mark.parametrize(
    ("compose", "expected"),
    [
        ({"include": [TREE_ALL]}, ALL),
        ({"include": [TREE_ALL], "exclude": [BIRDS]}, ALL - {"bird", "owl", "bat"}),
        ({"include": [{"system": "http://unknown", "concept": [{"code": "x"}]}]}, {"x"}),
        ({"include": [{"system": "http://unknown"}]}, None),
        ({"include": [{"system": "http://a/part"}]}, None),
        ({"include": [{"valueSet": ["http://a/birds|2"]}]}, {"bird", "owl", "bat"}),
        ({"include": [{"valueSet": ["http://a/birds", "http://a/expanded"]}]}, {"owl"}),
        ({"include": [{"system": "http://a/tree", "concept": [{"code": "bat"}, {"code": "cat"}], "valueSet": ["http://a/birds"]}]}, {"bat"}),
        ({"include": [TREE_ALL], "exclude": [{"valueSet": ["http://a/birds"]}]}, ALL - {"bird", "owl", "bat"}),
        ({"include": [{"valueSet": ["http://a/vs"]}]}, None),
        ({"include": [{"valueSet": ["http://a/nowhere"]}]}, None),
        ({"include": [TREE_ALL], "exclude": [{"system": "http://unknown"}]}, None),
        ({"include": [{**TREE_ALL, "filter": [{"property": "concept", "op": "sounds-like", "value": "x"}]}]}, None),
    ],
)  # fmt: skip
def test_compositions(compose: dict[str, Any], expected: set[str] | None) -> None:
    expansion = {
        "contains": [
            {"system": "http://a/tree", "code": "owl"},
            {"abstract": True, "code": "bird", "contains": [{"system": "http://b", "code": "bat"}]},
        ]
    }
    assert (
        members(compose, birds={"compose": {"include": [BIRDS]}}, expanded={"expansion": expansion})
        == expected
    )


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        (HL7 + "ValueSet/observation-status|4.0.1", {"registered", "preliminary", "final", "amended", "corrected", "cancelled", "entered-in-error", "unknown"}),
        (HL7 + "ValueSet/administrative-gender", {"male", "female", "other", "unknown"}),
        (HL7 + "ValueSet/condition-clinical", {"active", "recurrence", "relapse", "inactive", "remission", "resolved"}),
    ],
)  # fmt: skip
def test_sets_of_the_core_package(url: str, expected: set[str]) -> None:
    code_set = CODE_SETS.codes(url)
    assert code_set is not None
    assert code_set.codes == expected
    assert CODE_SETS.codes(url) is code_set
    assert not code_set.has_code("zzz")
    assert not code_set.has_concept("http://elsewhere", next(iter(expected)))


def test_every_required_binding_of_r4_is_known() -> None:
    unknown = set()
    for name in DEFINITIONS.types.names():
        structure = DEFINITIONS.structure(name) if "." not in name else None
        for element in structure["snapshot"]["element"] if structure else ():
            binding = element.get("binding", {})
            if binding.get("strength") == "required" and CODE_SETS.codes(binding["valueSet"]) is None:
                unknown.add(binding["valueSet"])
    assert unknown == set()


RULES: dict[str, tuple[str, list[str], list[str]]] = {
    HL7 + "ValueSet/mimetypes": (
        "urn:ietf:bcp:13",
        ["text/plain", "application/fhir+json", "text/plain; charset=utf-8", "image/*", "application/dicom; variant=DICOM QIDO-RS", 'a/b; c="d e"', "json"],
        ["text", "", "a b/c", "text/", "/plain", "text/plain;", "*/*", "yaml"],
    ),
    HL7 + "ValueSet/currencies": ("urn:iso:std:iso:4217", ["EUR", "USD", "XXX", "FRF"], ["eur", "EURO", "", "€"]),
    HL7 + "ValueSet/ucum-units": (
        "http://unitsofmeasure.org",
        ["mg", "{score}", "10*3/uL", "mm[Hg]", "[in_i]", "kg/m2", "ug/(kg.min)", "/min", "%", "'", "{a}/{b}"],
        ["", " ", "a b", "a)", "(a", "{a", "a}", "[a", "a]", "{a b}", "µg", ")a("],
    ),
    "http://loinc.org/vs/LL379-9": ("http://loinc.org", ["LA9658-1", "LA6692-3"], ["LA1-1", ""]),
}  # fmt: skip


@pytest.mark.parametrize("url", RULES)
def test_sets_by_rule(url: str) -> None:
    system, good, bad = RULES[url]
    code_set = CODE_SETS.codes(url + "|4.0.1")
    assert code_set is not None
    assert [
        code for code in good if not (code_set.has_code(code) and code_set.has_concept(system, code))
    ] == []
    assert [code for code in bad if code_set.has_code(code)] == []
    assert not code_set.has_concept("http://elsewhere", good[0])


def test_an_unknown_value_set_is_none() -> None:
    assert CODE_SETS.codes("http://nowhere") is None


@pytest.mark.parametrize(
    ("code", "below", "found"),
    [
        ("bird", True, {"bird", "owl", "bat"}),
        ("bat", False, {"bat", "bird", "animal"}),
        ("WYVERN", False, {"wyvern", "dragon"}),
        ("unknown", True, {"unknown"}),
    ],
)
def test_codes_above_and_below(code, below, found):
    system = Library(Shelf(Example({}))).system("http://a/tree")
    code = code if system.find(code) is None else system.find(code).code
    assert (system.descendants(code) if below else system.ancestors(code)) == found


ACT = "http://terminology.hl7.org/CodeSystem/v3-ActCode"


@pytest.mark.parametrize(
    ("system", "parent", "child", "expected"),
    [
        (ACT, "IMP", "ACUTE", True),
        (ACT, "ACUTE", "IMP", False),
        (ACT, "AMB", "ACUTE", False),
        (ACT, "AMB", "AMB", True),
        (ACT, "AMB", "no code", None),
        ("urn:unknown", "a", "b", None),
        ("urn:unknown", "a", "a", True),
    ],
)
def test_subsumption(system, parent, child, expected):
    assert CODE_SETS.subsumes(system, parent, child) is expected
