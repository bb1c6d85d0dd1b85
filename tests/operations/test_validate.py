"""$validate: https://hl7.org/fhir/R4/resource-operation-validate.html."""

import json

import pytest

GOOD = {"resourceType": "Patient", "active": True}
BAD = {"resourceType": "Patient", "active": "yes", "gender": "m"}
BASE = "http://hl7.org/fhir/StructureDefinition/"


def parameters(resource=None, **values):
    rows = [{"name": "resource", "resource": resource}] if resource else []
    rows += [
        {"name": name, "valueCode" if name == "mode" else "valueUri": value} for name, value in values.items()
    ]
    return {"resourceType": "Parameters", "parameter": rows}


@pytest.fixture
def stored(fhir):
    return fhir.post("Patient", json=GOOD).json()


def issues(answer, status=200):
    assert answer.status_code == status, answer.text
    outcome = answer.json()
    assert outcome["resourceType"] == "OperationOutcome"
    return [(issue["severity"], *issue.get("expression", [""])) for issue in outcome["issue"]]


FINE = [("information", "")]


@pytest.mark.parametrize(
    "body",
    [GOOD, parameters(GOOD), parameters(GOOD, mode="create"), parameters(GOOD, profile=BASE + "Patient")],
)
def test_a_valid_resource_has_one_issue_of_severity_information(fhir, body):
    assert issues(fhir.post("Patient/$validate", json=body)) == FINE


def test_all_issues_are_listed_and_nothing_is_stored(fhir):
    before = fhir.get("Patient?_total=accurate&_count=0").json()["total"]
    assert issues(fhir.post("Patient/$validate", json=BAD)) == [
        ("error", "Patient.active"),
        ("error", "Patient.gender"),
    ]
    assert fhir.get("Patient?_total=accurate&_count=0").json()["total"] == before


@pytest.mark.parametrize(
    "query", ["mode=create", f"profile={BASE}Patient", f"profile={BASE}DomainResource|4.0.1"]
)
def test_simple_parameters_may_stand_in_the_address(fhir, query):
    assert issues(fhir.post(f"Patient/$validate?{query}", json=GOOD)) == FINE


def test_a_stored_resource_by_get(fhir, stored):
    assert issues(fhir.get(f"Patient/{stored['id']}/$validate")) == FINE
    assert fhir.get("Patient/nobody/$validate").status_code == 404


def test_another_type_than_the_address_says(fhir):
    found = issues(fhir.post("Observation/$validate", json=GOOD))
    assert found == [("error", "Patient")]


def test_update(fhir, stored):
    address = f"Patient/{stored['id']}/$validate"
    assert issues(fhir.post(address, json=parameters(stored, mode="update"))) == FINE
    assert issues(fhir.post(address, json=parameters(GOOD, mode="update"))) == [("error", "Patient.id")]
    late = fhir.post(address, json=parameters(stored, mode="update"), headers={"If-Match": 'W/"7"'})
    assert issues(late) == [("error", "")]
    assert fhir.get(f"Patient/{stored['id']}").json() == stored


def test_delete_ignores_the_content(fhir, stored):
    address = f"Patient/{stored['id']}/$validate"
    assert issues(fhir.get(address + "?mode=delete")) == FINE
    assert issues(fhir.post(address, json=parameters(BAD, mode="delete"))) == FINE
    assert fhir.get(f"Patient/{stored['id']}").status_code == 200
    fhir.delete(f"Patient/{stored['id']}")
    assert fhir.get(address).status_code == 410


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("POST", "Patient/$validate", parameters(GOOD, profile="http://example.org/none"), 422),
        ("POST", "Patient/$validate", parameters(GOOD, mode="profile"), 400),
        ("POST", "Patient/$validate", parameters(GOOD, mode="update"), 400),
        ("POST", "Patient/$validate?mode=delete", GOOD, 400),
        ("POST", "Patient/x/$validate?mode=create", GOOD, 400),
        ("POST", "Patient/x/$validate?mode=delete", None, 404),
        ("POST", "Patient/$validate", parameters(mode="create"), 400),
        ("POST", "Patient/$validate", parameters(GOOD, other="x"), 400),
        ("POST", "Patient/$validate?profile=a&profile=b", GOOD, 400),
        ("GET", "Patient/$validate", None, 400),
        ("PUT", "Patient/$validate", GOOD, 405),
        ("POST", "$validate", GOOD, 404),
        ("POST", "Nothing/$validate", GOOD, 404),
        ("POST", "Patient/$nothing", GOOD, 404),
    ],
)
def test_questions_that_can_t_be_answered(fhir, method, path, body, status):
    issues(fhir.request(method, path, **({} if body is None else {"json": body})), status)


def test_a_bare_parameters_resource(fhir):
    bare = {"resourceType": "Parameters", "parameter": [{"name": "x", "valueString": "y"}]}
    assert issues(fhir.post("Parameters/$validate", json=bare)) == FINE
    assert issues(fhir.post("Parameters/$validate", json=parameters(bare))) == FINE


def test_it_is_in_the_capability_statement(fhir):
    [row] = [r for r in fhir.get("metadata").json()["rest"][0]["resource"] if r["type"] == "Patient"]
    assert "validate" in [operation["name"] for operation in row["operation"]]


def places(outcome):
    return [
        (issue["expression"][0], *(e["valueInteger"] for e in issue["extension"]), *issue["location"])
        for issue in outcome["issue"]
    ]


def test_each_issue_has_its_line_and_column_in_the_sent_text(fhir):
    json = {"Content-Type": "application/fhir+json"}
    bare = b'{"resourceType":"Patient",\n "active":"yes",\n "gender":"m"}'
    expected = [("Patient.active", 2, 2, "Line[2] Col[2]"), ("Patient.gender", 3, 2, "Line[3] Col[2]")]
    assert places(fhir.post("Patient/$validate", content=bare, headers=json).json()) == expected
    assert places(fhir.post("Patient", content=bare, headers=json).json()) == expected
    assert (
        places(fhir.put("Patient/x", content=bare[:1] + b'"id":"x",' + bare[1:], headers=json).json())
        == expected
    )
    wrapped = b'{"resourceType":"Parameters","parameter":[\n{"name":"resource","resource":' + bare + b"}]}"
    assert [
        row[1:3] for row in places(fhir.post("Patient/$validate", content=wrapped, headers=json).json())
    ] == [(3, 2), (4, 2)]
    xml = b'<Patient xmlns="http://hl7.org/fhir">\n <active value="true"/>\n  <gender value="m"/></Patient>'
    answer = fhir.post(
        "Patient", content=xml, headers={"Content-Type": "text/xml", "Accept": "application/json"}
    )
    assert places(answer.json()) == [("Patient.gender", 3, 3, "Line[3] Col[3]")]
    cut = fhir.post("Patient", content=b'{"resourceType":\n', headers=json).json()
    assert cut["issue"][0]["location"] == ["Line[2] Col[1]"]


def test_a_vital_sign_is_judged_by_its_code_but_stored_with_warnings(fhir):
    body = {
        "resourceType": "Observation",
        "status": "final",
        "code": {"coding": [{"system": "http://loinc.org", "code": "29463-7"}]},
        "subject": {"reference": "Patient/x"},
    }
    judged = fhir.post("Observation/$validate", json=body).json()["issue"]
    assert {i["expression"][0] for i in judged if i["severity"] == "error"} >= {"Observation"}
    stored = fhir.post("Observation", json=body, headers={"Prefer": "return=OperationOutcome"})
    assert stored.status_code == 201
    assert {i["severity"] for i in stored.json()["issue"]} <= {"warning", "information"}
    assert any("bodyweight" in i["diagnostics"] for i in stored.json()["issue"])


def test_a_profile_of_the_core_package_is_judged(fhir):
    body = {
        "resourceType": "Observation",
        "status": "final",
        "code": {"coding": [{"system": "http://loinc.org", "code": "2339-0"}]},
        "subject": {"reference": "Patient/x"},
        "effectiveDateTime": "2026-01-01",
    }
    plain = fhir.post("Observation/$validate", json=body)
    assert not [i for i in plain.json()["issue"] if i["severity"] == "error"]
    judged = fhir.post("Observation/$validate", params={"profile": BASE + "vitalsigns"}, json=body)
    assert judged.status_code == 200
    found = {i["details"]["coding"][0]["code"] for i in judged.json()["issue"] if i["severity"] == "error"}
    assert any("category" in rule for rule in found), judged.text
    other = fhir.post(
        "Patient/$validate", params={"profile": BASE + "vitalsigns"}, json={"resourceType": "Patient"}
    )
    assert other.status_code == 422


def test_a_fix_comes_as_a_json_patch(fhir):
    patient = {"resourceType": "Patient", "gender": "Female", "deceasedDateTime": "2020-01-31T10:00:00"}
    outcome = fhir.post("Patient/$validate", json=patient, headers={"accept-language": "fr"}).json()
    found = {}
    for issue in outcome["issue"]:
        [extension] = [e for e in issue["extension"] if e["url"].endswith(":issue-fix")]
        found[issue["expression"][0]] = {p["url"]: p["valueString"] for p in extension["extension"]}
    assert found == {
        "Patient.gender": {"patch": '[{"op":"replace","path":"/gender","value":"female"}]'},
        "Patient.deceased.ofType(dateTime)": {
            "patch": '[{"op":"replace","path":"/deceasedDateTime","value":"2020-01-31T10:00:00Z"}]',
            "assumes": "l'heure est en UTC",
        },
    }
    [operation] = json.loads(found["Patient.gender"]["patch"])
    assert fhir.post("Patient", json={**patient, "gender": operation["value"]}).status_code == 400


def test_a_missing_type_is_that_of_the_address(fhir):
    outcome = fhir.post("Patient/$validate", json={"active": True}).json()
    assert '[{"op":"add","path":"/resourceType","value":"Patient"}]' in json.dumps(outcome).replace("\\", "")


def test_constraints_that_can_t_be_checked_are_named(fhir):
    url = "https://example.org/StructureDefinition/unchecked"
    profile = {
        "resourceType": "StructureDefinition", "id": "unchecked", "url": url, "name": "Unchecked", "status": "draft",
        "kind": "resource", "abstract": False, "type": "Patient", "derivation": "constraint",
        "baseDefinition": "http://hl7.org/fhir/StructureDefinition/Patient",
        "differential": {"element": [
            {"id": "Patient", "path": "Patient", "constraint": [{"key": "u-1", "severity": "error", "human": "x"}]},
        ]},
    }  # fmt: skip
    assert fhir.put("StructureDefinition/unchecked", json=profile).status_code in (200, 201)
    for path in ("Patient/$validate", f"Patient/$validate?profile={url}"):
        patient = {"resourceType": "Patient", "active": True}
        if "?" not in path:
            patient["meta"] = {"profile": [url]}
        issues = fhir.post(path, json=patient).json()["issue"]
        assert [(i["severity"], i["details"]["coding"][0]["code"]) for i in issues] == [("warning", "u-1")]


def test_mode_profile_only_looks_at_the_content(fhir, stored):
    profile = BASE + "Patient"
    for path in ("Patient/$validate", f"Patient/{stored['id']}/$validate"):
        answer = fhir.post(path, json=parameters(GOOD, mode="profile", profile=profile))
        assert [issue["severity"] for issue in answer.json()["issue"]] == ["information"]
