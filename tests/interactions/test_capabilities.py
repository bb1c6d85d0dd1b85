"""capabilities: https://hl7.org/fhir/R4/http.html#capabilities. The statement is what the code does."""

import pytest


@pytest.fixture(scope="module")
def statement(fhir):
    answer = fhir.get("metadata")
    assert answer.status_code == 200
    return answer.json()


def test_the_statement_is_a_valid_resource(fhir, statement):
    stored = fhir.post("CapabilityStatement", json=statement)
    assert stored.status_code == 201, stored.text


def test_every_resource_type_of_r4_is_there(statement):
    types = [row["type"] for row in statement["rest"][0]["resource"]]
    assert len(types) == len(set(types)) == 146
    assert {"Patient", "Bundle", "Parameters", "ExplanationOfBenefit", "VisionPrescription"} <= set(types)
    assert statement["fhirVersion"] == "4.0.1"


def test_every_advertised_search_parameter_is_accepted(fhir, statement):
    sample = {
        "number": "1", "date": "2020-01-01", "string": "a", "token": "true", "reference": "x/y", "quantity": "1", "special": "45|4|1",
        "uri": "urn:a",
    }  # fmt: skip
    for row in statement["rest"][0]["resource"]:
        for parameter in row["searchParam"]:
            if not parameter["definition"].startswith("http://hl7.org/"):
                continue  # another test's own, which it may have removed in the meantime
            value = "Patient/x" if parameter["type"] == "reference" else sample.get(parameter["type"])
            if parameter["type"] == "special":
                value = "48.8|2.3|5|km"
            if value is None:
                width = 3 if parameter["name"].endswith("-coordinate") else 2
                value = "$".join(["2020"] * width)
            answer = fhir.get(row["type"], params={parameter["name"]: value, "_count": "1"})
            assert answer.status_code == 200, (row["type"], parameter, answer.text)


@pytest.mark.parametrize(
    ("mode", "status"), [("full", 200), ("normative", 200), ("terminology", 200), ("x", 400)]
)
def test_mode(fhir, mode, status):
    assert fhir.get(f"metadata?mode={mode}").status_code == status


def test_patch_formats_are_those_that_are_taken(fhir, statement):
    assert statement["patchFormat"] == [
        "application/json-patch+json",
        "application/xml-patch+xml",
        "application/fhir+json",
        "application/fhir+xml",
    ]
    codes = {i["code"] for i in statement["rest"][0]["resource"][0]["interaction"]}
    assert {"patch", "update", "history-instance"} <= codes


def test_openapi_describes_what_is_advertised(site, statement):
    document = site.get("/openapi.json").json()
    for row in statement["rest"][0]["resource"]:
        assert {"get", "post"} <= set(document["paths"][f"/fhir/{row['type']}"])
        assert {"get", "put", "patch", "delete"} <= set(document["paths"][f"/fhir/{row['type']}/{{id}}"])
    assert "/health/ready" in document["paths"]
    create = document["paths"]["/fhir/Patient"]["post"]
    formats = {"application/fhir+json", "application/fhir+xml"}
    assert create["requestBody"]["content"].keys() == create["responses"]["201"]["content"].keys() == formats
    patch = document["paths"]["/fhir/Patient/{id}"]["patch"]["requestBody"]["content"]
    assert set(patch) == set(statement["patchFormat"])


def test_openapi_lists_every_operation_that_is_advertised(site, statement):
    document = site.get("/openapi.json").json()
    rest = statement["rest"][0]
    advertised = {op["definition"] for row in (rest, *rest["resource"]) for op in row.get("operation", ())}
    listed = {
        one["description"].removeprefix("OperationDefinition ")
        for path, item in document["paths"].items()
        if "$" in path
        for one in item.values()
    }
    assert advertised == listed
    assert {"get", "post"} == set(document["paths"]["/fhir/Patient/{id}/$everything"])
    assert set(document["paths"]["/fhir/{type}/{id}/$meta-add"]) == {"post"}
    stream = document["paths"]["/fhir/Observation/$ingest"]["post"]["requestBody"]["content"]
    assert set(stream) == {"application/fhir+ndjson"}
    ids = [
        one["operationId"] for path, item in document["paths"].items() for one in item.values() if "$" in path
    ]
    assert len(ids) == len(set(ids))


def test_every_advertised_include_is_accepted_and_no_other(fhir, statement):
    rows = {row["type"]: row for row in statement["rest"][0]["resource"]}
    for type_ in ("Patient", "Observation", "PlanDefinition"):
        for value in rows[type_]["searchInclude"]:
            assert fhir.get(type_, params={"_include": value, "_count": "1"}).status_code == 200, value
        for value in rows[type_]["searchRevInclude"][:40]:
            assert fhir.get(type_, params={"_revinclude": value, "_count": "1"}).status_code == 200, value
    assert {"*", "Observation:subject", "Observation:*"} <= set(rows["Observation"]["searchInclude"])
    assert "Observation:code" not in rows["Observation"]["searchInclude"]
    assert {"Observation:subject", "Provenance:target"} <= set(rows["Patient"]["searchRevInclude"])
    assert "Encounter:location" not in rows["Patient"]["searchRevInclude"]


def test_a_client_that_has_the_statement_gets_it_once(fhir):
    first = fhir.get("metadata")
    tag = first.headers["etag"]

    again = fhir.get("metadata", headers={"If-None-Match": tag})
    assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tag)
    assert fhir.get("metadata", headers={"If-None-Match": 'W/"other"'}).content == first.content
    assert fhir.get("metadata", headers={"If-None-Match": "*"}).status_code == 304
