"""XML over HTTP: every answer in the format asked for, what is stored is the same whatever came in."""

from __future__ import annotations

from xml.etree import ElementTree as ET

import pytest

from fhir_server.datatypes.json_format import encode
from fhir_server.datatypes.xml_format import XmlFormat
from fhir_server.definitions import Definitions

NS = "{http://hl7.org/fhir}"
XML = {"Content-Type": "application/fhir+xml", "Accept": "application/fhir+xml"}
JSON = {"Accept": "application/fhir+json"}
DIV = '<div xmlns="http://www.w3.org/1999/xhtml">a&#160;b<br /></div>'
BODY = (
    f'<Observation xmlns="http://hl7.org/fhir"><text><status value="generated"/>{DIV}</text><status value="final"/>'
    '<code><text value="x &amp; y"/></code><effectiveDateTime value="2020-01-01"><extension url="urn:e">'
    '<valueBoolean value="true"/></extension></effectiveDateTime><valueQuantity><value value="72.50"/></valueQuantity>'
    "</Observation>"
).encode()


@pytest.fixture(scope="module")
def types():
    return XmlFormat(Definitions().types)


def outcome(answer, status):
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/fhir+xml; charset=utf-8"
    root = ET.fromstring(answer.content)
    assert root.tag == f"{NS}OperationOutcome"
    return root


@pytest.fixture
def created(fhir):
    answer = fhir.post("Observation", content=BODY, headers=XML)
    assert answer.status_code == 201, answer.text
    return ET.fromstring(answer.content).find(f"{NS}id").get("value")


def test_xml_in_json_out(fhir, created):
    text = fhir.get(f"Observation/{created}", headers=JSON).text
    assert '"value":72.50' in text
    assert DIV.replace('"', '\\"') in text
    assert '"_effectiveDateTime":{"extension":[{"url":"urn:e","valueBoolean":true}]}' in text


def test_json_in_xml_out_is_the_same_resource(fhir, created, types):
    stored = fhir.get(f"Observation/{created}", headers=JSON).content
    for address in (f"Observation/{created}", f"Observation/{created}/_history/1"):
        answer = fhir.get(address, headers=XML)
        assert answer.headers["content-type"] == "application/fhir+xml; charset=utf-8"
        assert answer.headers["vary"] == "accept, authorization"
        assert encode(types.decode(answer.content)) == stored
        assert fhir.get(address + "?_format=xml").content == answer.content
        assert b"\n  <code>\n" in fhir.get(address + "?_format=xml&_pretty=true").content


def test_update_in_xml(fhir, created, types):
    text = fhir.get(f"Observation/{created}?_format=xml").text.replace("72.50", "73.0")
    answer = fhir.put(f"Observation/{created}", content=text, headers={**XML, "If-Match": 'W/"1"'})
    assert (answer.status_code, answer.headers["etag"]) == (200, 'W/"2"')
    assert '"value":73.0' in fhir.get(f"Observation/{created}", headers=JSON).text
    assert outcome(
        fhir.put(f"Observation/{created}", content=text, headers={**XML, "If-Match": 'W/"1"'}), 412
    )


def test_head_and_conditional_reads(fhir, created):
    read = fhir.get(f"Observation/{created}", headers=XML)
    head = fhir.head(f"Observation/{created}", headers=XML)
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-length"] == str(len(read.content))
    assert head.headers["etag"] == read.headers["etag"]
    assert fhir.get(f"Observation/{created}", headers={**XML, "If-None-Match": 'W/"1"'}).status_code == 304


def test_bundles(fhir, created, types):
    for address in (
        f"Observation?_id={created}",
        f"Observation/{created}/_history",
        f"Observation?_id={created}&_summary=true",
    ):
        text = fhir.get(address, headers=JSON).json()
        found = types.decode(fhir.get(address, headers=XML).content)
        assert found["entry"][0]["resource"].keys() == text["entry"][0]["resource"].keys()
        assert found["type"] == text["type"]
    answer = fhir.post(
        "Observation/_search", data={"_id": created}, headers={"Accept": "application/fhir+xml"}
    )
    assert types.decode(answer.content)["entry"][0]["resource"]["id"] == created


@pytest.mark.parametrize(
    ("prefer", "root"),
    [("return=representation", "Observation"), ("return=OperationOutcome", "OperationOutcome")],
)
def test_prefer(fhir, prefer, root):
    answer = fhir.post("Observation", content=BODY, headers={**XML, "Prefer": prefer})
    assert ET.fromstring(answer.content).tag == NS + root


def test_prefer_minimal(fhir):
    answer = fhir.post("Observation", content=BODY, headers={**XML, "Prefer": "return=minimal"})
    assert (answer.status_code, answer.content) == (201, b"")
    assert "content-type" not in answer.headers


def test_metadata(fhir, types):
    assert types.decode(fhir.get("metadata", headers=XML).content) == fhir.get("metadata").json()
    assert {"application/fhir+json", "application/fhir+xml"} <= set(fhir.get("metadata").json()["format"])


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("GET", "Observation/nobody", None, 404),
        ("GET", "Observation?nothing=1", None, 400),
        ("POST", "Observation/1", BODY, 405),
        ("POST", "Observation", b"<Observation", 400),
        ("POST", "Observation", b"{}", 400),
        ("POST", "Patient", BODY, 400),
        ("POST", "Observation", BODY.replace(b"status value", b"state value"), 400),
        ("POST", "Observation", BODY.replace(b'"final"', b'"done"'), 422),
        ("POST", "Observation", b'<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]>' + BODY, 400),
    ],
)
def test_outcomes_in_xml(fhir, method, path, body, status):
    answer = fhir.request(method, path, content=body, headers=XML if body else {"Accept": XML["Accept"]})
    root = outcome(answer, status)
    assert root.find(f"{NS}issue/{NS}diagnostics").get("value")
    assert "root:" not in answer.text


def test_validate_lists_what_xml_and_what_the_rules_say(fhir, types):
    body = BODY.replace(b'<status value="final"/>', b'<status value="done"/><foo/>')
    answer = fhir.post("Observation/$validate", content=body, headers=XML)
    assert answer.status_code == 200
    issues = types.decode(answer.content)["issue"]
    expressions = [i["expression"][0] for i in issues if i["severity"] == "error"]
    assert expressions == ["Observation", "Observation.status"]
    assert outcome(fhir.post("Observation/$validate", content=BODY, headers=XML), 200)


def test_a_body_of_the_other_format_than_it_says(fhir):
    assert outcome(fhir.post("Observation", content=b'{"resourceType":"Observation"}', headers=XML), 400)
    assert (
        fhir.post("Observation", content=BODY, headers={"Content-Type": "application/fhir+json"}).status_code
        == 400
    )
