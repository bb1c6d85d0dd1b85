"""Formats: what the client sends and what it wants back.

https://hl7.org/fhir/R4/http.html#mime-type, https://hl7.org/fhir/R4/http.html#version-parameter. Inside, everything
is JSON: XML is a matter of the edge.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from urllib.parse import parse_qs

from fhir_server.outcome import FhirError, error

#: The content types of FHIR answers.
FHIR_JSON = "application/fhir+json; charset=utf-8"
FHIR_XML = "application/fhir+xml; charset=utf-8"


class Format(Enum):
    """A format of resources, with the content type of an answer in it."""

    JSON = FHIR_JSON
    XML = FHIR_XML


@dataclass(frozen=True, slots=True)
class Wish:
    """How the client wants the answer: its format, indented or not, with the version of FHIR in its Content-Type."""

    format: Format = Format.JSON
    pretty: bool = False
    names_version: bool = False


#: What most clients want.
JSON = Wish()

_NAMES = {
    Format.JSON: ("application/fhir+json", "application/json", "text/json", "json", "application/json+fhir"),
    Format.XML: ("application/fhir+xml", "application/xml", "text/xml", "xml", "application/xml+fhir"),
}
_FORMATS = {name: format_ for format_, names in _NAMES.items() for name in names}
#: What else allows a format, the most specific first. A browser gets JSON.
_WIDER = {
    Format.JSON: (
        ("text/html", "application/xhtml+xml", "application/schema+json"),
        ("application/*", "text/*"),
        ("*/*",),
    ),
    Format.XML: (("application/*", "text/*"), ("*/*",)),
}
#: What most clients send, answered without a closer look.
_PLAIN = frozenset((None, "", "*/*", "application/fhir+json", "application/json"))
_ANYTHING = (None, "", "*/*")
_R4 = {"4.0", "4.0.1"}
_CHARSETS = {"utf-8", "utf8", "us-ascii"}


def wish(headers: Mapping[str, str], query: str) -> Wish:
    """Return what ``_format``, ``_pretty`` and Accept ask for; raise FhirError 406 if it can't be had.

    ``_format`` outranks Accept. Among equal wishes the first named one counts; a client that takes anything gets the
    format of its own body, else JSON.
    """
    accept = headers.get("accept")
    if "_format" not in query and "_pretty" not in query:
        if accept in _PLAIN and (accept not in _ANYTHING or "xml" not in headers.get("content-type", "")):
            return JSON
        return _of_accept(accept or "*/*", headers, pretty=False)
    given = parse_qs(query, keep_blank_values=True)
    pretty = given.get("_pretty", ["false"])[-1] == "true"
    asked = given.get("_format", [""])[-1]
    if not asked:
        return _of_accept(accept or "*/*", headers, pretty=pretty)
    # A "+" in an unescaped application/fhir+json was read as a space.
    media, semicolon, parameters = asked.partition(";")
    entry = _Entry(media.strip().replace(" ", "+") + semicolon + parameters)
    format_ = _FORMATS.get(entry.media)
    if format_ is None or not entry.is_r4:
        raise _not_acceptable()
    return Wish(format_, pretty, entry.names_version)


def wish_or_content(headers: Mapping[str, str], query: str) -> Wish:
    """Return the wish of a client that may want the content of a Binary instead of one of FHIR's formats."""
    try:
        return wish(headers, query)
    except FhirError:
        return JSON


def body_format(headers: Mapping[str, str]) -> Format:
    """Return the format of a resource in the body; a missing Content-Type counts as JSON.

    Raises FhirError 415 for other formats, other versions of FHIR, other encodings than UTF-8.
    """
    check_encoding(headers)
    content_type = headers.get("content-type")
    if content_type is None or content_type == "application/fhir+json":
        return Format.JSON
    entry = _Entry(content_type)
    format_ = _FORMATS.get(entry.media)
    if format_ is None or not entry.is_r4 or entry.charset not in _CHARSETS:
        raise error(
            "not-supported",
            "The body's Content-Type is not supported: send application/fhir+json or application/fhir+xml"
            " (FHIR 4.0.1, UTF-8).",
            status=415,
            headers={"Accept-Post": "application/fhir+json, application/fhir+xml"},
        )
    return format_


def is_xml(headers: Mapping[str, str]) -> bool:
    """Tell whether the body is said to be XML."""
    return _FORMATS.get(headers.get("content-type", "").partition(";")[0].strip().lower()) is Format.XML


def check_encoding(headers: Mapping[str, str]) -> None:
    """Raise FhirError 415 if the body is compressed."""
    if headers.get("content-encoding", "identity") != "identity":
        raise error("not-supported", "Send the body without Content-Encoding.", status=415)


def check_form(headers: Mapping[str, str]) -> None:
    """Raise FhirError 415 unless the body of a _search is a form."""
    found = headers.get("content-type", "application/x-www-form-urlencoded").partition(";")[0].strip().lower()
    if found != "application/x-www-form-urlencoded":
        raise error("not-supported", "A POST to _search takes application/x-www-form-urlencoded.", status=415)


class _Entry:
    """One media type with its parameters, as Accept lists it."""

    __slots__ = ("charset", "is_r4", "media", "names_version", "quality")

    def __init__(self, text: str) -> None:
        media, *parameters = (part.strip().lower() for part in text.split(";"))
        self.media = media
        self.quality = 1.0
        self.charset = "utf-8"
        self.is_r4 = True
        self.names_version = False
        for parameter in parameters:
            name, _, value = parameter.partition("=")
            value = value.strip(' "')
            match name.strip():
                case "q":
                    self.quality = _quality(value)
                case "charset":
                    self.charset = value
                case "fhirversion":
                    self.names_version = True
                    self.is_r4 = value in _R4


def _quality(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        return 0.0
    return value if 0.0 <= value <= 1.0 else 0.0


def _of_accept(accept: str, headers: Mapping[str, str], *, pretty: bool) -> Wish:
    """Return the best of the formats by the rules of RFC 9110, 12.5.1."""
    entries = [entry for entry in map(_Entry, accept.split(",")) if entry.is_r4]
    preferred = Format.XML if "xml" in headers.get("content-type", "") else Format.JSON
    best: tuple[float, int, bool] = (0.0, 0, False)
    found = None
    for format_ in Format:
        position, entry = _most_specific(entries, format_)
        # A named format goes before one that only a wildcard allows; then the body's own format.
        order = (entry.quality, -position, format_ is preferred)
        if entry.quality > 0 and (found is None or order > best):
            best, found = order, Wish(format_, pretty, entry.names_version)
    if found is None:
        raise _not_acceptable()
    return found


def _most_specific(entries: Sequence[_Entry], format_: Format) -> tuple[int, _Entry]:
    """Return the entry that speaks most exactly of a format, and its position; wildcards stand behind all others."""
    for names in (_NAMES[format_], *_WIDER[format_]):
        of_level = [(position, entry) for position, entry in enumerate(entries) if entry.media in names]
        if of_level:
            position, entry = max(of_level, key=lambda row: (row[1].quality, -row[0]))
            return (position if names is _NAMES[format_] else len(entries)), entry
    return len(entries), _NEVER


_NEVER = _Entry("none/none;q=0")


def _not_acceptable() -> FhirError:
    return error(
        "not-supported",
        "This server answers in application/fhir+json and application/fhir+xml (FHIR 4.0.1); Accept or _format asks"
        " for something else.",
        status=406,
    )
