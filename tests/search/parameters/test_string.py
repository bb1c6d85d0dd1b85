from __future__ import annotations

import re

import pytest

from fhir_server.outcome import FhirError
from fhir_server.search.parameters.string import fold, literal

FOLDED = [
    ("Müller", "muller"), ("MÜLLER", "muller"), ("Mu\u0308ller", "muller"), ("O'Brien", "obrien"), ("O\u2019Brien", "obrien"),
    ("Jean-Luc", "jean luc"), ("  van  der   Berg ", "van der berg"), ("Łukasz Ørsted", "lukasz orsted"), ("Straße", "strasse"),
    ("Œuvre", "oeuvre"), ("St. John", "st john"), ("Smith, John", "smith john"), ("İstanbul", "istanbul"), ("-", "-"), ("田中", "田中"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "folded"), FOLDED)
def test_fold(text, folded):
    assert fold(text) == folded
    assert fold(folded) == folded


@pytest.mark.parametrize("text", ["a.b*c", "^$", "(a|b)", "[x]\\", "a b", "é{2}", "#-_!", "😀"])
def test_a_literal_matches_itself_only(text):
    assert re.fullmatch(literal(text), text)
    assert not re.fullmatch(literal(text), text + "x")
    assert not re.fullmatch(literal(text), "aXbbc")


def _patient(*families, **more):
    return {"resourceType": "Patient", "name": [{"family": family} for family in families], **more}


CASES = [
    (_patient("Carreno Quinones"), "family", {"carreno", "Carreno Q", "quin", "QUINONES"}, {"reno", "carreno  x", "x"}),
    (_patient("Jean-Luc"), "family", {"jean", "luc", "jean luc", "jean-luc"}, {"ean"}),
    (_patient("Müller", "Smith"), "name", {"mul", "müll", "smi"}, {"uller"}),
    (_patient("Müller"), "family:exact", {"Müller"}, {"Muller", "müller", "Mü"}),
    (_patient("Smith"), "family:contains", {"mit", "SMI", "ith"}, {"smythe"}),
    (_patient("a.c Smith"), "family", {"a.c", "ac"}, {"abc", ".", "a|c"}),
    (_patient("Smith"), "family:missing", {"false"}, {"true"}),
    ({"resourceType": "Patient", "address": [{"line": ["137 Nowhere Street"], "city": "Erewhon"}]}, "address", {"137 nowhere", "street", "erew"}, {"where"}),
    ({"resourceType": "Observation", "valueCodeableConcept": {"text": "Very bad"}}, "value-string", {"very"}, {"bad"}),
]  # fmt: skip


@pytest.mark.parametrize(("resource", "name", "found", "other"), CASES, ids=lambda v: str(v)[:60])
def test_matches(asked, resource, name, found, other):
    assert {value for value in found | other if asked.matches(resource, name, value)} == found


def test_entries_hold_suffixes_that_begin_at_a_word(asked):
    entries = asked.entries(_patient("a b c d e f g h i"))

    assert entries.values["family"] == [
        "a b c d e f g h i", "b c d e f g h i", "c d e f g h i", "d e f g h i", "e f g h i", "f g h i", "g h i",
    ]  # fmt: skip
    assert entries.raw["family"] == "a b c d e f g h i"
    assert entries.raw["family-whole"] == "a b c d e f g h i"


def test_one_word_needs_no_second_copy(asked):
    raw = asked.entries(_patient("Smith")).raw
    assert {name: raw[name] for name in raw if name != "_content"} == {"family": "Smith", "name": "Smith"}


def test_text_is_not_a_modifier_of_strings(asked):
    with pytest.raises(FhirError, match="modifier ':text' is not supported"):
        asked.expression("Patient", "family:text", "abc")
