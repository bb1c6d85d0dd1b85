from __future__ import annotations

import pytest

from fhir_server.datatypes.references import Target, parse

CASES = {
    "Patient/1": Target("relative", "Patient", "1"),
    "Patient/1/_history/2": Target("relative", "Patient", "1", "2"),
    "Foo/1": Target("relative", "Foo", "1"),
    "http://a/fhir/Patient/1": Target("absolute", "Patient", "1", "", "http://a/fhir"),
    "https://a/fhir/Patient/1/_history/v": Target("absolute", "Patient", "1", "v", "https://a/fhir"),
    "http://a/b": Target("absolute"),
    "http://a/fhir/Patient/1?x=y": Target("absolute"),
    "ftp://a/b": Target("absolute"),
    "urn:uuid:c757873d-ec9a-4326-a141-556f43239520": Target("urn"),
    "urn:oid:1.2.3": Target("urn"),
    "#p1": Target("contained", id="p1"),
    "#": Target("contained"),
    "Patient?identifier=a|b": Target("conditional", "Patient"),
    "Patient": None,
    "Patient/": None,
    "/Patient/1": None,
    "Patient/a_b": None,
    "Patient/1/": None,
    "Patient/1 ": None,
    "Patient/1/_history/": None,
    "patient/1": None,
    "1": None,
    "#a b": None,
    "urn: a": None,
    "": None,
}


@pytest.mark.parametrize(("text", "target"), CASES.items(), ids=CASES.keys())
def test_parse(text: str, target: Target | None) -> None:
    assert parse(text) == target
