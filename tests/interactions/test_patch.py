"""patch: https://hl7.org/fhir/R4/http.html#patch."""

import concurrent.futures
import json
import uuid

import pytest

JSON_PATCH = {"Content-Type": "application/json-patch+json"}
FHIR = {"Content-Type": "application/fhir+json"}


@pytest.fixture
def patient(fhir):
    body = {
        "resourceType": "Patient",
        "meta": {"tag": [{"code": "t"}]},
        "identifier": [{"value": str(uuid.uuid4())}],
        "gender": "male",
        "multipleBirthInteger": 2,
    }
    return fhir.post("Patient", json=body).json()


def send(fhir, resource, operations, headers=JSON_PATCH):
    address = f"{resource['resourceType']}/{resource['id']}"
    return fhir.patch(address, content=json.dumps(operations), headers=headers)


def parameters(*parts):
    return {
        "resourceType": "Parameters",
        "parameter": [
            {"name": "operation", "part": [{"name": name, **value} for name, value in operation.items()]}
            for operation in parts
        ],
    }


REPLACE_GENDER = parameters(
    {
        "type": {"valueCode": "replace"},
        "path": {"valueString": "Patient.gender"},
        "value": {"valueCode": "female"},
    }
)


@pytest.mark.parametrize(
    ("operations", "content_type"),
    [
        ([{"op": "replace", "path": "/gender", "value": "female"}], "application/json-patch+json"),
        (
            [{"op": "replace", "path": "/gender", "value": "female"}],
            "Application/JSON-Patch+json; charset=utf-8",
        ),
        (REPLACE_GENDER, "application/fhir+json"),
        (REPLACE_GENDER, "application/json"),
    ],
)
def test_a_patch_makes_the_next_version(fhir, patient, operations, content_type):
    answer = send(fhir, patient, operations, {"Content-Type": content_type})
    assert answer.status_code == 200, answer.text
    assert answer.headers["etag"] == 'W/"2"'
    assert answer.headers["location"].endswith(f"Patient/{patient['id']}/_history/2")
    made = answer.json()
    assert made["gender"] == "female"
    assert made["meta"]["tag"] == [{"code": "t"}]
    assert made["meta"]["versionId"] == "2"
    assert made["meta"]["lastUpdated"] > patient["meta"]["lastUpdated"]
    assert fhir.get(f"Patient/{patient['id']}").json() == made
    assert fhir.get(f"Patient?_id={patient['id']}&gender=female").json()["entry"]
    newest = fhir.get(f"Patient/{patient['id']}/_history").json()["entry"][0]
    assert newest["request"] == {"method": "PATCH", "url": f"Patient/{patient['id']}"}
    assert newest["response"]["status"] == "200"


@pytest.mark.parametrize(
    ("operations", "status"),
    [
        ([{"op": "replace", "path": "/gender", "value": "none"}], 422),
        ([{"op": "add", "path": "/__class__", "value": "x"}], 422),
        ([{"op": "add", "path": "/-", "value": "x"}], 422),
        ([{"op": "add", "path": "/name", "value": []}], 422),
        ([{"op": "replace", "path": "/id", "value": "other"}], 422),
        ([{"op": "remove", "path": "/id"}], 422),
        ([{"op": "replace", "path": "/resourceType", "value": "Person"}], 422),
        ([{"op": "replace", "path": "/meta/versionId", "value": "7"}], 422),
        ([{"op": "remove", "path": "/meta/lastUpdated"}], 422),
        ([{"op": "replace", "path": "/meta", "value": {}}], 422),
        ([{"op": "replace", "path": "", "value": []}], 422),
        ([{"op": "remove", "path": ""}], 422),
        ([{"op": "test", "path": "/gender", "value": "female"}], 422),
        ([{"op": "remove", "path": "/nothing"}], 422),
        ([{"op": "add", "path": "/gender~2", "value": "x"}], 400),
        ([{"op": "bogus", "path": "/gender"}], 400),
        ([{"op": "test", "path": "/gender", "value": "male"}] * 201, 400),
        ({"op": "test", "path": "/gender", "value": "male"}, 400),
    ],
)
def test_a_json_patch_that_is_refused_changes_nothing(fhir, patient, operations, status):
    answer = send(fhir, patient, operations)
    assert answer.status_code == status, answer.text
    assert answer.json()["resourceType"] == "OperationOutcome"
    assert fhir.get(f"Patient/{patient['id']}").json() == patient


@pytest.mark.parametrize(
    ("operation", "status"),
    [
        ({"type": {"valueCode": "bogus"}, "path": {"valueString": "Patient.gender"}}, 400),
        ({"type": {"valueCode": "delete"}, "path": {"valueString": "Patient.id"}}, 422),
        ({"type": {"valueCode": "delete"}, "path": {"valueString": "Patient.meta"}}, 422),
        (
            {
                "type": {"valueCode": "replace"},
                "path": {"valueString": "Patient.meta.versionId"},
                "value": {"valueId": "9"},
            },
            422,
        ),
        (
            {
                "type": {"valueCode": "replace"},
                "path": {"valueString": "Patient.gender"},
                "value": {"valueCode": "none"},
            },
            422,
        ),
    ],
)
def test_a_fhirpath_patch_that_is_refused_changes_nothing(fhir, patient, operation, status):
    answer = send(fhir, patient, parameters(operation), FHIR)
    assert answer.status_code == status, answer.text
    assert fhir.get(f"Patient/{patient['id']}").json() == patient


@pytest.mark.parametrize(
    ("body", "content_type", "status"),
    [
        ("[]", "application/xml-patch+xml", 400),
        ("<diff><remove/></diff>", "application/xml-patch+xml", 400),
        ("[]", "text/plain", 415),
        ("[]", None, 415),
        ('{"resourceType":"Patient"}', "application/fhir+json", 400),
        ('{"resourceType":"Parameters","colour":1}', "application/fhir+json", 400),
        ("[{]", "application/json-patch+json", 400),
        ("", "application/json-patch+json", 400),
        ("5", "application/json-patch+json", 400),
        ('[{"op":"test","op":"add","path":"/a","value":1}]', "application/json-patch+json", 400),
    ],
)
def test_bodies_that_are_no_patch(fhir, patient, body, content_type, status):
    headers = {"Content-Type": content_type} if content_type else {}
    answer = fhir.patch(f"Patient/{patient['id']}", content=body, headers=headers)
    assert answer.status_code == status, answer.text
    if status == 415:
        assert "application/json-patch+json" in answer.headers["accept-patch"]


def test_unknown_and_deleted_resources(fhir, patient):
    assert fhir.patch("Patient/nobody", content="[]", headers=JSON_PATCH).status_code == 404
    fhir.delete(f"Patient/{patient['id']}")
    assert send(fhir, patient, []).status_code == 410


def test_if_match(fhir, patient):
    operations = [{"op": "replace", "path": "/gender", "value": "female"}]
    assert send(fhir, patient, operations, {**JSON_PATCH, "If-Match": 'W/"9"'}).status_code == 412
    assert send(fhir, patient, operations, {**JSON_PATCH, "If-Match": 'W/"1"'}).status_code == 200


def test_numbers_keep_their_text(fhir):
    body = (
        '{"resourceType":"Observation","status":"final","code":{"text":"x"},"valueQuantity":{"value":72.50}}'
    )
    made = fhir.post("Observation", content=body, headers=FHIR).json()
    answer = fhir.patch(
        f"Observation/{made['id']}",
        content='[{"op":"add","path":"/referenceRange","value":[{"low":{"value":1.0}}]},'
        '{"op":"test","path":"/valueQuantity/value","value":72.5}]',
        headers=JSON_PATCH,
    )
    assert b'"value":72.50' in answer.content
    assert b'"value":1.0}' in answer.content


def test_an_empty_patch_makes_a_version_too(fhir, patient):
    assert send(fhir, patient, []).headers["etag"] == 'W/"2"'
    assert send(fhir, patient, {"resourceType": "Parameters"}, FHIR).headers["etag"] == 'W/"3"'


def test_concurrent_patches_are_all_applied(fhir):
    made = fhir.post("Patient", json={"resourceType": "Patient", "name": [{"text": "0"}]}).json()

    def add(number):
        operations = [{"op": "add", "path": "/name/-", "value": {"text": str(number)}}]
        return send(fhir, made, operations).status_code

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        assert set(pool.map(add, range(1, 25))) == {200}
    names = [name["text"] for name in fhir.get(f"Patient/{made['id']}").json()["name"]]
    assert sorted(names, key=int) == [str(number) for number in range(25)]


def test_prefer_minimal(fhir, patient):
    answer = send(fhir, patient, [], {**JSON_PATCH, "Prefer": "return=minimal"})
    assert (answer.status_code, answer.content) == (200, b"")


def test_a_growing_patch_is_stopped(fhir, patient):
    operations = [{"op": "copy", "path": f"/c{n}", "from": ""} for n in range(22)]
    assert send(fhir, patient, operations).status_code == 400


def test_a_conditional_patch_changes_the_one_match(fhir, patient):
    operations = json.dumps([{"op": "add", "path": "/gender", "value": "female"}])
    value = patient["identifier"][0]["value"]

    def patch(criteria, **headers):
        return fhir.patch(f"Patient{criteria}", content=operations, headers={**JSON_PATCH, **headers})

    assert patch(f"?identifier={uuid.uuid4()}").status_code == 404
    assert patch(f"?identifier={value}", **{"If-Match": 'W/"7"'}).status_code == 412
    done = patch(f"?identifier={value}")
    assert (done.status_code, done.json()["id"], done.json()["gender"]) == (200, patient["id"], "female")
    fhir.post("Patient", json={"resourceType": "Patient", "gender": "male", "identifier": [{"value": value}]})
    assert patch(f"?identifier={value}").status_code == 412
    for criteria in ("", "?", "?_format=json", "?identifier="):
        assert patch(criteria).status_code == 412
    for criteria in ("?colour=red", "?_count=1"):
        assert patch(criteria).status_code == 400
    fhir.delete(f"Patient/{patient['id']}")
    assert patch(f"?identifier={value}").status_code == 200
