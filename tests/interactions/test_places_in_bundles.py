"""Issues of entries tell line and column in the text of the Bundle that was sent."""

from __future__ import annotations

import pytest

JSON = """{
  "resourceType": "Bundle", "type": "TYPE",
  "entry": [
    {"resource": {"resourceType": "Patient", "active": true}, "request": {"method": "POST", "url": "Patient"}},
    {"request": {"method": "POST", "url": "Patient"},
     "resource": {"resourceType": "Patient",
       "active": true, "gender": "femme"}},
    {"resource": {"resourceType": "Patient", "birthDate": "hier"}, "request": {"method": "POST", "url": "Patient"}}
  ]
}"""
XML = """<Bundle xmlns="http://hl7.org/fhir">
  <type value="TYPE"/>
  <entry><resource><Patient><active value="true"/></Patient></resource>
    <request><method value="POST"/><url value="Patient"/></request></entry>
  <entry>
    <resource><Patient>
      <gender value="femme"/></Patient></resource>
    <request><method value="POST"/><url value="Patient"/></request></entry>
  <entry><resource><Patient><birthDate value="hier"/></Patient></resource>
    <request><method value="POST"/><url value="Patient"/></request></entry>
</Bundle>"""
PLACES = {"json": ["Line[7] Col[24]", "Line[8] Col[46]"], "xml": ["Line[7] Col[7]", "Line[9] Col[29]"]}


def sent(fhir, form, type_):
    text = (JSON if form == "json" else XML).replace("TYPE", type_)
    headers = {"content-type": f"application/fhir+{form}", "accept": "application/fhir+json"}
    return fhir.post("/", content=text.encode(), headers=headers).json()


@pytest.mark.parametrize("form", ["json", "xml"])
def test_batch(fhir, form):
    entries = sent(fhir, form, "batch")["entry"]
    issues = [i for e in entries for i in e["response"].get("outcome", {}).get("issue", ())]
    assert [entry["response"]["status"][:3] for entry in entries] == ["201", "422", "400"]
    assert [issue["location"] for issue in issues] == [[place] for place in PLACES[form]]
    assert [issue["expression"] for issue in issues] == [["Patient.gender"], ["Patient.birthDate"]]


@pytest.mark.parametrize("form", ["json", "xml"])
def test_transaction(fhir, form):
    issues = sent(fhir, form, "transaction")["issue"]
    assert [issue["location"] for issue in issues] == [[place] for place in PLACES[form]]


def test_an_entry_that_is_wrong_itself(fhir):
    text = '{"resourceType": "Bundle", "type": "batch", "entry": [\n {"request": {"method": "POST", "url": "Patient"}}]}'
    headers = {"content-type": "application/fhir+json"}
    [entry] = fhir.post("/", content=text, headers=headers).json()["entry"]
    assert entry["response"]["outcome"]["issue"][0]["location"] == ["Line[2] Col[3]"]
