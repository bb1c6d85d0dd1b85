"""Formats: https://hl7.org/fhir/R4/http.html#mime-type. The cases over HTTP are in test_bad_input."""

import pytest

from fhir_server.outcome import FhirError
from fhir_server.rest.negotiation import check_accept, check_content_type, check_form


@pytest.mark.parametrize(
    ("query", "pretty"),
    [
        ("", False),
        ("_pretty=true", True),
        ("_pretty=false", False),
        ("code=_pretty", False),
        ("_format=json&_pretty=true", True),
    ],
)
def test_pretty(query, pretty):
    assert check_accept({}, query) is pretty


@pytest.mark.parametrize(
    "accept", ["APPLICATION/FHIR+JSON", " application/json ; q=0.1", "text/*", "application/xml,json"]
)
def test_accepted(accept):
    check_accept({"accept": accept}, "")


@pytest.mark.parametrize(
    "accept", ["application/json;q=0", "application/json;q=0.000", "text/plain", "application/xml"]
)
def test_not_acceptable(accept):
    with pytest.raises(FhirError) as refused:
        check_accept({"accept": accept}, "")
    assert refused.value.status == 406


@pytest.mark.parametrize(
    "headers", [{"content-type": "*/*"}, {"content-type": "application/json", "content-encoding": "gzip"}]
)
def test_unsupported_bodies(headers):
    with pytest.raises(FhirError) as refused:
        check_content_type(headers)
    assert refused.value.status == 415


def test_a_form_may_name_its_charset():
    check_form({"content-type": "application/x-www-form-urlencoded; charset=UTF-8"})
    with pytest.raises(FhirError):
        check_form({"content-type": "multipart/form-data"})
