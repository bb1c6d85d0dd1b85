from __future__ import annotations

from decimal import Decimal

import pytest

from fhir_server.outcome import FhirError

UCUM = "http://unitsofmeasure.org"


def _component(code, value, unit="mg", system="http://s", **more):
    quantity = {"value": Decimal(value), "system": UCUM, "code": unit, **more}
    return {"code": {"coding": [{"system": system, "code": code}]}, "valueQuantity": quantity}


def _observation(code, value=None, *components):
    made = {
        "resourceType": "Observation",
        "code": {"coding": [{"system": "http://s", "code": code}, {"code": "2nd"}]},
    }
    if value:
        made["valueQuantity"] = {"value": Decimal(value), "system": UCUM, "code": "mg"}
    return {**made, "component": list(components)} if components else made


PAIR = _observation("bp", None, _component("sys", "107"), _component("dia", "60"))
RELATED = {
    "resourceType": "DocumentReference",
    "relatesTo": [
        {"code": "appends", "target": {"reference": "DocumentReference/a"}},
        {"code": "replaces", "target": {"reference": "DocumentReference/b"}},
    ],
}
SEQUENCE = {
    "resourceType": "MolecularSequence",
    "referenceSeq": {"chromosome": {"coding": [{"code": "c1"}]}, "windowStart": 10, "windowEnd": 20},
    "variant": [{"start": 1, "end": 2}, {"start": 5, "end": 9}],
}
GROUP = {
    "resourceType": "Group",
    "characteristic": [
        {"code": {"coding": [{"code": "gender"}]}, "valueCodeableConcept": {"coding": [{"code": "mixed"}]}},
        {"code": {"coding": [{"code": "alive"}]}, "valueBoolean": True},
    ],
}
USED = {
    "resourceType": "ValueSet",
    "useContext": [
        {"code": {"code": "age"}, "valueRange": {"low": {"value": 2}, "high": {"value": 9}}},
        {"code": {"code": "focus"}, "valueCodeableConcept": {"coding": [{"code": "x"}]}},
    ],
}

CASES = [
    (PAIR, "component-code-value-quantity", {"sys$107", "http://s|dia$60", f"sys$gt0.1|{UCUM}|g", "sys$107||mg", "x$1,dia$60"},
     {"sys$60", "dia$107", "bp$107", "sys$gt107", "dia$61,sys$60"}),
    (_observation("b", "5"), "code-value-quantity", {"b$5", "2nd$5", f"http://s|b$le5|{UCUM}|mg", "a,b$5", "a,2nd$4,5"}, {"b$6", "a$5", "a,c$5"}),
    (PAIR, "combo-code-value-quantity", {"sys$107", "dia$60"}, {"bp$107", "sys$60"}),
    (_observation("b", "5", _component("c", "6")), "combo-code-value-quantity", {"b$5", "c$6"}, {"b$6", "c$5"}),
    (RELATED, "relationship", {"DocumentReference/a$appends", "b$replaces", "a$http://hl7.org/fhir/document-relationship-type|appends"},
     {"a$replaces", "DocumentReference/b$appends", "a$http://x|appends"}),
    (SEQUENCE, "chromosome-variant-coordinate", {"c1$1$2", "c1$gt4$le9"}, {"c1$1$9", "c2$1$2", "c1$5$2"}),
    (SEQUENCE, "chromosome-window-coordinate", {"c1$10$20", "c1$le10$ge20"}, {"c1$10$10", "c2$10$20"}),
    (GROUP, "characteristic-value", {"gender$mixed", "alive$true"}, {"gender$true", "alive$mixed"}),
    (USED, "context-type-quantity", {"age$gt5", "age$lt3"}, {"focus$gt5", "age$gt9"}),
    (USED, "context-type-value", {"focus$x"}, {"age$x"}),
    ({"resourceType": "Observation", "code": {"coding": [{"code": "a"}]}, "valueString": "Déjà vu"}, "code-value-string", {"a$deja", "a$D"}, {"a$vu", "b$deja"}),
    ({"resourceType": "Observation", "code": {"coding": [{"code": "a"}]}, "valueDateTime": "2020-05-01"}, "code-value-date", {"a$2020-05", "a$ge2020"}, {"a$2021", "b$2020"}),
    ({"resourceType": "Observation", "code": {"coding": [{"code": "a$b"}]}, "valueCodeableConcept": {"coding": [{"code": "c,d"}]}}, "code-value-concept",
     {r"a\$b$c\,d"}, {r"a$c"}),
]  # fmt: skip


@pytest.mark.parametrize(("resource", "name", "found", "other"), CASES, ids=lambda v: str(v)[:60])
def test_matches(asked, resource, name, found, other):
    assert {value for value in found | other if asked.matches(resource, name, value)} == found


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("code-value-quantity", "a", "has 1 part"),
        ("code-value-quantity", "a$1$2", r"has 3 part\(s\), but it takes 'code\$value-quantity'"),
        ("code-value-quantity", "a$", "holds|has"),
        ("code-value-quantity", "a$x", "is not a quantity"),
        ("code-value-quantity", "a$1,b", "'b' is not a quantity"),
        ("component-code-value-quantity", "$1", "has 2 part"),
        ("code-value-quantity:missing", "true", "modifier ':missing' is not supported; supported: none"),
    ],
)
def test_refused(asked, name, value, message):
    with pytest.raises(FhirError, match=message) as caught:
        asked.expression("Observation", name, value)
    assert caught.value.status == 400


def test_only_complete_elements_are_stored(asked):
    bare = {"code": {"coding": [{"code": "x"}]}}

    entries = asked.entries({"resourceType": "Observation", "component": [bare, _component("y", "1")]})

    [stored] = entries.values["component-code-value-quantity"]
    assert stored["c0"] == "y|" + stored["c0"].partition("|")[2]
    assert "component-code-value-concept" not in entries.values
    assert "code-value-quantity" not in asked.entries(_observation("a", "1")).values
