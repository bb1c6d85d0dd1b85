"""Large and deep resources, in JSON and in XML: an answer in bounded time and memory, and a clear issue.

https://hl7.org/fhir/R4/security.html#input-validation
"""

from __future__ import annotations

import json
import time
import tracemalloc

import pytest

from fhir_server.datatypes.json_format import decode
from fhir_server.datatypes.positions import located
from fhir_server.datatypes.xml_format import XmlFormat
from fhir_server.definitions import Definitions
from fhir_server.outcome import FhirError
from fhir_server.terminology import CodeSets
from fhir_server.validation import Validator

#: Seconds for one body: ten times what it takes on a quiet machine, to tell linear from quadratic time.
SECONDS = 20
#: Bytes of memory for each byte of the body, and what is needed whatever its size.
MEMORY_FACTOR, MEMORY = 60, 20_000_000

DIV = '<div xmlns="http://www.w3.org/1999/xhtml">'
CODE = '<code><text value="x"/></code>'
STATUS = '<status value="final"/>'


def json_body(**members):
    return json.dumps(
        {"resourceType": "Observation", "status": "final", "code": {"text": "x"}, **members}
    ).encode()


def xml_body(inner, before=""):
    return f'<Observation xmlns="http://hl7.org/fhir">{before}{inner}</Observation>'.encode()


def json_extensions(levels):
    nested = '{"url":"u","extension":[' * levels + '{"url":"u","valueCode":"x"}' + "]}" * levels
    return json_body()[:-1] + f',"extension":[{nested}]}}'.encode()


def narratives(text):
    return (
        json_body(text={"status": "generated", "div": f"{DIV}{text}</div>"}),
        xml_body(STATUS + CODE, f'<text><status value="generated"/>{DIV}{text}</div></text>'),
    )


def codings(row, element):
    return (
        json_body(code={"coding": [{"system": "urn:s", **row, "display": str(n)} for n in range(100_000)]}),
        xml_body(f"{STATUS}<code>" + "".join(f'<coding><system value="urn:s"/>{element}<display value="{n}"/></coding>' for n in range(100_000)) + "</code>"),
    )  # fmt: skip


def bodies():
    for name, pair in {
        "narrative of 1 MB": narratives("a" * 1_048_000),
        "narrative of many elements": narratives("<b>a</b>" * 130_000),
    }.items():
        yield f"{name} JSON", pair[0], None
        yield f"{name} XML", pair[1], None
    for name, pair, words in (
        ("narrative above 1 MB", narratives("a" * 1_048_577), "at most 1048576"),
        ("narrative of depth 100000", narratives("<b>" * 100_000 + "a" + "</b>" * 100_000), "levels deep"),
        ("100,000 codings", codings({"code": "c"}, '<code value="c"/>'), "at most 10000 coding"),
        ("100,000 wrong codings", codings({"cod": "c"}, '<cod value="c"/>'), ""),
        ("400 extensions", (json_extensions(400), xml_body('<extension url="u">' * 400 + '<valueCode value="x"/>' + "</extension>" * 400)), "64 levels"),
        ("100,000 unknown elements", (json_body(**{f"k{n}": n for n in range(100_000)}), xml_body("<foo/>" * 100_000)), "Observation has no"),
        ("depth 100,000", (b'{"resourceType":"Observation","a":' * 100_000, xml_body("<foo>" * 100_000 + "</foo>" * 100_000)), "64 levels"),
        ("a name 100,000 times", (b'{"resourceType":"Observation",' + b'"k":1,' * 100_000 + b'"k":1}', xml_body(STATUS * 100_000)), ""),
    ):  # fmt: skip
        yield f"{name} JSON", pair[0], words
        yield f"{name} XML", pair[1], words
    yield (
        "100,000 attributes XML",
        xml_body("<foo " + " ".join(f'a{n}="1"' for n in range(100_000)) + "/>"),
        "no element",
    )
    yield (
        "100,000 namespaces XML",
        xml_body("<foo " + " ".join(f'xmlns:a{n}="u"' for n in range(100_000)) + "/>"),
        "no element",
    )
    yield "1,000,000 comments XML", xml_body("<!-- -->" * 1_000_000 + STATUS + CODE), None
    yield (
        "a narrative with prefixes XML",
        xml_body(
            STATUS + CODE,
            '<text><status value="generated"/><h:div xmlns:h="http://www.w3.org/1999/xhtml">'
            + "<h:b>a</h:b>" * 50_000
            + "</h:div></text>",
        ),
        None,
    )


CASES = {name: (body, words) for name, body, words in bodies()}


@pytest.fixture(scope="module")
def judge():
    definitions = Definitions()
    validator, types = Validator(definitions, CodeSets(definitions)), XmlFormat(definitions.types)
    validator.preload(["Observation"])

    def judged(body):
        try:
            resource, faults = types.read(body) if body[:1] == b"<" else (decode(body), ())
            issues = faults + validator.validate(resource)
        except FhirError as refused:
            issues = refused.issues
        return located(issues, body)

    judged(xml_body(STATUS + CODE))
    return judged


@pytest.mark.parametrize("name", CASES)
def test_time_and_issues(judge, name):
    body, words = CASES[name]
    started = time.process_time()
    issues = judge(body)
    assert time.process_time() - started < SECONDS
    assert len(issues) <= 102
    if words is None:
        assert issues == ()
    else:
        assert any(words in issue.diagnostics for issue in issues), issues[:2]
        assert all(issue.line or issue.code == "incomplete" for issue in issues)


@pytest.mark.parametrize(
    "name",
    ["100,000 codings JSON", "100,000 codings XML", "narrative of many elements XML", "400 extensions XML"],
)
def test_memory(judge, name):
    body, _ = CASES[name]
    tracemalloc.start()
    try:
        judge(body)
        assert tracemalloc.get_traced_memory()[1] < MEMORY + MEMORY_FACTOR * len(body)
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    "name",
    ["400 extensions JSON", "400 extensions XML", "100,000 wrong codings XML", "narrative above 1 MB JSON"],
)
def test_over_http(fhir, name):
    content_type = "application/fhir+xml" if name.endswith("XML") else "application/fhir+json"
    headers = {"Content-Type": content_type, "Accept": "application/fhir+json"}
    answer = fhir.post("Observation", content=CASES[name][0], headers=headers)
    assert answer.status_code == 400
    issue = answer.json()["issue"][0]
    assert issue["diagnostics"]
    assert issue["location"][0].startswith("Line[1]")
    assert fhir.get("metadata").status_code == 200
