"""Official examples in XML and JSON are the same resources: https://hl7.org/fhir/R4/xml.html."""

from __future__ import annotations

import json
import os
import tarfile
from decimal import Decimal
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from fhir_server.datatypes.json_format import decode, encode
from fhir_server.datatypes.xml_format import XmlFormat
from fhir_server.definitions import Definitions

SUITES = Path(os.environ.get("FHIR_SUITES", Path(__file__).parents[3] / "shared" / "suites"))
EXAMPLES = SUITES / "r4-examples"

pytestmark = pytest.mark.skipif(not EXAMPLES.exists(), reason=f"no R4 examples in {SUITES}: set FHIR_SUITES")


def files(name):
    with tarfile.open(EXAMPLES / name) as archive:
        return {Path(m.name).name: archive.extractfile(m).read() for m in archive if m.isfile()}


def plain(value, key=""):
    """Return a value with the narrative's XML in its canonical form without white space.

    Decimals are compared with their digits: Decimal("1.0e0") and Decimal("1.0") are the same text of a number.
    """
    if isinstance(value, dict):
        return {k: plain(v, k) for k, v in value.items()}
    if isinstance(value, list):
        return [plain(v) for v in value]
    if key == "div":
        return "".join(ET.canonicalize(value).split())
    if isinstance(value, Decimal):
        return ("decimal", value.as_tuple())
    return value


def without_meta(resource):
    return {k: v for k, v in plain(resource).items() if k != "meta"}


@pytest.fixture(scope="module")
def twins():
    xml, text = files("xml.tar.gz"), files("json.tar.gz")
    pairs = json.loads((EXAMPLES / "pairs.json").read_text())["pairs"]
    return [(p["xml"], xml[p["xml"]], text[p["json"]]) for p in pairs if p["twin"]]


@pytest.fixture(scope="module")
def xml_format():
    return XmlFormat(Definitions().types)


def test_xml_is_read_as_the_json_twin(twins, xml_format):
    assert len(twins) == 849
    differing = [
        name
        for name, xml, text in twins
        if without_meta(xml_format.decode(xml)) != without_meta(decode(text))
    ]
    assert differing == []


@pytest.mark.parametrize("pretty", [False, True])
def test_json_written_as_xml_comes_back_exactly(twins, xml_format, pretty):
    """Number texts and narratives are compared character by character."""
    differing = []
    for name, _, text in twins:
        resource = decode(text)
        back = xml_format.decode(xml_format.encode(resource, pretty=pretty))
        if back != resource or json.loads(encode(back), parse_float=str) != json.loads(text, parse_float=str):
            differing.append(name)
    assert differing == []


def test_xml_comes_back_exactly_through_json(twins, xml_format):
    differing = []
    for name, xml, _ in twins:
        resource = xml_format.decode(xml)
        stored = encode(resource)
        if encode(xml_format.decode(xml_format.encode(decode(stored)))) != stored:
            differing.append(name)
    assert differing == []


def test_files_without_twin_are_read_too(xml_format):
    for xml in files("xml.tar.gz").values():
        assert xml_format.decode(xml)["resourceType"]
