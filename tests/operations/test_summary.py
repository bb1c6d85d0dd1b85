"""Patient/$summary over HTTP: the sections of an International Patient Summary."""

from __future__ import annotations

import itertools

import pytest

_numbers = itertools.count(1)
TERMS = "http://terminology.hl7.org/CodeSystem/"
MANDATORY = {"11450-4", "48765-2", "10160-0", "11369-6", "30954-2", "47519-4", "42348-3"}


def coded(system, code):
    return {"coding": [{"system": TERMS + system, "code": code}]}


def category(code):
    return [coded("observation-category", code)]


@pytest.fixture
def patient(fhir):
    """The id of a patient with something in each section, and with what must not be in any."""
    id_ = f"su{next(_numbers)}"
    subject = {"reference": f"Patient/{id_}"}

    def put(name, type_, **content):
        body = {"resourceType": type_, "id": f"{id_}-{name}", **content}
        answer = fhir.put(f"{type_}/{body['id']}", json=body)
        assert answer.status_code == 201, answer.text

    system = f"urn:summary:{id_}"
    fhir.put(
        f"Patient/{id_}",
        json={"resourceType": "Patient", "id": id_, "identifier": [{"system": system, "value": "1"}],
              "name": [{"family": "Rivi", "given": ["Ada"]}], "birthDate": "1980-02-03"},
    ).raise_for_status()  # fmt: skip
    for name, status in (("asthma", "active"), ("pneumonia", "resolved")):
        put(name, "Condition", subject=subject, code={"text": f"{name} <b>&</b>"},
            clinicalStatus=coded("condition-clinical", status))  # fmt: skip
    put(
        "refuted",
        "Condition",
        subject=subject,
        code={"text": "x"},
        verificationStatus=coded("condition-ver-status", "refuted"),
    )
    put("nuts", "AllergyIntolerance", patient=subject, code={"text": "nuts"}, criticality="high",
        clinicalStatus=coded("allergyintolerance-clinical", "active"))  # fmt: skip
    put("substance", "Medication", code={"text": "salbutamol"})
    put("statement", "MedicationStatement", subject=subject, status="active", dosage=[{"text": "two puffs"}],
        medicationReference={"reference": f"Medication/{id_}-substance"})  # fmt: skip
    put("inside", "MedicationRequest", subject=subject, status="active", intent="order",
        contained=[{"resourceType": "Medication", "id": "m", "code": {"text": "ibuprofen"}}],
        medicationReference={"reference": "#m"})  # fmt: skip
    put(
        "stopped",
        "MedicationStatement",
        subject=subject,
        status="stopped",
        medicationCodeableConcept={"text": "y"},
    )
    put(
        "shot",
        "Immunization",
        patient=subject,
        status="completed",
        vaccineCode={"text": "MMR"},
        occurrenceDateTime="1981",
    )
    for year in (2020, 2021):
        put(f"sodium{year}", "Observation", subject=subject, status="final", category=category("laboratory"),
            code={"coding": [{"system": "http://loinc.org", "code": "2951-2"}], "text": "Sodium"},
            effectiveDateTime=f"{year}-01-01",
            valueQuantity={"value": 140, "unit": "mmol/L", "system": "http://unitsofmeasure.org", "code": "mmol/L"})  # fmt: skip
    put("removal", "Procedure", subject=subject, status="completed", code={"text": "appendectomy"})
    put("will", "Consent", patient=subject, status="active", scope=coded("consentscope", "adr"),
        category=[{"text": "living will"}], policyRule={"text": "own"})  # fmt: skip
    return id_


def summary(answer):
    assert answer.status_code == 200, answer.text
    bundle = answer.json()
    assert bundle["type"] == "document"
    found = {s["code"]["coding"][0]["code"]: s for s in bundle["entry"][0]["resource"]["section"]}
    return bundle, found


def names(id_, section):
    return {row["reference"].rpartition("/")[2].removeprefix(f"{id_}-") for row in section.get("entry", ())}


def test_the_sections(fhir, patient):
    bundle, found = summary(fhir.get(f"Patient/{patient}/$summary", headers={"Accept-Language": "en"}))
    assert set(found) == MANDATORY | {"11348-0"}
    assert {code: names(patient, section) for code, section in found.items()} == {
        "11450-4": {"asthma"}, "48765-2": {"nuts"}, "10160-0": {"statement", "inside"}, "11369-6": {"shot"},
        "30954-2": {"sodium2021"}, "47519-4": {"removal"}, "42348-3": {"will"}, "11348-0": {"pneumonia"},
    }  # fmt: skip
    assert "asthma &lt;b&gt;&amp;&lt;/b&gt;" in found["11450-4"]["text"]["div"]
    assert "salbutamol" in found["10160-0"]["text"]["div"]
    assert "ibuprofen" in found["10160-0"]["text"]["div"]
    assert "two puffs" in found["10160-0"]["text"]["div"]
    assert "140 mmol/L" in found["30954-2"]["text"]["div"]
    ids = {entry["resource"].get("id", "").removeprefix(f"{patient}-") for entry in bundle["entry"]}
    assert "substance" in ids
    assert not ids & {"refuted", "stopped", "sodium2020"}
    composition = bundle["entry"][0]["resource"]
    assert composition["subject"]["reference"] == bundle["entry"][1]["fullUrl"]
    assert composition["author"][0]["reference"] == bundle["entry"][2]["fullUrl"]
    assert composition["meta"]["profile"] == [
        "http://hl7.org/fhir/uv/ips/StructureDefinition/Composition-uv-ips"
    ]


def test_it_is_valid(fhir, patient):
    bundle = fhir.get(f"Patient/{patient}/$summary").json()
    issues = fhir.post("Bundle/$validate", json=bundle).json()["issue"]
    assert [issue for issue in issues if issue["severity"] in ("error", "fatal")] == []


def test_an_empty_space_says_so(fhir):
    id_ = f"su{next(_numbers)}"
    fhir.put(f"Patient/{id_}", json={"resourceType": "Patient", "id": id_}).raise_for_status()
    answer = fhir.get(f"Patient/{id_}/$summary", headers={"Accept-Language": "fr-FR"})
    bundle, found = summary(answer)
    assert set(found) == MANDATORY
    for section in found.values():
        assert section["emptyReason"]["coding"][0]["code"] == "unavailable"
        assert "pas d'information" in section["emptyReason"]["text"]
        assert "entry" not in section
    assert bundle["entry"][0]["resource"]["title"] == "Synthèse médicale internationale"


def test_by_identifier_and_post(fhir, patient):
    system = f"urn:summary:{patient}"
    bundle, _ = summary(fhir.get("Patient/$summary", params={"identifier": f"{system}|1"}))
    assert bundle["entry"][1]["resource"]["id"] == patient
    parameters = {
        "resourceType": "Parameters",
        "parameter": [{"name": "identifier", "valueString": f"{system}|1"}],
    }
    xml = fhir.post("Patient/$summary", json=parameters, headers={"Accept": "application/fhir+xml"})
    assert '<code value="60591-5"/>' in xml.text


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("Patient/nobody/$summary", 404, "not-found"),
        ("Patient/$summary", 400, "required"),
        ("Patient/$summary?identifier=urn:x|nobody", 404, "not-found"),
        ("Patient/{0}/$summary?identifier=1", 400, "invalid"),
        ("Patient/{0}/$summary?graph=urn:x", 400, "not-supported"),
        ("Patient/{0}/$summary?profile=urn:x", 400, "not-supported"),
    ],
)
def test_what_is_refused(fhir, patient, path, status, code):
    answer = fhir.get(path.format(patient))
    assert (answer.status_code, answer.json()["issue"][0]["code"]) == (status, code)
