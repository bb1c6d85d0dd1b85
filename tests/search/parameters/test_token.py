from __future__ import annotations

import pytest

from fhir_server.outcome import FhirError
from fhir_server.search.parameters.token import hash_of

STATUS = "http://hl7.org/fhir/observation-status"
GENDER = "http://hl7.org/fhir/administrative-gender"
LOINC = "http://loinc.org"


def _observation(*codings, text=None):
    code = {"coding": list(codings), **({"text": text} if text else {})}
    return {"resourceType": "Observation", "status": "final", "code": code}


def _patient(**more):
    return {"resourceType": "Patient", **more}


def test_a_hash_is_as_the_document_shape_says():
    assert hash_of(LOINC) == "wOdRA0bF"
    assert hash_of("") == ""


CASES = [
    # resource, parameter, values that match, values that don't
    (_observation({"system": LOINC, "code": "LA6-1"}), "code", {"LA6-1", "la6-1", f"{LOINC}|LA6-1", f"{LOINC}|la6-1", f"{LOINC}|", "x,LA6-1"},
     {"LA6", "|LA6-1", "http://x|LA6-1", "http://x|"}),
    (_observation({"code": "abc"}), "code", {"abc", "ABC", "|abc"}, {f"{LOINC}|abc", "ab"}),
    (_observation({"system": "http://unitsofmeasure.org", "code": "mL"}), "code", {"mL", "http://unitsofmeasure.org|mL"},
     {"ml", "http://unitsofmeasure.org|ml"}),
    (_observation({"system": "http://x", "code": "a|b"}), "code", {"a\\|b", "http://x|a\\|b"}, {"a", "b"}),
    (_observation({"system": "http://x", "code": "a,b$c\\d"}), "code", {"a\\,b\\$c\\\\d"}, {"a"}),
    (_observation(), "status", {"final", f"{STATUS}|final", f"{STATUS}|"}, {"Final", "amended", "http://x|final", "|final"}),
    (_observation({"system": LOINC, "code": "1"}), "code:not", {"2", f"{LOINC}|2", "|1"}, {"1", "1,2", f"{LOINC}|1"}),
    (_observation(), "code:not", {"1"}, set()),
    (_observation(), "code:missing", {"true"}, {"false"}),
    (_observation({"system": LOINC, "code": "1", "display": "Heart Rate"}, text="pulse"), "code:text", {"heart", "rate", "puls", "heart rate"}, {"ulse", "eart"}),
    (_patient(gender="male"), "gender", {"male", f"{GENDER}|male"}, {"Male", "female"}),
    (_patient(active=True), "active", {"true"}, {"false"}),
    (_patient(active=False), "active", {"false"}, {"true"}),
    (_patient(deceasedBoolean=True), "deceased", {"true"}, {"false"}),
    (_patient(deceasedDateTime="2020"), "deceased", {"true"}, {"false"}),
    (_patient(), "deceased", {"false"}, {"true"}),
    (_patient(identifier=[{"system": "http://a", "value": "X1"}]), "identifier", {"X1", "http://a|X1", "http://a|"}, {"x1", "http://a|x1", "|X1", "http://b|X1"}),
    (_patient(identifier=[{"value": "X1"}]), "identifier", {"X1", "|X1"}, {"http://a|X1"}),
    (_patient(identifier=[{"system": "http://a"}]), "identifier", {"http://a|"}, {"http://b|"}),
    (_patient(identifier=[{"type": {"coding": [{"system": "http://t", "code": "MR"}]}, "system": "http://a", "value": "1"}]),
     "identifier:of-type", {"http://t|MR|1"}, {"http://t|MR|2", "http://t|SS|1", "http://a|MR|1"}),
    (_patient(telecom=[{"system": "phone", "value": "+33 (0)1-23"}]), "phone", {"+33 01 23", "+330123"}, {"330123"}),
    (_patient(telecom=[{"system": "phone", "value": "+33 1"}]), "email", set(), {"+33 1"}),
    (_patient(telecom=[{"system": "email", "value": "A@b.org"}]), "email", {"a@B.org"}, {"b.org"}),
    (_patient(telecom=[{"system": "email", "value": "A@b.org"}]), "telecom", {"a@b.org", "email|a@b.org"}, {"phone|a@b.org"}),
    (_patient(telecom=[{"system": "phone", "value": "(03) 5555"}]), "telecom", {"phone|(03) 5555", "035555"}, {"email|035555"}),
    (_patient(meta={"tag": [{"system": "http://t", "code": "x"}]}), "_tag", {"x", "http://t|x"}, {"y"}),
    ({"resourceType": "ValueSet", "status": "draft", "version": "1.0-Beta"}, "version", {"1.0-beta", "1.0-Beta"}, {"1.0"}),
]  # fmt: skip


@pytest.mark.parametrize(("resource", "name", "found", "other"), CASES, ids=lambda v: str(v)[:70])
def test_matches(asked, resource, name, found, other):
    assert {value for value in found | other if asked.matches(resource, name, value)} == found


REFUSED = [
    ("Patient", "active", "maybe", "takes 'true' or 'false'"),
    ("Patient", "active", "http://x|true", "has no system"),
    ("Patient", "phone", "x|1", "has no system"),
    ("Patient", "telecom", "http://x|1", "may only be one of phone"),
    ("Patient", "identifier", "a|b|c", "more than one"),
    ("Patient", "identifier:of-type", "a|b", "all three parts"),
    ("Patient", "identifier:of-type", "|b|c", "all three parts"),
    ("Patient", "gender:of-type", "a|b|c", "only for identifiers"),
    ("Patient", "identifier:in", "http://vs", "are no codes"),
    ("Patient", "active:not-in", "http://vs", "are no codes"),
    ("Patient", "email:below", "x", "are no codes"),
    ("Observation", "code:below", "x", "system\\|code"),
    ("Observation", "code:above", "a|b|c", "system\\|code"),
    ("Patient", "gender:exact", "x", "modifier ':exact' is not supported"),
    ("Patient", "active:text", "x", "have no text"),
    ("Patient", "gender:missing", "maybe", "takes 'true' or 'false'"),
    ("Observation", "code", "a\\b", "a backslash must be followed by"),
]


@pytest.mark.parametrize(("type_", "name", "value", "message"), REFUSED)
def test_refused(asked, type_, name, value, message):
    with pytest.raises(FhirError, match=message) as caught:
        asked.expression(type_, name, value)
    assert caught.value.status == 400


def test_one_value_is_a_scalar_and_several_an_array_without_repetition(asked):
    one = _observation({"system": LOINC, "code": "1"}, {"system": LOINC, "code": "1"})
    two = _observation({"system": LOINC, "code": "1"}, {"system": "http://x", "code": "2"})

    assert asked.entries(one).values["code"] == f"1|{hash_of(LOINC)}"
    assert asked.entries(two).values["code"] == [f"1|{hash_of(LOINC)}", f"2|{hash_of('http://x')}"]


def test_a_union_looks_into_each_of_its_parts(asked):
    resource = {**_observation(), "component": [{"code": {"coding": [{"system": LOINC, "code": "1"}]}}]}

    assert asked.matches(resource, "combo-code", f"{LOINC}|1")
    assert not asked.matches(resource, "combo-code:not", f"{LOINC}|1")
    assert asked.matches(resource, "combo-code:not", f"{LOINC}|2")
    assert asked.matches(resource, "combo-code:missing", "false")
    assert not asked.matches(resource, "combo-code:missing", "true")
    assert "combo-code" not in asked.entries(resource).values
