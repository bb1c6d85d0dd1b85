"""Hostile and broken requests: the right 4xx with an OperationOutcome, never a 500, and the server goes on."""

import pytest

JSON = {"Content-Type": "application/fhir+json"}


def deep(levels):
    return b'{"resourceType":"Basic","x":' + b'{"x":' * levels + b"1" + b"}" * levels + b"}"


BODIES = {
    "empty": b"",
    "white space": b" \n",
    "truncated": b'{"resourceType":"Patient","name":[{"fam',
    "not json": b"<Patient/>",
    "an array": b"[]",
    "a string": b'"Patient"',
    "duplicate keys": b'{"resourceType":"Patient","active":true,"active":false}',
    "duplicate keys in depth": b'{"resourceType":"Patient","name":[{"family":"A","family" : "B"}]}',
    "duplicate resourceType": b'{"resourceType":"Patient","resourceType":"Patient"}',
    "nan": b'{"resourceType":"Observation","status":"final","code":{"text":"x"},"valueQuantity":{"value":NaN}}',
    "infinity": b'{"resourceType":"Patient","multipleBirthInteger":Infinity}',
    "lone surrogate": b'{"resourceType":"Patient","name":[{"family":"\\ud800"}]}',
    "bad utf-8": b'{"resourceType":"Patient","name":[{"family":"\xff\xfe"}]}',
    "nul": b'{"resourceType":"Patient","name":[{"family":"a\\u0000b"}]}',
    "raw control character": b'{"resourceType":"Patient","name":[{"family":"a\x01b"}]}',
    "depth 500": deep(500),
    "depth 100000": deep(100_000),
    "integer of 31 digits": b'{"resourceType":"Patient","multipleBirthInteger":1234567890123456789012345678901}',
    "number of 100000 digits": b'{"resourceType":"Patient","multipleBirthInteger":' + b"1" * 100_000 + b"}",
    "string of 10 MB": b'{"resourceType":"Patient","name":[{"family":"' + b"a" * 10_000_000 + b'"}]}',
    "no resourceType": b'{"active":true}',
    "resourceType not a string": b'{"resourceType":["Patient"]}',
    "another type": b'{"resourceType":"Observation","status":"final","code":{"text":"x"}}',
    "null": b'{"resourceType":"Patient","active":null}',
    "meta not an object": b'{"resourceType":"Patient","meta":[]}',
    "meta a string": b'{"resourceType":"Patient","meta":"x"}',
    "id a number": b'{"resourceType":"Patient","id":5}',
    "dollar and dot keys": b'{"resourceType":"Patient","$set":{"a.b":1}}',
    "empty key": b'{"resourceType":"Patient","":1}',
}


@pytest.mark.parametrize("name", BODIES)
@pytest.mark.parametrize("method", ["POST", "PUT"])
def test_a_broken_body_is_a_400_with_an_outcome(fhir, name, method):
    path = "Patient" if method == "POST" else "Patient/bad-input"
    answer = fhir.request(method, path, content=BODIES[name], headers=JSON)
    assert answer.status_code == 400, answer.text[:500]
    outcome = answer.json()
    assert outcome["resourceType"] == "OperationOutcome"
    assert outcome["issue"][0]["diagnostics"]
    assert "Traceback" not in answer.text
    assert fhir.get("Patient/bad-input").status_code == 404


def test_a_byte_order_mark_is_no_defect(fhir):
    assert (
        fhir.post("Patient", content=b'\xef\xbb\xbf{"resourceType":"Patient"}', headers=JSON).status_code
        == 201
    )


def test_a_body_over_the_limit_is_413(fhir):
    answer = fhir.post("Patient", content=b" " * 16_000_001, headers=JSON)
    assert answer.status_code == 413
    assert answer.json()["issue"][0]["code"] == "too-long"


def test_a_body_over_the_limit_without_length_is_413(fhir):
    def chunks():
        for _ in range(17):
            yield b" " * 1_000_000

    assert fhir.post("Patient", content=chunks(), headers=JSON).status_code == 413


@pytest.mark.parametrize(
    ("content_type", "status"),
    [
        ("application/fhir+json", 201),
        ("application/fhir+json; charset=utf-8", 201),
        ("application/fhir+json; fhirVersion=4.0", 201),
        ("application/json", 201),
        ("application/fhir+json; fhirVersion=5.0", 415),
        ("application/fhir+xml", 415),
        ("text/plain", 415),
        ("application/x-www-form-urlencoded", 415),
        ("", 415),
    ],
)
def test_content_types(fhir, content_type, status):
    answer = fhir.post(
        "Patient", content=b'{"resourceType":"Patient"}', headers={"Content-Type": content_type}
    )
    assert answer.status_code == status
    assert answer.json()["resourceType"] in ("Patient", "OperationOutcome")


@pytest.mark.parametrize(
    ("accept", "status"),
    [
        ("application/fhir+json", 200),
        ("application/json", 200),
        ("*/*", 200),
        ("text/html,application/xhtml+xml,*/*;q=0.8", 200),
        ("application/fhir+xml, application/fhir+json;q=0.5", 200),
        ("application/fhir+json; fhirVersion=4.0", 200),
        ("application/fhir+json; fhirVersion=3.0", 406),
        ("application/fhir+xml", 406),
        ("application/fhir+json;q=0", 406),
        ("image/png", 406),
    ],
)
def test_accept(fhir, accept, status):
    answer = fhir.get("metadata", headers={"Accept": accept})
    assert answer.status_code == status
    assert answer.json()["resourceType"] == ("CapabilityStatement" if status == 200 else "OperationOutcome")


def test_format_outranks_accept(fhir):
    assert fhir.get("metadata?_format=json", headers={"Accept": "application/fhir+xml"}).status_code == 200
    assert fhir.get("metadata?_format=xml", headers={"Accept": "application/fhir+json"}).status_code == 406


@pytest.mark.parametrize(
    ("method", "path", "status", "allow"),
    [
        ("PATCH", "Patient/_history", 405, "GET"),
        ("DELETE", "Patient", 412, None),
        ("POST", "Patient/1", 405, "DELETE, GET, PATCH, PUT"),
        ("PUT", "metadata", 405, "GET"),
        ("POST", "", 400, None),
        ("DELETE", "", 405, "GET, POST"),
        ("PROPFIND", "Patient", 405, "DELETE, GET, PATCH, POST, PUT"),
        ("GET", "Patient/1/2/3", 404, None),
        ("GET", "Patient/$everything", 404, None),
        ("GET", "patient/1", 404, None),
        ("GET", "Patient//_history", 404, None),
        ("GET", "Nothing", 404, None),
        ("GET", "Resource/1", 404, None),
        ("GET", "DomainResource", 404, None),
        ("GET", "%00", 404, None),
        ("GET", "Patient/..%2f..%2fetc", 404, None),
    ],
)
def test_paths_and_methods_that_do_not_exist(fhir, method, path, status, allow):
    answer = fhir.request(method, path)
    assert answer.status_code == status
    assert answer.json()["resourceType"] == "OperationOutcome"
    if allow is not None:
        assert answer.headers["allow"] == allow


@pytest.mark.parametrize(
    ("prefer", "status"), [(None, 400), ("handling=strict", 400), ("handling=lenient", 200)]
)
def test_an_unknown_search_parameter(fhir, prefer, status):
    answer = fhir.get("Patient?birthdat=1970", headers={"Prefer": prefer} if prefer else {})
    assert answer.status_code == status
    outcome = answer.json() if status == 400 else answer.json()["entry"][-1]["resource"]
    assert "birthdate" in outcome["issue"][0]["diagnostics"]
    if status == 200:
        self_link = next(link["url"] for link in answer.json()["link"] if link["relation"] == "self")
        assert "birthdat=" not in self_link


@pytest.mark.parametrize("host", ["", "evil.example/x", "a b", "<script>"])
def test_a_malformed_host_is_refused_and_not_reflected(fhir, host):
    answer = fhir.get("Patient", headers={"Host": host})
    assert answer.status_code == 400
    assert "script" not in answer.text


def test_a_request_id_is_echoed_and_a_malformed_one_replaced(fhir):
    assert fhir.get("metadata", headers={"X-Request-Id": "abc-1"}).headers["x-request-id"] == "abc-1"
    assert fhir.get("metadata", headers={"X-Request-Id": "a b<"}).headers["x-request-id"] != "a b<"


def test_the_server_goes_on(fhir):
    assert fhir.get("metadata").status_code == 200
