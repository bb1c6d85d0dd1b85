"""The attribute ``value`` of a FHIR XML element, as the value that JSON holds.

https://hl7.org/fhir/R4/xml.html#primitive, https://hl7.org/fhir/R4/datatypes.html#decimal
"""

from __future__ import annotations

import re
from typing import Any

from fhir_server.datatypes.json_format import MAX_DIGITS, WrittenDecimal, read_number
from fhir_server.datatypes.xml_tables import Form, Row
from fhir_server.messages import say
from fhir_server.outcome import FhirError

_INTEGER = re.compile(r"0|[-+]?[1-9][0-9]*").fullmatch
_DECIMAL = re.compile(r"-?(?:0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?").fullmatch


def read_value(row: Row, text: str) -> tuple[Any, str]:
    """Return the value, or the text as it is and a sentence that tells what is wrong with it ("": nothing)."""
    form, key = row.form, row.key
    if not text:
        return text, say("The value of {key} is empty: leave the attribute out.", key=key)
    if form is Form.STRING:
        return text, ""
    if form is Form.BOOLEAN:
        if text in ("true", "false"):
            return text == "true", ""
        return text, say("{key} must be true or false.", key=key)
    if len(text) > MAX_DIGITS:
        return text, say(
            "{key} has more than {digits} characters: send it rounded.", key=key, digits=MAX_DIGITS
        )
    return _integer(key, text) if form is Form.INTEGER else _decimal(key, text)


def _integer(key: str, text: str) -> tuple[Any, str]:
    if _INTEGER(text):
        return int(text), ""
    return text, say("{key} must be a whole number without leading zeros.", key=key)


def _decimal(key: str, text: str) -> tuple[Any, str]:
    found = _DECIMAL(text)
    if found is None:
        return text, say("{key} must be a decimal number such as 1.50.", key=key)
    if not found[1] and not found[2]:
        return (WrittenDecimal(text) if text == "-0" else int(text)), ""
    try:
        return read_number(text), ""
    except FhirError as refused:
        return text, refused.issues[0].diagnostics
