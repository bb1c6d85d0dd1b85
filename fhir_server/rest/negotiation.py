"""Formats: what the client sends and what it wants back.

https://hl7.org/fhir/R4/http.html#mime-type. This version speaks JSON; XML is answered with 406 or 415.
"""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import parse_qs

from fhir_server.outcome import error

#: The content type of every FHIR answer.
FHIR_JSON = "application/fhir+json; charset=utf-8"

_JSON_TYPES = {"application/fhir+json", "application/json", "text/json", "json", "application/json+fhir"}
#: What most clients send, accepted without a closer look.
_PLAIN = {"application/fhir+json", "application/json", "*/*"}
_ANY = {"*/*", "application/*", "text/*"}
_R4 = {"4.0", "4.0.1"}


def check_accept(headers: Mapping[str, str], query: str) -> bool:
    """Raise FhirError 406 unless JSON is among what ``_format`` or Accept ask for; return whether to indent.

    ``_format`` outranks Accept. A client that asks for a web page or for anything gets JSON.
    """
    pretty = False
    if "_format" in query or "_pretty" in query:
        parameters = parse_qs(query, keep_blank_values=True)
        pretty = parameters.get("_pretty", ["false"])[-1] == "true"
        asked = parameters.get("_format", [""])[-1]
        if asked:
            # A "+" in an unescaped application/fhir+json was read as a space.
            if not _is_json(asked.replace(" ", "+")):
                raise _not_acceptable()
            return pretty
    accept = headers.get("accept")
    if accept and accept not in _PLAIN and not any(_is_json(entry) for entry in accept.split(",")):
        raise _not_acceptable()
    return pretty


def check_encoding(headers: Mapping[str, str]) -> None:
    """Raise FhirError 415 when the body is compressed."""
    if headers.get("content-encoding", "identity") != "identity":
        raise error("not-supported", "Send the body without Content-Encoding.", status=415)


def check_content_type(headers: Mapping[str, str]) -> None:
    """Raise FhirError 415 unless a resource in the body is said to be JSON; a missing Content-Type counts as JSON."""
    check_encoding(headers)
    content_type = headers.get("content-type")
    if (
        content_type is None
        or content_type == "application/fhir+json"
        or _is_json(content_type, wildcard=False)
    ):
        return
    raise error(
        "not-supported",
        "The body's Content-Type is not supported: send application/fhir+json.",
        status=415,
        headers={"Accept-Post": "application/fhir+json"},
    )


def check_form(headers: Mapping[str, str]) -> None:
    """Raise FhirError 415 unless the body of a _search is a form."""
    found = headers.get("content-type", "application/x-www-form-urlencoded").partition(";")[0].strip().lower()
    if found != "application/x-www-form-urlencoded":
        raise error("not-supported", "A POST to _search takes application/x-www-form-urlencoded.", status=415)


def _is_json(entry: str, *, wildcard: bool = True) -> bool:
    media, *parameters = (part.strip().lower() for part in entry.split(";"))
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip() == "q" and value.strip().rstrip("0").rstrip(".") in ("", "0"):
            return False
        if name.strip() == "fhirversion" and value.strip(' "') not in _R4:
            return False
    return media in _JSON_TYPES or (
        wildcard and (media in _ANY or media in ("text/html", "application/xhtml+xml"))
    )


def _not_acceptable() -> Exception:
    return error(
        "not-supported",
        "This server answers in application/fhir+json (FHIR 4.0.1); Accept or _format asks for something else.",
        status=406,
    )
