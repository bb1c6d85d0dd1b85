"""The ``path`` of variables and assertions: JSONPath when it begins with ``$``, else XPath; both on either format.

https://hl7.org/fhir/R4/testscript-definitions.html#TestScript.variable.path, RFC 9535 (JSONPath), XPath 2.0
"""

from __future__ import annotations

import json
from typing import Any
from xml.etree import ElementTree as ET

import elementpath
import jsonpath_rfc9535

from fhir_server.outcome import FhirError
from fhir_server.testscript.message import Message, ScriptError

FHIR = "http://hl7.org/fhir"
XHTML = "http://www.w3.org/1999/xhtml"
#: The prefixes that scripts use; a name without one is FHIR's.
_NAMESPACES = {"": FHIR, "f": FHIR, "fhir": FHIR, "h": XHTML, "xhtml": XHTML}


def select(path: str, message: Message) -> list[str]:
    """Return the texts of what a path selects in a message.

    Raises ScriptError for a path that is malformed; a body that can't be read has nothing to select.
    """
    try:
        return _json(path, message) if path.lstrip().startswith("$") else _xml(path, message)
    except (FhirError, ValueError, ET.ParseError):
        return []


def _json(path: str, message: Message) -> list[str]:
    try:
        query = jsonpath_rfc9535.compile(path.strip())
    except jsonpath_rfc9535.JSONPathError as reason:
        raise ScriptError(f'The path "{path}" is no JSONPath: {reason}') from None
    return [as_text(value) for value in query.find(message.as_json()).values()]


def _xml(path: str, message: Message) -> list[str]:
    body = message.as_xml()
    if b"<!DOCTYPE" in body:  # entities are not expanded for anybody
        return []
    # The parser of the standard library fetches nothing; what it could expand is refused above.
    tree = ET.ElementTree(ET.fromstring(body))  # noqa: S314
    try:
        found = elementpath.select(tree, path, _NAMESPACES)
    except elementpath.ElementPathError as reason:
        raise ScriptError(f'The path "{path}" is no XPath: {reason}') from None
    return [_xml_text(item) for item in (found if isinstance(found, list) else [found])]


def _xml_text(item: Any) -> str:
    """Return the text of a result; that of a FHIR element is its value."""
    if isinstance(item, ET.Element):
        return item.get("value", "".join(item.itertext()).strip())
    if isinstance(item, float) and item.is_integer():
        return str(int(item))
    return as_text(item)


def as_text(value: Any) -> str:
    """Return a value as scripts compare it: booleans and structures as JSON, else its text."""
    if isinstance(value, bool) or value is None or isinstance(value, dict | list):
        return json.dumps(value, ensure_ascii=False, default=str)
    return str(value)
