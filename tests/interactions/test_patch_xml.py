"""XML Patch, and FHIRPath Patch sent as XML: https://hl7.org/fhir/R4/http.html#patch, RFC 5261."""

import base64
import uuid

import pytest

XML_PATCH = {"Content-Type": "application/xml-patch+xml", "Accept": "application/fhir+json"}
FHIR_XML = {"Content-Type": "application/fhir+xml", "Accept": "application/fhir+json"}
NARRATIVE = "<div xmlns='http://www.w3.org/1999/xhtml'><p>a &amp;#160;b</p><p>a<br/>&#233; 'q'</p></div>"
DIFF = '<diff xmlns:f="http://hl7.org/fhir" xmlns:h="http://www.w3.org/1999/xhtml">'


def diff(*operations):
    return f"{DIFF}{''.join(operations)}</diff>"


@pytest.fixture
def observation(fhir):
    body = (
        '{"resourceType":"Observation","text":{"status":"generated","div":"%s"},'
        '"identifier":[{"value":"%s"},{"system":"urn:s","value":"two"}],"status":"final","code":{"text":"x"},'
        '"valueQuantity":{"value":72.50},"component":[{"code":{"text":"c"},"valueDecimal":0}]}'
    ).replace(',"valueDecimal":0', ',"valueQuantity":{"value":1e2}')
    answer = fhir.post(
        "Observation",
        content=body % (NARRATIVE, uuid.uuid4()),
        headers={"Content-Type": "application/fhir+json"},
    )
    assert answer.status_code == 201, answer.text
    return answer.json()


def send(fhir, resource, *operations, **headers):
    return fhir.patch(
        f"Observation/{resource['id']}", content=diff(*operations), headers={**XML_PATCH, **headers}
    )


STATUS = '<replace sel="f:Observation/f:status/@value">amended</replace>'


def test_a_patch_makes_the_next_version_and_keeps_the_rest_to_the_letter(fhir, observation):
    answer = send(fhir, observation, STATUS)
    assert answer.status_code == 200, answer.text
    assert answer.headers["etag"] == 'W/"2"'
    made = answer.json()
    assert made["text"]["div"] == NARRATIVE
    assert b'"value":72.50' in answer.content
    assert b'"value":1e2' in answer.content
    assert made["status"] == "amended"
    unchanged = ("status", "meta")
    assert {k: v for k, v in made.items() if k not in unchanged} == {
        k: v for k, v in observation.items() if k not in unchanged
    }
    newest = fhir.get(f"Observation/{observation['id']}/_history").json()["entry"][0]
    assert newest["request"]["method"] == "PATCH"


def test_the_three_operations(fhir, observation):
    answer = send(
        fhir,
        observation,
        """<add sel="f:Observation/f:status" pos="before"><f:basedOn><f:display value="&lt;b&gt; &amp; c"/></f:basedOn></add>""",
        """<add sel="f:Observation/f:code/f:text" type="@id">t1</add>""",
        """<add sel="id('t1')"><extension xmlns="http://hl7.org/fhir" url="urn:e"><valueBoolean value="true"/></extension></add>""",
        """<replace sel="f:Observation/f:identifier[f:system/@value='urn:s']/f:value"><f:value value="new"/></replace>""",
        """<remove sel="f:Observation/f:identifier[1]"/>""",
        """<replace sel="f:Observation/f:text/h:div/h:p[2]/text()[1]">z</replace>""",
        """<remove sel="f:Observation/f:component/f:valueQuantity/f:value/@value"/>""",
    )
    assert answer.status_code == 200, answer.text
    made = answer.json()
    assert made["basedOn"] == [{"display": "<b> & c"}]
    assert made["_code" if "_code" in made else "code"] == {
        "text": "x",
        "_text": {"id": "t1", "extension": [{"url": "urn:e", "valueBoolean": True}]},
    }
    assert made["identifier"] == [{"system": "urn:s", "value": "new"}]
    assert "<p>a &amp;#160;b</p>" in made["text"]["div"]
    assert "<p>z<br/>" in made["text"]["div"]
    assert made["component"] == [{"code": {"text": "c"}}], "what is left empty goes"


@pytest.mark.parametrize(
    ("operation", "says"),
    [
        ('<replace sel="f:Observation/f:id/@value">x</replace>', "assigns"),
        ('<remove sel="f:Observation/f:id"/>', "assigns"),
        ('<replace sel="f:Observation/f:meta/f:versionId/@value">9</replace>', "assigns"),
        ('<remove sel="f:Observation/f:meta"/>', "assigns"),
        ('<replace sel="f:Observation"><f:Patient/></replace>', "assigns"),
        ('<add sel="f:Observation"><f:status value="final"/></add>', "too late"),
        ('<add sel="f:Observation/f:status" pos="after"><f:colour value="red"/></add>', "colour"),
        ('<add sel="f:Observation/f:status" pos="after"><category/></add>', "namespace"),
        ('<replace sel="f:Observation/f:status/@value">red</replace>', "status"),
        ('<remove sel="f:Observation/f:status"/>', "status"),
        ('<remove sel="f:Observation/f:subject"/>', "names none"),
        ('<remove sel="Observation/status"/>', "names none"),
        ('<replace sel="f:Observation/f:text/h:div/h:p[1]"><h:script>1</h:script></replace>', "div"),
    ],
)
def test_what_is_refused_changes_nothing(fhir, observation, operation, says):
    answer = send(fhir, observation, operation)
    assert answer.status_code == 422, answer.text
    assert says in answer.text
    assert fhir.get(f"Observation/{observation['id']}").json() == observation


def test_a_forgotten_namespace_is_named(fhir, observation):
    answer = fhir.patch(
        f"Observation/{observation['id']}",
        content="<diff><remove sel='Observation/status'/></diff>",
        headers=XML_PATCH,
    )
    assert 'xmlns:f="http://hl7.org/fhir"' in answer.json()["issue"][0]["diagnostics"]


def test_if_match_criteria_and_dry_run(fhir, observation):
    assert send(fhir, observation, STATUS, **{"If-Match": 'W/"9"'}).status_code == 412
    rehearsed = send(fhir, observation, STATUS, **{"X-Dry-Run": "true"})
    assert (rehearsed.status_code, rehearsed.json()["status"]) == (200, "amended")
    value = observation["identifier"][0]["value"]
    answer = fhir.patch(f"Observation?identifier={value}", content=diff(STATUS), headers=XML_PATCH)
    assert (answer.status_code, answer.json()["meta"]["versionId"]) == (200, "2")


def parameters(status):
    part = '<part><name value="{}"/><value{} value="{}"/></part>'.format
    return (
        '<Parameters xmlns="http://hl7.org/fhir"><parameter><name value="operation"/>'
        + part("type", "Code", "replace")
        + part("path", "String", "Observation.status")
        + part("value", "Code", status)
        + "</parameter></Parameters>"
    )


def test_a_fhirpath_patch_as_xml(fhir, observation):
    address = f"Observation/{observation['id']}"
    answer = fhir.patch(address, content=parameters("amended"), headers=FHIR_XML)
    assert (answer.status_code, answer.json()["status"]) == (200, "amended")
    assert fhir.patch(address, content=parameters("red"), headers=FHIR_XML).status_code == 422
    assert (
        fhir.patch(address, content="<Patient xmlns='http://hl7.org/fhir'/>", headers=FHIR_XML).status_code
        == 400
    )


BINARIES = {
    "XML Patch": ("application/xml-patch+xml", diff(STATUS)),
    "FHIRPath Patch as XML": ("application/fhir+xml", parameters("amended")),
}


@pytest.mark.parametrize("bundle_type", ["batch", "transaction"])
@pytest.mark.parametrize("kind", BINARIES)
def test_patches_in_bundles(fhir, observation, bundle_type, kind):
    content_type, text = BINARIES[kind]

    def bundle(data, **condition):
        resource = {
            "resourceType": "Binary",
            "contentType": content_type,
            "data": base64.b64encode(data.encode()).decode(),
        }
        request = {"method": "PATCH", "url": f"Observation/{observation['id']}", **condition}
        entry = {"resource": resource, "request": request}
        return fhir.post("", json={"resourceType": "Bundle", "type": bundle_type, "entry": [entry]})

    def status(answer):
        return (
            answer.json()["entry"][0]["response"]["status"][:3]
            if answer.status_code == 200
            else str(answer.status_code)
        )

    assert status(bundle(text, ifMatch='W/"9"')) == "412"
    assert status(bundle(text.replace("amended", "red"))) == "422"
    assert status(bundle(text[:-3])) == "400"
    answer = bundle(text, ifMatch='W/"1"')
    assert status(answer) == "200", answer.text
    assert fhir.get(f"Observation/{observation['id']}").json()["status"] == "amended"


def test_parameters_in_a_bundle_that_is_xml(fhir, observation):
    entry = f"""<entry><resource>{parameters("amended").replace(' xmlns="http://hl7.org/fhir"', "")}</resource>
        <request><method value="PATCH"/><url value="Observation/{observation["id"]}"/></request></entry>"""
    bundle = f'<Bundle xmlns="http://hl7.org/fhir"><type value="transaction"/>{entry}</Bundle>'
    answer = fhir.post("", content=bundle, headers=FHIR_XML)
    assert answer.status_code == 200, answer.text
    assert answer.json()["entry"][0]["resource"]["status"] == "amended"
