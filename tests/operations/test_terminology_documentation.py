"""The requests and the table in docs/terminology.md do what the page says."""

from __future__ import annotations

import io
import re
from pathlib import Path

import pytest

from fhir_server.terminology.importing import Files, detected

PAGE = (Path(__file__).parents[2] / "docs" / "terminology.md").read_text()


def snippet(name):
    return re.search(rf"<!-- snippet: {name} -->\n```\n(.*?)```", PAGE, re.DOTALL)[1]


@pytest.mark.parametrize("request_", snippet("GET").splitlines())
def test_requests(fhir, request_):
    path, _, query = request_.partition("?")
    answer = fhir.get(path, params=dict(pair.split("=", 1) for pair in query.split("&")))
    assert answer.status_code == 200, answer.text
    found = {row["name"]: row for row in answer.json().get("parameter", ())}
    if "validate-code" in path:
        assert found["result"]["valueBoolean"] is True
    elif "expand" in path:
        assert [row["code"] for row in answer.json()["expansion"]["contains"]] == ["female"]
    elif "subsumes" in path:
        assert found["outcome"]["valueCode"] == "subsumes"
    else:
        assert found["display"]["valueString"] == "ambulatory"


def test_the_table():
    files = Files(("codes.csv",), lambda _: io.StringIO(snippet("csv")))
    source = detected(files).read(files, "http://example.org/codes", "1", "")
    alpha, beta = source.concepts
    assert alpha.designations == ({"language": "fr", "value": "Alpha (fr)"},)
    assert beta.parents == ("A",)
    assert beta.properties == ({"code": "unit", "valueString": "m"},)
