"""Formats: https://hl7.org/fhir/R4/http.html#mime-type. The cases over HTTP are in test_bad_input."""

import pytest

from fhir_server.outcome import FhirError
from fhir_server.rest.negotiation import JSON, Format, Wish, body_format, check_form, wish

XML = Wish(Format.XML)


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", JSON),
        ("_pretty=true", Wish(pretty=True)),
        ("_pretty=false", JSON),
        ("code=_pretty", JSON),
        ("_format=json&_pretty=true", Wish(pretty=True)),
        ("_format=xml", XML),
        ("_format=XML", XML),
        ("_format=text/xml&_pretty=true", Wish(Format.XML, pretty=True)),
        ("_format=application/fhir+xml", XML),
        ("_format=application/fhir%2Bxml; fhirVersion=4.0", Wish(Format.XML, names_version=True)),
        ("_format=", JSON),
    ],
)
def test_parameters(query, expected):
    assert wish({"accept": "application/fhir+json"}, query) == expected


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        (None, JSON),
        ("", JSON),
        ("*/*", JSON),
        ("APPLICATION/FHIR+JSON", JSON),
        (" application/json ; q=0.1", JSON),
        ("text/*", JSON),
        ("application/xml,json", XML),
        ("application/fhir+xml", XML),
        ("application/xml", XML),
        ("text/xml", XML),
        ("application/fhir+xml, application/fhir+json", XML),
        ("application/fhir+json, application/fhir+xml", JSON),
        ("application/fhir+xml;q=0.5, application/fhir+json", JSON),
        ("application/fhir+json;q=0.5, application/fhir+xml;q=0.6", XML),
        ("application/fhir+json;q=0, */*", XML),
        ("application/fhir+xml;q=0.1, */*;q=0.2", JSON),
        ("*/*, application/fhir+xml", XML),
        ("application/fhir+xml;fhirVersion=5.0, application/fhir+json", JSON),
        ("application/fhir+json;fhirVersion=4.0", Wish(names_version=True)),
        ("application/fhir+xml;fhirVersion=4.0.1", Wish(Format.XML, names_version=True)),
        ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", JSON),
    ],
)
def test_accept(accept, expected):
    assert wish({} if accept is None else {"accept": accept}, "") == expected


@pytest.mark.parametrize(("accept", "expected"), [(None, XML), ("*/*", XML), ("application/fhir+json", JSON)])
def test_who_takes_anything_gets_the_format_that_he_sent(accept, expected):
    headers = {"content-type": "application/fhir+xml"}
    assert wish(headers if accept is None else {**headers, "accept": accept}, "") == expected


@pytest.mark.parametrize(
    ("accept", "query"),
    [
        ("application/json;q=0", ""),
        ("application/json;q=0.000", ""),
        ("application/json;q=x", ""),
        ("text/plain", ""),
        ("text/turtle", ""),
        ("application/fhir+xml;fhirVersion=3.0", ""),
        ("application/fhir+json", "_format=ttl"),
        ("application/fhir+json", "_format=application/fhir+xml;fhirVersion=1.0"),
    ],
)
def test_not_acceptable(accept, query):
    with pytest.raises(FhirError) as refused:
        wish({"accept": accept}, query)
    assert refused.value.status == 406


@pytest.mark.parametrize(
    ("content_type", "expected"),
    [
        (None, Format.JSON),
        ("application/json", Format.JSON),
        ("application/fhir+json; charset=UTF-8; fhirVersion=4.0", Format.JSON),
        ("application/fhir+xml", Format.XML),
        ('application/xml; charset="utf-8"', Format.XML),
        ("Text/XML", Format.XML),
    ],
)
def test_bodies(content_type, expected):
    assert body_format({} if content_type is None else {"content-type": content_type}) is expected


@pytest.mark.parametrize(
    "headers",
    [
        {"content-type": "*/*"},
        {"content-type": "application/json", "content-encoding": "gzip"},
        {"content-type": "application/fhir+xml; fhirVersion=5.0"},
        {"content-type": "application/fhir+xml; charset=iso-8859-1"},
        {"content-type": "text/turtle"},
    ],
)
def test_unsupported_bodies(headers):
    with pytest.raises(FhirError) as refused:
        body_format(headers)
    assert refused.value.status == 415


def test_a_form_may_name_its_charset():
    check_form({"content-type": "application/x-www-form-urlencoded; charset=UTF-8"})
    with pytest.raises(FhirError):
        check_form({"content-type": "multipart/form-data"})
