"""FHIR XML: https://hl7.org/fhir/R4/xml.html. The official examples are in tests/suites/test_xml_twins.py."""

from __future__ import annotations

import pytest

from fhir_server.datatypes.json_format import decode, encode
from fhir_server.datatypes.xml_format import XmlFormat
from fhir_server.definitions import Definitions
from fhir_server.outcome import FhirError

NS = 'xmlns="http://hl7.org/fhir"'
DIV = '<div xmlns="http://www.w3.org/1999/xhtml">'


@pytest.fixture(scope="module")
def xml_format():
    return XmlFormat(Definitions().types)


def patient(inner, attributes=NS):
    return f"<Patient {attributes}>{inner}</Patient>".encode()


#: Inner XML of a Patient, and the JSON of the same content.
SAME = {
    "boolean": ('<active value="true"/>', '"active":true'),
    "empty element written long": ('<active value="false"></active>', '"active":false'),
    "integer": ('<multipleBirthInteger value="3"/>', '"multipleBirthInteger":3'),
    "string with markup": (
        '<name><text value="a&lt;b&gt; &quot;c&quot; &amp; &apos;d&apos;"/></name>',
        '"name":[{"text":"a<b> \\"c\\" & \'d\'"}]',
    ),
    "line feeds and tabs": ('<name><text value="a&#10;b&#9;c&#13;d"/></name>', '"name":[{"text":"a\\nb\\tc\\rd"}]'),
    "beyond the basic plane": ('<name><text value="𝄞é"/></name>', '"name":[{"text":"𝄞é"}]'),
    "lists": (
        '<name><given value="A"/><given value="B"/></name><name><family value="C"/></name>',
        '"name":[{"given":["A","B"]},{"family":"C"}]',
    ),
    "id of an element": ('<name id="n1"><family value="C"/></name>', '"name":[{"id":"n1","family":"C"}]'),
    "value with id and extension": (
        ('<birthDate id="b" value="1970-01-01"><extension url="urn:x"><valueTime value="10:00:00"/></extension>'
        "</birthDate>"),
        '"birthDate":"1970-01-01","_birthDate":{"id":"b","extension":[{"url":"urn:x","valueTime":"10:00:00"}]}',
    ),
    "extension without value": (
        '<birthDate><extension url="urn:x"><valueCode value="unknown"/></extension></birthDate>',
        '"_birthDate":{"extension":[{"url":"urn:x","valueCode":"unknown"}]}',
    ),
    "null in a list of values": (
        '<name><given value="A"/><given id="g"/><given value="C"/></name>',
        '"name":[{"given":["A",null,"C"],"_given":[null,{"id":"g"},null]}]',
    ),
    "only extensions in a list": ('<name><given id="g"/></name>', '"name":[{"_given":[{"id":"g"}]}]'),
    "nested extensions": (
        '<extension url="urn:a"><extension url="b"><valueDecimal value="1.50"/></extension></extension>',
        '"extension":[{"url":"urn:a","extension":[{"url":"b","valueDecimal":1.50}]}]',
    ),
    "contained": (
        ('<contained><Organization><id value="o"/><name value="O"/></Organization></contained>'
        '<contained><Device><id value="d"/></Device></contained>'),
        '"contained":[{"resourceType":"Organization","id":"o","name":"O"},{"resourceType":"Device","id":"d"}]',
    ),
    "narrative": (
        f"<text><status value=\"generated\"/>{DIV}a&#160;b<br />&lt;<p title='x'>c</p><!-- d --></div></text>",
        f'"text":{{"status":"generated","div":"{DIV}a&#160;b<br />&lt;<p title=\'x\'>c</p><!-- d --></div>"}}'.replace(
            DIV, DIV.replace('"', '\\"')
        ),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", SAME)
def test_xml_and_json_are_the_same(xml_format, name):
    inner, members = SAME[name]
    text = f'{{"resourceType":"Patient",{members}}}'.encode()
    assert encode(xml_format.decode(patient(inner))) == text
    assert xml_format.decode(xml_format.encode(decode(text))) == decode(text)
    assert encode(xml_format.decode(xml_format.encode(decode(text), pretty=True))) == text


@pytest.mark.parametrize(
    "number",
    [
        "0",
        "-1",
        "1.0",
        "1.00",
        "72.50",
        "-0.0",
        "1e2",
        "1E+2",
        "0.00000001",
        "1.0e-24",
        "12345678901234567890.123456789",
    ],
)
def test_the_text_of_decimals_survives(xml_format, number):
    xml = f'<Observation {NS}><valueQuantity><value value="{number}"/></valueQuantity></Observation>'.encode()
    resource = xml_format.decode(xml)
    assert encode(resource).decode().endswith(f'"valueQuantity":{{"value":{number}}}}}')
    assert f'<value value="{number}"/>'.encode() in xml_format.encode(decode(encode(resource)))


def test_elements_are_written_in_the_order_of_the_definition(xml_format):
    resource = {
        "gender": "male", "resourceType": "Patient", "active": True, "_gender": {"extension": [{"valueString": "x", "url": "u"}]},
        "name": [{"family": "F", "use": "usual", "id": "n"}],
    }  # fmt: skip
    assert xml_format.encode(resource).decode().splitlines()[1] == (
        f'<Patient {NS}><active value="true"/><name id="n"><use value="usual"/><family value="F"/></name>'
        '<gender value="male"><extension url="u"><valueString value="x"/></extension></gender></Patient>'
    )


def test_pretty(xml_format):
    resource = {"resourceType": "Patient", "active": True, "name": [{"family": "F"}]}
    assert xml_format.encode(resource, pretty=True).decode() == (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        f"<Patient {NS}>\n"
        '  <active value="true"/>\n'
        "  <name>\n"
        '    <family value="F"/>\n'
        "  </name>\n"
        "</Patient>\n"
    )


def test_inner_resources_of_bundles_and_parameters(xml_format):
    inner = {"resourceType": "Patient", "id": "p"}
    for resource in (
        {"resourceType": "Bundle", "type": "collection", "entry": [{"fullUrl": "urn:x", "resource": inner}]},
        {
            "resourceType": "Bundle",
            "type": "batch-response",
            "entry": [{"response": {"status": "400", "outcome": inner}}],
        },
        {
            "resourceType": "Parameters",
            "parameter": [{"name": "a", "part": [{"name": "b", "resource": inner}]}],
        },
    ):
        assert xml_format.decode(xml_format.encode(resource)) == resource


@pytest.mark.parametrize(
    "document",
    [
        b"\xef\xbb\xbf" + patient('<active value="true"/>'),
        b'<?xml version="1.0" encoding="utf-8"?><?xml-stylesheet href="x"?><!-- c -->\n' + patient('<active value="true"/>'),
        b'<f:Patient xmlns:f="http://hl7.org/fhir"><f:active value="true"/></f:Patient>',
        patient('<!-- c --> <active value="true"/>\n\t'),
        patient(
            '<active value="true"/>',
            f'{NS} xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:schemaLocation="http://hl7.org/fhir x.xsd"',
        ),
    ],
)  # fmt: skip
def test_other_ways_to_write_the_same(xml_format, document):
    assert xml_format.decode(document) == {"resourceType": "Patient", "active": True}


@pytest.mark.parametrize(
    ("declared", "div", "expected"),
    [
        ('xmlns:h="http://www.w3.org/1999/xhtml"', "<h:div>a<h:br/>&lt;</h:div>", f"{DIV}a<br></br>&lt;</div>"),
        ("", '<h:div xmlns:h="http://www.w3.org/1999/xhtml" title="&gt;">a</h:div>', f'{DIV[:-1]} title="&gt;">a</div>'),
        ('xmlns:h="http://www.w3.org/1999/xhtml"', f"{DIV}a<h:b>c</h:b></div>", f"{DIV}a<b>c</b></div>"),
        ("", "<div xmlns='http://www.w3.org/1999/xhtml' title='>'/>", "<div xmlns='http://www.w3.org/1999/xhtml' title='>'/>"),
    ],
)  # fmt: skip
def test_namespaces_of_the_narrative(xml_format, declared, div, expected):
    document = f'<f:Patient xmlns:f="http://hl7.org/fhir" {declared}><f:text>{div}</f:text></f:Patient>'
    found = xml_format.decode(document.encode())["text"]["div"]
    assert found == expected


#: A Patient's inner XML, and the place and a part of the one issue.
WRONG = {
    "unknown element": ('<aktive value="true"/>', "Patient", "did you mean <active>"),
    "unknown attribute": ('<active value="true" lang="x"/>', "Patient.active", "attribute lang"),
    "value of an object": ('<name value="x"><family value="F"/></name>', "Patient.name[0]", "elements inside"),
    "attribute as element": ('<extension><url value="x"/><valueCode value="y"/></extension>', "Patient.extension[0]", "is an attribute"),
    "text as value": ("<active>true</active>", "Patient.active", "attribute value"),
    "text between elements": ('x<active value="true"/>', "Patient", "text between"),
    "other namespace": ('<a xmlns="urn:x"/>', "Patient", "namespaces"),
    "no namespace": ('<active xmlns="" value="true"/>', "Patient", "namespace"),
    "xsi:type": ('<active xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:type="x" value="true"/>', "Patient.active", "attribute type"),
    "order": ('<name><family value="F"/></name><active value="true"/>', "Patient.active", "too late"),
    "list apart": ('<name><given value="A"/><prefix value="B"/><given value="C"/></name>', "Patient.name[0].given", "too late"),
    "repeated": ('<active value="true"/><active value="true"/>', "Patient.active", "repeated"),
    "boolean": ('<active value="1"/>', "Patient.active", "true or false"),
    "integer": ('<multipleBirthInteger value="01"/>', "Patient.multipleBirth.ofType(integer)", "whole number"),
    "decimal": ('<extension url="u"><valueDecimal value=".5"/></extension>', "Patient.extension[0].value.ofType(decimal)", "decimal"),
    "decimal with comma": ('<extension url="u"><valueDecimal value="1,5"/></extension>', "Patient.extension[0].value.ofType(decimal)", "decimal"),
    "huge exponent": ('<extension url="u"><valueDecimal value="1e99999"/></extension>', "Patient.extension[0].value.ofType(decimal)", "exponent"),
    "empty value": ('<gender value=""/>', "Patient.gender", "empty"),
    "no value": ("<gender/>", "Patient.gender", "no value"),
    "empty object": ("<name/>", "Patient.name[0]", "empty"),
    "empty id": ('<name id=""><family value="F"/></name>', "Patient.name[0]", "empty"),
    "empty contained": ("<contained/>", "Patient.contained[0]", "resource"),
    "two in contained": ('<contained><Device><id value="a"/></Device><Device><id value="b"/></Device></contained>', "Patient.contained[0]", "not several"),
    "no resource in contained": ("<contained><Devize/></contained>", "Patient.contained[0]", "did you mean <Device>"),
    "div of the wrong namespace": ('<text><status value="empty"/><div>x</div></text>', "Patient.text", "xhtml"),
    "processing instruction": ('<active value="true"/><?php x?>', "Patient", "instructions"),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_is_told_with_its_place(xml_format, name):
    inner, expression, words = WRONG[name]
    with pytest.raises(FhirError) as refused:
        xml_format.decode(f"<Patient {NS}>\n{inner}</Patient>".encode())
    assert refused.value.status == 400
    issue = refused.value.issues[0]
    assert issue.expression == expression
    assert words in issue.diagnostics
    assert issue.line == 2
    assert issue.column >= 1


def test_two_types_of_a_choice_are_left_to_the_validator(xml_format):
    inner = '<deceasedBoolean value="true"/><deceasedDateTime value="2020"/>'
    assert xml_format.decode(patient(inner)).keys() == {"resourceType", "deceasedBoolean", "deceasedDateTime"}


def test_all_defects_are_told_at_once(xml_format):
    with pytest.raises(FhirError) as refused:
        xml_format.decode(patient('<active value="x"/><foo/><gender value=""/>'))
    assert [i.expression for i in refused.value.issues] == ["Patient.active", "Patient", "Patient.gender"]
    assert [i.column for i in refused.value.issues] == [38, 57, 63]


BROKEN = {
    "empty": b"",
    "white space": b" \n ",
    "json": b'{"resourceType":"Patient"}',
    "truncated": b"<Patient " + NS.encode() + b"><active",
    "two roots": patient("") + patient(""),
    "text behind": patient('<active value="true"/>') + b"x",
    "doctype": b"<!DOCTYPE Patient>" + patient('<active value="true"/>'),
    "external dtd": b'<!DOCTYPE Patient SYSTEM "http://example.org/x.dtd">' + patient('<active value="true"/>'),
    "external entity": b'<!DOCTYPE p [<!ENTITY x SYSTEM "file:///etc/passwd">]>' + patient('<id value="&x;"/>'),
    "billion laughs": b'<!DOCTYPE p [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]>' + patient('<id value="&b;"/>'),
    "undefined entity": patient(f"<text>{DIV}&nbsp;</div></text>"),
    "latin-1": patient('<name><family value="é"/></name>').decode().encode("latin-1"),
    "says latin-1": b'<?xml version="1.0" encoding="ISO-8859-1"?>' + patient('<active value="true"/>'),
    "utf-16": patient('<active value="true"/>').decode().encode("utf-16"),
    "xml 1.1": b'<?xml version="1.1"?>' + patient('<active value="true"/>'),
    "nul": patient('<name><family value="a&#0;"/></name>'),
    "control character": patient('<name><family value="a\x01"/></name>'),
    "no namespace": patient('<active value="true"/>', ""),
    "wrong namespace": patient('<active value="true"/>', 'xmlns="http://hl7.org/fhir/"'),
    "no resource": f"<HumanName {NS}/>".encode(),
    "abstract": f"<DomainResource {NS}/>".encode(),
    "undeclared prefix": patient('<x:active value="true"/>'),
    "repeated attribute": patient('<active value="true" value="false"/>'),
}  # fmt: skip


@pytest.mark.parametrize("name", BROKEN)
def test_what_can_t_be_read_at_all(xml_format, name):
    with pytest.raises(FhirError) as refused:
        xml_format.read(BROKEN[name])
    assert refused.value.status == 400
    assert len(refused.value.issues) == 1


def nested(levels):
    return patient('<extension url="u">' * levels + '<valueCode value="x"/>' + "</extension>" * levels)


def test_depth(xml_format):
    """An extension is a list and an object: 31 of them below a resource are 63 levels of JSON."""
    assert decode(encode(xml_format.decode(nested(31))))
    for levels in (32, 400, 100_000):
        with pytest.raises(FhirError) as refused:
            xml_format.decode(nested(levels))
        assert "levels" in refused.value.issues[0].diagnostics


def test_what_json_has_and_xml_has_not(xml_format):
    written = xml_format.encode({"resourceType": "Patient", "name": [{"text": "a\uffffb\ufffec"}]})
    assert xml_format.decode(written)["name"][0]["text"] == "a\ufffdb\ufffdc"
    for resource in (
        {"resourceType": "Patient", "aktive": True},
        {"resourceType": "None"},
        {"resourceType": "Patient", "text": {"div": "<div>"}},
        {"resourceType": "Patient", "name": ["x"]},
    ):
        with pytest.raises(FhirError):
            xml_format.encode(resource)


def test_an_xml_declaration_in_a_narrative_is_left_out(xml_format):
    resource = {
        "resourceType": "Patient",
        "text": {"status": "empty", "div": f"<?xml version='1.0'?>\n{DIV}a</div>"},
    }
    assert xml_format.decode(xml_format.encode(resource))["text"]["div"] == f"{DIV}a</div>"
