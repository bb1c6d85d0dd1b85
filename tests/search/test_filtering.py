"""``_filter``: https://hl7.org/fhir/R4/search_filter.html. MongoDB and the in-memory form give the same answer."""

from __future__ import annotations

import pytest

from fhir_server.outcome import FhirError
from fhir_server.search.lookups import Open, RelatedCodes, ValueSetCodes

PATIENTS = [
    {
        "resourceType": "Patient", "id": "a", "gender": "male", "birthDate": "2014-10-10",
        "name": [{"family": "Carreño Quiñones", "given": ["Peter"]}],
        "identifier": [{"system": "urn:s", "value": "1"}, {"system": "urn:s", "value": "2"}],
    },
    {
        "resourceType": "Patient", "id": "b", "gender": "female", "birthDate": "2014",
        "name": [{"family": "Quinones", "given": ["Petra", "Ann"]}], "identifier": [{"system": "urn:s", "value": "1"}],
    },
    {"resourceType": "Patient", "id": "c", "birthDate": "1980-02-01", "name": [{"given": ["Ann, Mary"]}]},
]  # fmt: skip
OBSERVED = {
    "resourceType": "Observation",
    "status": "final",
    "code": {"coding": [{"system": "urn:c", "code": "x"}]},
}
OBSERVATIONS = [
    {**OBSERVED, "id": "p", "effectivePeriod": {"start": "2020-01-01", "end": "2020-01-31"}, "valueQuantity": {"value": 5}},
    {**OBSERVED, "id": "q", "effectiveDateTime": "2020-02-10", "valueQuantity": {"value": 8}, "subject": {"reference": "Patient/a"}},
    {**OBSERVED, "id": "r", "effectivePeriod": {"start": "2020-02-01"}, "performer": [{"reference": "Organization/o"}]},
    {**OBSERVED, "id": "s", "code": {"text": "only text"}},
]  # fmt: skip


@pytest.fixture
def filled(engine):
    engine.put(*PATIENTS, *OBSERVATIONS)
    return engine


CASES = [
    ("Patient", 'given eq "peter" and birthdate ge 2014-10-10', "a"),
    ("Patient", "given eq peter", "a"),
    ("Patient", 'given eq "Ann, Mary"', "c"),
    ("Patient", 'family eq "carreno quinones"', "a"),
    ("Patient", "family eq quinones", "b"),
    ("Patient", "family ne quinones", "a"),
    ("Patient", "family sw quin", "b"),
    ("Patient", "family co reno", "a"),
    ("Patient", "family ew nones", "ab"),
    ("Patient", "given co ann", "bc"),
    ("Patient", "gender eq male or gender eq female", "ab"),
    ("Patient", "gender ne male", "b"),
    ("Patient", "not(gender eq male)", "bc"),
    ("Patient", "not (gender eq male or gender eq female)", "c"),
    ("Patient", "gender pr true", "ab"),
    ("Patient", "gender pr false", "c"),
    ("Patient", "identifier eq urn:s|1", "ab"),
    ("Patient", "identifier ne urn:s|1", "a"),
    ("Patient", "birthdate eq 2014", "ab"),
    ("Patient", "birthdate lt 2000-01-01", "c"),
    ("Patient", "birthdate ne 2014", "c"),
    # From left to right, without precedence: (c or b) and female.
    ("Patient", "given co mary or given eq petra and gender eq female", "b"),
    ("Patient", "given co mary or (given eq petra and gender eq female)", "bc"),
    ("Patient", "_id eq a or _id eq c", "ac"),
    ("Patient", "_id ne a", "bc"),
    ("Patient", 'identifier eq "urn:s|1"', "ab"),
    ("Patient", "identifier sw 1", "ab"),
    ("Patient", "gender co MAL", "ab"),
    ("Patient", "gender ew emale", "b"),
    ("Patient", "gender sw male", "a"),
    ("Observation", "value-quantity eq 5||[lb_av] or value-quantity eq 8", "q"),
    ("Patient", "(((gender eq male)))", "a"),
    ("Observation", "code eq urn:c|x and value-quantity gt 6", "q"),
    ("Observation", "code eq x and value-quantity le 5", "p"),
    ("Observation", "date sa 2020-01-31", "qr"),
    ("Observation", "date eb 2020-02-01", "p"),
    ("Observation", "date po 2020-02", "qr"),
    ("Observation", "date po 2020-01", "p"),
    ("Observation", "date po 2020", "pqr"),
    ("Observation", "date po 2019", ""),
    ("Observation", "subject re Patient/a", "q"),
    ("Observation", "performer eq Organization/o", "r"),
    ("Observation", "performer ne Organization/o", ""),
    ("Observation", "patient re a", "q"),
    ("Observation", "code pr true", "pqr"),
]


@pytest.mark.parametrize(("type_", "text", "found"), CASES, ids=[text for _, text, _ in CASES])
def test_matches(filled, type_, text, found):
    query = filled.parse(type_, [("_filter", text), ("_count", "50")])
    ids = {row.id for page in filled.pages(query) for row in page.rows}
    assert ids == set(found)
    assert {i for i, made in filled.documents[type_].items() if query.expression.matches(made)} == ids


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("gender", "no operator with a value"),
        ("gender eq", "no operator with a value"),
        ("gender is male", "no operator"),
        ("gendre eq male", "did you mean 'gender'"),
        ("(gender eq male", "a '\\)' is missing"),
        ("gender eq male)", "left over"),
        ("gender eq male gender eq male", "left over"),
        ("and gender eq male", "no operator"),
        ("gender eq male and", "'and' is left over"),
        ("gender pr maybe", "true or false"),
        ("gender gt male", "can't compare"),
        ("birthdate co 20", "strings, tokens and URIs"),
        ("birthdate po x", "not a date"),
        ("gender po 2020", "'po' is for dates"),
        ("gender re Patient/1", "'re' is for references"),
        ("name[given eq x].family pr true", "is no reference"),
        ("link[active eq true] pr true", "comes a dot"),
        ("link[active eq true.name eq x", "a '\\]' is missing"),
        ("link[activ eq true].name eq x", "did you mean 'active'"),
        ("general-practitioner.general-practitioner.name eq x", "is no reference"),
        ("gender:not eq male", "modifiers are operators"),
        ("link.nothing eq male", "has no search parameter 'nothing'"),
        ('given eq "a b', "is left over"),
        ('given eq "\\q"', "no JSON string"),
        ("(" * 12 + "gender eq male" + ")" * 12, "nested more than"),
        (" or ".join(["gender eq male"] * 51), "more than 50"),
        ('"a" eq b', "not the name of a parameter"),
        ("gender eq )", "value should be"),
    ],
)
def test_refused(filled, text, message):
    with pytest.raises(FhirError, match=message) as caught:
        filled.parse("Patient", [("_filter", text)])
    assert caught.value.status == 400


@pytest.mark.parametrize(
    ("text", "question"),
    [
        ("code ss urn:c|x", RelatedCodes("code", "urn:c", "x", "above", "Observation", "i.code")),
        ("code sb urn:c|x", RelatedCodes("code", "urn:c", "x", "below", "Observation", "i.code")),
        (
            "code in http://example.org/vs",
            ValueSetCodes("code", "http://example.org/vs", "Observation", "i.code"),
        ),
    ],
)
def test_terminology_is_asked(filled, text, question):
    found = filled.parse("Observation", [("_filter", text)]).expression
    assert isinstance(found, Open)
    assert found.question == question
