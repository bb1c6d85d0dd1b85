"""$validate: https://hl7.org/fhir/R4/resource-operation-validate.html."""

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
