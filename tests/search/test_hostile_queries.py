"""Whatever is sent, the answer is a refusal or a query that MongoDB and the in-memory form both run."""

from __future__ import annotations

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fhir_server.outcome import FhirError
from fhir_server.search import decode_pairs
from fhir_server.search.lookups import questions

RESOURCES = [
    {"resourceType": "Observation", "id": "o", "status": "final", "code": {"text": "a|b", "coding": [{"code": "x|y", "system": "http://s"}]},
     "subject": {"reference": "Patient/p"}, "effectiveDateTime": "2020", "valueQuantity": {"value": 1, "unit": "mg"}},
    {"resourceType": "Patient", "id": "p", "name": [{"family": "A.*(b"}], "birthDate": "1970", "telecom": [{"value": "1"}]},
    {"resourceType": "ValueSet", "id": "v", "url": "http://a?b=(c", "version": "1.*", "name": "$x"},
]  # fmt: skip
MODIFIERS = [
    "",
    "not",
    "exact",
    "contains",
    "text",
    "missing",
    "below",
    "above",
    "of-type",
    "identifier",
    "Patient",
    "x",
]
VALUES = st.one_of(
    st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=12),
    st.text(
        st.sampled_from("ab|\\,$.*+?()[]{}^-_/:#'\"é\u0130 \u0301\U0001f600\n\t\r\x7f%1e<>="), max_size=12
    ),
    st.from_regex(
        r"(eq|ne|gt|lt|ge|le|sa|eb|ap)?[0-9eE.+-]{0,8}(\|[a-z:/]*\|[a-zA-Z/\[\]0-9.*{}]*)?", fullmatch=True
    ),
    st.from_regex(
        r"(ge|le|ap)?[0-9]{4}(-[0-9]{2}(-[0-9]{2}(T[0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,9})?)?Z?)?)?)?",
        fullmatch=True,
    ),
)


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_values(engine, data):
    if not engine.documents:
        engine.put(*RESOURCES)
    type_ = data.draw(st.sampled_from([r["resourceType"] for r in RESOURCES]))
    name = data.draw(st.sampled_from(sorted(engine.registry.parameters(type_).by_name)))
    modifier = data.draw(st.sampled_from(MODIFIERS))
    value = data.draw(VALUES)
    try:
        query = engine.parse(type_, [(f"{name}:{modifier}" if modifier else name, value)])
    except FhirError:
        return
    if questions(query.expression):  # a question for terminology, which is not here
        return
    found = {row.id for page in engine.pages(query) for row in page.rows}
    in_memory = {id_ for id_, made in engine.documents[type_].items() if query.expression.matches(made)}
    assert found == in_memory


@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@given(text=st.text(st.sampled_from("_sortcounidelm=&:.-%20+,|\\"), max_size=40))
def test_query_strings(engine, text):
    try:
        engine.parse("Patient", decode_pairs(text))
    except FhirError:
        return
