"""What is wrong with a FHIR XML document, in sentences that tell the sender what to change.

https://hl7.org/fhir/R4/xml.html
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from difflib import get_close_matches
from xml.parsers import expat

from fhir_server.datatypes.xml_tables import FHIR, XHTML, Table
from fhir_server.messages import say
from fhir_server.outcome import FhirError, Issue

_WORD = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,63}").fullmatch
_UNDEFINED_ENTITY = expat.errors.codes[expat.errors.XML_ERROR_UNDEFINED_ENTITY]


def unknown_element(name: str, table: Table, *, suggests: bool) -> str:
    """Return what is said of an element (namespace and name) that its parent, whose ``table`` it is, doesn't have.

    Looking for similar names is slow: it is done if one ``suggests``.
    """
    space, _, local = name.rpartition(" ")
    shown = say("element <{local}>", local=local) if _WORD(local) else say("such element")
    known = [key.partition(" ")[2] for key in table.by_xml]
    if local in known:
        wanted = XHTML if f"{XHTML} {local}" in table.by_xml else FHIR
        return say('The element <{local}> must be of the namespace "{wanted}".', local=local, wanted=wanted)
    if space not in (FHIR, XHTML):
        return say(
            "Elements of other namespaces are not allowed, there is no {shown} here: remove it.", shown=shown
        )
    if local in table.attributes:
        return say("{local} is an attribute here, not an element.", local=local)
    near = get_close_matches(local, known, 1, 0.6) if suggests else ()
    advice = say("did you mean <{near}>?", near=near[0]) if near else say("remove it.")
    return say("{of} has no {shown}: {advice}", of=table.name, shown=shown, advice=advice)


def no_resource(name: str, resource_types: Iterable[str]) -> str:
    """Return what is said of an element that stands where a resource must, and is none."""
    space, _, local = name.rpartition(" ")
    if space != FHIR:
        return say(
            'The element must be a resource of the namespace "{namespace}": write it as xmlns.',
            namespace=FHIR,
        )
    near = get_close_matches(local, list(resource_types), 1, 0.7) if _WORD(local) else ()
    if near:
        return say(
            "The element's name must be that of a resource type of R4: did you mean <{near}>?", near=near[0]
        )
    return "The element's name must be that of a resource type of R4."


def unknown_attribute(key: str, advice: str) -> str:
    """Return what is said of an attribute that may not be there."""
    local = key.rpartition(" ")[2]
    shown = say("The attribute {local}", local=local) if _WORD(local) else say("An attribute")
    return say("{shown} is not allowed: {advice}.", shown=shown, advice=advice)


def check_encoding(data: bytes) -> None:
    """Raise FhirError 400 for a text that is empty or not UTF-8."""
    if not data.strip():
        raise FhirError(Issue("error", "structure", "The body is empty: send a resource as XML."), status=400)
    try:
        data.decode()
    except UnicodeDecodeError as wrong:
        line = data.count(b"\n", 0, wrong.start) + 1
        column = wrong.start - data.rfind(b"\n", 0, wrong.start)
        raise FhirError(
            Issue("error", "structure", "The body must be encoded in UTF-8.", "", "", line, column),
            status=400,
        ) from None


def malformed(wrong: expat.ExpatError) -> FhirError:
    """Return the FhirError 400 for a text that isn't well-formed."""
    line, column = wrong.lineno, wrong.offset + 1
    if wrong.code == _UNDEFINED_ENTITY:
        reason = say("write the character instead of a named entity")
    else:
        reason = expat.ErrorString(wrong.code) or "unknown error"
    text = say(
        "The body is not well-formed XML: {reason} (line {line}, column {column}).",
        reason=reason,
        line=line,
        column=column,
    )
    return FhirError(Issue("error", "structure", text, "", "", line, column), status=400)
