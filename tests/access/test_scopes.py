"""The grammar of SMART scopes; hardening checklist L57, L59."""

from __future__ import annotations

import pytest

from fhir_server.access.scopes import Scope, described, parse

TYPES = {"Patient", "Observation", "DocumentReference"}

GRANTS = {
    "patient/Observation.rs": Scope("patient", "Observation", "rs"),
    "user/*.cruds": Scope("user", "*", "cruds"),
    "system/Patient.c": Scope("system", "Patient", "c"),
    "patient/Observation.read": Scope("patient", "Observation", "rs"),
    "patient/Observation.write": Scope("patient", "Observation", "cud"),
    "patient/*.*": Scope("patient", "*", "cruds"),
    "patient/Observation.rs?category=http://terminology.hl7.org/CodeSystem/observation-category|laboratory": Scope(
        "patient",
        "Observation",
        "rs",
        (("category", "http://terminology.hl7.org/CodeSystem/observation-category|laboratory"),),
    ),
    "patient/Observation.rs?category=a&status=final": Scope(
        "patient", "Observation", "rs", (("category", "a"), ("status", "final"))
    ),
    "patient/Observation.cu?code=a%7Cb": Scope("patient", "Observation", "cu", (("code", "a|b"),)),
}
NOTHING = [
    "patient/Observation.dus",
    "patient/Observation.",
    "patient/Observation.sr",
    "patient/Observation.rr",
    "*/*.rs",
    "Patient/Observation.rs",
    "patient/observation.rs",
    "patient/Observation.rs\n",
    "patient/Nonsense.rs",
    "patient/Observation.rs?",
    "patient/Observation.rs?category",
    "patient/Observation.rs?category=",
    "patient/Observation.rs?subject:Patient.name=x",
    "patient/Observation.rs?subject.name=x",
    "patient/Observation.rs?_include=Observation:subject",
    "patient/Observation.rs?_has:X:y:z=1",
    "patient/Observation.rs?_filter=a",
    "patient/Observation.rs?code=%ff",
    "patient/*.rs?_tag=a",
    "patient/Observation.read?category=a",
    "patient/Observation.rs?a=b?c=d",
    "patient /Observation.rs",
    "",
]


@pytest.mark.parametrize(("text", "expected"), GRANTS.items())
def test_a_scope_grants_what_it_says(text, expected):
    assert parse(text, TYPES).resources == (expected,)


@pytest.mark.parametrize("text", NOTHING)
def test_what_keeps_no_grammar_grants_nothing(text):
    assert parse(text, TYPES).resources == ()


def test_other_scopes_are_kept_apart():
    scopes = parse("openid fhirUser launch/patient offline_access patient/Patient.r nonsense.x", TYPES)
    assert scopes.others == {"openid", "fhirUser", "launch/patient", "offline_access"}
    assert described(scopes.resources) == ["patient/Patient.r"]


def test_scopes_of_a_type_are_joined():
    scopes = parse("patient/Observation.rs?category=a patient/Observation.rs?category=b", TYPES)
    assert [scope.conditions[0][1] for scope in scopes.covering("Observation", "s")] == ["a", "b"]
    assert scopes.covering("Observation", "c") == ()
    assert scopes.covering("Patient", "r") == ()


def test_a_scope_without_conditions_makes_narrower_ones_pointless():
    scopes = parse("patient/Observation.rs?category=a patient/*.rs user/Observation.r?category=b", TYPES)
    assert described(scopes.covering("Observation", "r")) == ["patient/*.rs", "user/Observation.r?category=b"]


def test_levels_are_told_apart():
    scopes = parse("system/*.rs patient/Patient.r", TYPES)
    assert described(scopes.covering("Patient", "r", ("patient", "user"))) == ["patient/Patient.r"]


def test_hostile_texts_are_parsed_at_once():
    assert parse("patient/" + "A" * 16_000 + ".rs", TYPES).resources == ()
    assert parse(" ".join(["patient/Observation.rs?a=b&"] * 10_000), TYPES).resources == ()
