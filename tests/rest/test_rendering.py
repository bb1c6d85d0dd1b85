"""From FhirResponse to ASGI messages."""

import gzip

import pytest

from fhir_server.datatypes.xml_format import XmlFormat
from fhir_server.definitions import Definitions
from fhir_server.interactions.exchange import FhirResponse
from fhir_server.rest.negotiation import JSON, Format, Wish
from fhir_server.rest.rendering import formatted, send_response


async def sent(response, method="GET", headers=None, wish=JSON):
    messages = []

    async def send(message):
        messages.append(message)

    await send_response(send, response, "r-1", method, headers or {}, wish=wish)
    start, body = messages
    return start["status"], dict(start["headers"]), body["body"]


async def test_parts_are_joined_and_counted():
    status, headers, body = await sent(FhirResponse(200, (("ETag", 'W/"1"'),), (b'{"a":', b"1}")))
    assert (status, body) == (200, b'{"a":1}')
    assert headers[b"content-length"] == b"7"
    assert headers[b"etag"] == b'W/"1"'
    assert headers[b"x-request-id"] == b"r-1"


async def test_head_has_the_length_and_no_body():
    _, headers, body = await sent(FhirResponse(200, (), (b"{}",)), method="HEAD")
    assert (headers[b"content-length"], body) == (b"2", b"")


@pytest.mark.parametrize("status", [204, 304])
async def test_answers_without_content_have_no_length_and_no_type(status):
    _, headers, body = await sent(FhirResponse(status))
    assert body == b""
    assert b"content-length" not in headers
    assert b"content-type" not in headers


@pytest.mark.parametrize(("accepted", "packed"), [("gzip, br", True), ("br", False), ("", False)])
async def test_large_bodies_are_compressed_for_those_who_can_read_it(accepted, packed):
    large = b'{"x":"' + b"a" * 10_000 + b'"}'
    _, headers, body = await sent(FhirResponse(200, (), (large,)), headers={"accept-encoding": accepted})
    assert (headers.get(b"content-encoding") == b"gzip") is packed
    assert (gzip.decompress(body) if packed else body) == large
    assert headers[b"content-length"] == b"%d" % len(body)


PARTS = FhirResponse(200, (("ETag", 'W/"1"'),), (b'{"resourceType":"Basic","a', b'":1.50,"b":1E+2}'))


def test_pretty_keeps_the_text_of_numbers():
    answer = formatted(PARTS, Wish(pretty=True), XmlFormat(Definitions().types))
    assert answer.body == (b'{\n  "resourceType": "Basic",\n  "a": 1.50,\n  "b": 1E+2\n}',)
    assert answer.headers == PARTS.headers


async def test_xml():
    response = FhirResponse(200, (), (b'{"resourceType":"Basic",', b'"id":"a"}'))
    wish = Wish(Format.XML, names_version=True)
    _, headers, body = await sent(formatted(response, wish, XmlFormat(Definitions().types)), wish=wish)
    assert body.endswith(b'<Basic xmlns="http://hl7.org/fhir"><id value="a"/></Basic>')
    assert headers[b"content-type"] == b"application/fhir+xml; charset=utf-8; fhirVersion=4.0"
    assert headers[b"vary"] == b"accept, authorization"
    assert headers[b"content-length"] == b"%d" % len(body)


def test_an_answer_without_body_stays_without():
    assert formatted(FhirResponse(304), Wish(Format.XML), XmlFormat(Definitions().types)) == FhirResponse(304)
