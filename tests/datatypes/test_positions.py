"""Line and column of issues in the sender's text."""

from __future__ import annotations

import pytest

from fhir_server.datatypes.json_format import decode
from fhir_server.datatypes.positions import deeper_than, located, repeated_name, steps
from fhir_server.outcome import FhirError, Issue

JSON = """{
  "resourceType": "Observation",
  "status": "x", "code": {"text": "é\\"{"}, "contained": [{"resourceType": "Patient",
    "name": [{"given": ["a", null, "c"], "_given": [null,
      {"extension": [{"url": "u"}]}]}]}],
  "component" : [ {"a": 1},
    {"valueQuantity": {"value": 1}, "code": 2}
  ],
  "effectiveDateTime": "2020", "_effectiveDateTime": {"id":
     " "}
}
"""
XML = """<?xml version="1.0"?>
<!-- <status/> -->
<Observation xmlns="http://hl7.org/fhir">
  <contained><Patient><name><given value="é"/><given><extension url="u"/></given></name></Patient></contained>
  <status value="x"/><code>
    <text value="a"/></code>
  <effectiveDateTime id=" " value="2020"/>
  <component/>
  <component><code/>
    <valueQuantity><value value="1"/></valueQuantity></component>
</Observation>
"""

PLACES = {
    "Observation": ((1, 1), (3, 1)),
    "Observation.status": ((3, 3), (5, 3)),
    "resourceType": ((2, 3), (3, 1)),
    "Observation.code.text": ((3, 27), (6, 5)),
    "Observation.subject": ((1, 1), (3, 1)),
    "Observation.code.coding[0].system": ((3, 18), (5, 22)),
    "Observation.contained[0]": ((3, 58), (4, 3)),
    "Observation.contained[0].name[0].given": ((4, 15), (4, 29)),
    "Observation.contained[0].name[0].given[0]": ((4, 25), (4, 29)),
    "Observation.contained[0].name[0].given[1]": ((4, 30), (4, 47)),
    "Observation.contained[0].name[0].given[1].extension[0].url": ((5, 23), (4, 54)),
    "Observation.component[1].value.ofType(Quantity).value": ((7, 24), (10, 20)),
    "Observation.component[1].value": ((7, 6), (10, 5)),
    "Observation.component[7].code": ((1, 1), (3, 1)),
    "Observation.effective.ofType(dateTime).id": ((9, 55), (7, 3)),
}


@pytest.mark.parametrize("expression", PLACES)
@pytest.mark.parametrize(("form", "text"), [(0, JSON), (1, XML)])
def test_one_place(expression, form, text):
    [issue] = located([Issue("error", "value", "x", expression)], text.encode())
    assert (issue.line, issue.column) == PLACES[expression][form]


@pytest.mark.parametrize(("form", "text"), [(0, JSON), (1, XML)])
def test_many_places_at_once(form, text):
    issues = located([Issue("error", "value", "x", e) for e in PLACES], text.encode())
    assert [(i.line, i.column) for i in issues] == [place[form] for place in PLACES.values()]


def test_a_byte_order_mark_is_no_column():
    [issue] = located([Issue("error", "value", "x", "Patient.id")], b'\xef\xbb\xbf{"id":1}')
    assert (issue.line, issue.column) == (1, 2)


def test_within():
    data = b'{"resourceType":"Parameters","parameter":[{"name":"m"},\n{"resource":{"active":1}}]}'
    [issue] = located(
        [Issue("error", "value", "x", "Patient.active")], data, "Parameters.parameter[1].resource"
    )
    assert (issue.line, issue.column) == (2, 14)


@pytest.mark.parametrize(
    "data", [b"", b"_id=1", b"[]", b'{"a":', b"<Patient><", b'{"a":1,"a":2}', b"{" * 100_000]
)
def test_texts_without_places(data):
    issue = Issue("error", "value", "x", "Patient.a.b")
    assert located([issue], data)[0].diagnostics == "x"


def test_issues_that_have_a_line_or_no_expression_stay():
    issues = (Issue("error", "value", "x", "Patient.id", line=7, column=8), Issue("error", "value", "x"))
    assert located(issues, b'{"id":1}') == issues


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("Patient", []),
        ("", []),
        ("Patient.name[0].given[1]", [("name", 0), ("given", 1)]),
        ("Observation.value.ofType(Quantity).code", [("valueQuantity", None), ("code", None)]),
        ("Observation.value.ofType(string)", [("valueString", None)]),
        ("Patient.name.where(use = 'x').given", [("name", None)]),
    ],
)
def test_steps(expression, expected):
    assert steps(expression) == expected


@pytest.mark.parametrize(
    ("text", "levels", "offset"),
    [('{"a":[{}]}', 2, 6), ('{"a":"[[[","b":[]}', 1, 15), ('{"a\\"{":[1]}', 1, 8), ('{"a":[1]}', 2, 9)],
)
def test_deeper_than(text, levels, offset):
    assert deeper_than(text.encode(), levels) == offset


@pytest.mark.parametrize(
    ("text", "offset"),
    [
        ('{"a":1,"a":2}', 7),
        ('{"a":{"a":1},"b":["a","a",{"a":1}],\n"a" : 2}', 36),
        ('{"a":1,"\\u0061":2}', 7),
        ('{"a":"a","b":"a"}', 17),
    ],
)
def test_repeated_name(text, offset):
    assert repeated_name(text.encode()) == offset


def test_what_json_format_refuses_has_its_place():
    with pytest.raises(FhirError) as refused:
        decode(b'{"a":1,\n "b":{"c":1,"c":2}}')
    assert [(i.line, i.column) for i in refused.value.issues] == [(2, 13)]
    with pytest.raises(FhirError) as refused:
        decode(b'{"a":' + b"[" * 64 + b"]" * 64 + b"}")
    assert [(i.line, i.column) for i in refused.value.issues] == [(1, 69)]
    with pytest.raises(FhirError) as refused:
        decode(b'{"a":' * 100_000)
    assert refused.value.issues[0].column
