"""What the primitive types of R4 accept: JSON type, lexical form, range, and dates that the calendar has.

Each ``Primitive`` has a test for any JSON value and a sentence for the sender of a value that fails it.

https://hl7.org/fhir/R4/datatypes.html#primitive
"""

from __future__ import annotations

import binascii
import re
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from fhir_server.messages import say

#: Characters that a string may have (1 MB in the specification's words).
MAX_STRING = 1_048_576
#: The largest integer; FHIR's are signed and have 32 bits.
MAX_INTEGER = 2_147_483_647
#: A decimal that is written without fraction must stay below this.
MAX_WHOLE = 10**500

_DAY = r"(?!0000)[0-9]{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12][0-9]|3[01])"
_TIME = r"(?:[01][0-9]|2[0-3]):[0-5][0-9]:(?:[0-5][0-9]|60)(?:\.[0-9]+)?"
_ZONE = r"(?:Z|[+-](?:(?:0[0-9]|1[0-3]):[0-5][0-9]|14:00))"
_PARTIAL_DAY = r"(?!0000)[0-9]{4}(?:-(?:0[1-9]|1[0-2])(?:-(?:0[1-9]|[12][0-9]|3[01])"

_date = re.compile(_PARTIAL_DAY + ")?)?").fullmatch
_date_time = re.compile(f"{_PARTIAL_DAY}(?:T{_TIME}{_ZONE})?)?)?").fullmatch
_instant = re.compile(f"{_DAY}T{_TIME}{_ZONE}").fullmatch
_time = re.compile(_TIME).fullmatch
_code = re.compile(r"[^\s\x00-\x1f]+(?: [^\s\x00-\x1f]+)*").fullmatch
_id = re.compile(r"[A-Za-z0-9\-.]{1,64}").fullmatch
_oid = re.compile(r"urn:oid:[0-2](?:\.(?:0|[1-9][0-9]*))+").fullmatch
_uuid = re.compile(r"urn:uuid:[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}").fullmatch
# A URN of the two kinds that FHIR speaks of must be one; any other text without white space may be a URI.
_uri = re.compile(
    r"(?!urn:(?:oid|uuid):)[^\s\x00-\x20]+|urn:oid:[0-2](?:\.(?:0|[1-9][0-9]*))*"
    r"|urn:uuid:[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}(?:[#|?][^\s\x00-\x20]*)?"
).fullmatch
_canonical = re.compile(r"[^\s\x00-\x20]+").fullmatch
_control = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f]").search
_white_space = str.maketrans("", "", " \t\r\n")

_LONG_MONTHS = frozenset({"01", "03", "05", "07", "08", "10", "12"})


@dataclass(frozen=True, slots=True)
class Primitive:
    """One primitive type.

    ``accepts`` tells whether any JSON value is one; ``json`` is the JSON type in words; ``form`` completes
    the sentence "The value must be ...".
    """

    name: str
    accepts: Callable[[Any], bool]
    json: str
    form: str

    def problem(self, value: Any) -> tuple[str, str]:
        """Return issue code and sentence for a value that ``accepts`` refused; never repeats the value."""
        found = json_type(value)
        expected = self.json.rpartition(" ")[2]
        if found != expected:
            return "structure", say(
                "The value must be {json} ({name}), not {found}.",
                json=say(self.json),
                name=self.name,
                found=say(JSON_TYPES[found]),
            )
        if isinstance(value, str):
            if not value:
                return "value", "The text must not be empty: leave the element out instead."
            if len(value) > MAX_STRING and self.name != "base64Binary":
                return "value", say("The text must have at most {limit} characters.", limit=MAX_STRING)
        return "value", say("The value must be {form}.", form=say(self.form))


def json_type(value: Any) -> str:
    """Return the JSON type of a decoded value: string, number, boolean, null, object or array."""
    if isinstance(value, bool):
        return "boolean"
    for type_, name in ((str, "string"), (dict, "object"), (list, "array")):
        if isinstance(value, type_):
            return name
    return "null" if value is None else "number"


#: What sentences call the types of JSON.
JSON_TYPES = {
    "string": "a string",
    "number": "a number",
    "boolean": "a boolean",
    "null": "null",
    "object": "an object",
    "array": "an array",
}


def has_day(text: str) -> bool:
    """Tell whether the calendar has the day of a date or dateTime whose shape is right."""
    day = text[8:10]
    if day <= "28":
        return True
    month = text[5:7]
    if month == "02":
        year = int(text[:4])
        return day == "29" and year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
    return day <= "30" or month in _LONG_MONTHS


def is_boolean(value: Any) -> bool:
    """Tell whether a JSON value is a FHIR boolean."""
    return value is True or value is False


def is_string(value: Any) -> bool:
    """Tell whether a JSON value is a FHIR string or markdown: some text that is more than white space."""
    return (
        type(value) is str
        and not (value == "" or value.isspace())
        and (value.isprintable() or not _control(value))
        and len(value) <= MAX_STRING
    )


def is_code(value: Any) -> bool:
    """Tell whether a JSON value is a FHIR code: words with single spaces between them."""
    return type(value) is str and _code(value) is not None and len(value) <= MAX_STRING


def is_id(value: Any) -> bool:
    """Tell whether a JSON value is a FHIR id."""
    return type(value) is str and _id(value) is not None


def is_uri(value: Any) -> bool:
    """Tell whether a JSON value is a FHIR uri or url."""
    return type(value) is str and _uri(value) is not None and len(value) <= MAX_STRING


def is_canonical(value: Any) -> bool:
    """Tell whether a JSON value is a FHIR canonical: a URL, maybe with version and fragment."""
    return type(value) is str and _canonical(value) is not None and len(value) <= MAX_STRING


def is_oid(value: Any) -> bool:
    """Tell whether a JSON value is a FHIR oid."""
    return type(value) is str and _oid(value) is not None


def is_uuid(value: Any) -> bool:
    """Tell whether a JSON value is a FHIR uuid."""
    return type(value) is str and _uuid(value) is not None


def is_date(value: Any) -> bool:
    """Tell whether a JSON value is a FHIR date: a year, a month or a day."""
    return type(value) is str and _date(value) is not None and has_day(value)


def is_date_time(value: Any) -> bool:
    """Tell whether a JSON value is a FHIR dateTime: a date, or a day with time and offset."""
    return type(value) is str and _date_time(value) is not None and has_day(value)


def is_instant(value: Any) -> bool:
    """Tell whether a JSON value is a FHIR instant."""
    return type(value) is str and _instant(value) is not None and has_day(value)


def is_time(value: Any) -> bool:
    """Tell whether a JSON value is a FHIR time."""
    return type(value) is str and _time(value) is not None


def is_decimal(value: Any) -> bool:
    """Tell whether a JSON value is a FHIR decimal."""
    if type(value) is int:
        return -MAX_WHOLE < value < MAX_WHOLE
    return (isinstance(value, Decimal) and value.is_finite()) or (type(value) is float and value - value == 0)


def is_integer(value: Any) -> bool:
    """Tell whether a JSON value is a FHIR integer."""
    return type(value) is int and -MAX_INTEGER <= value + 1 <= MAX_INTEGER + 1


def is_unsigned_int(value: Any) -> bool:
    """Tell whether a JSON value is a FHIR unsignedInt."""
    return type(value) is int and 0 <= value <= MAX_INTEGER


def is_positive_int(value: Any) -> bool:
    """Tell whether a JSON value is a FHIR positiveInt."""
    return type(value) is int and 1 <= value <= MAX_INTEGER


def is_base64_binary(value: Any) -> bool:
    """Tell whether a JSON value is FHIR base64Binary; white space within is allowed."""
    if type(value) is not str or not value.isascii():
        return False
    text = value.translate(_white_space)
    try:
        return bool(binascii.a2b_base64(text, strict_mode=True)) if text else False
    except binascii.Error:
        return False


_TEXT = f"text with other characters than white space, without control characters, of at most {MAX_STRING}"

#: All primitive types of R4 but xhtml (see ``xhtml``).
PRIMITIVES: dict[str, Primitive] = {
    p.name: p
    for p in (
        Primitive("boolean", is_boolean, "a boolean", "true or false"),
        Primitive("string", is_string, "a string", _TEXT),
        Primitive("markdown", is_string, "a string", _TEXT),
        Primitive(
            "code",
            is_code,
            "a string",
            "a code: no white space at its ends and only single spaces between its words",
        ),
        Primitive("id", is_id, "a string", "1 to 64 characters: A-Z, a-z, 0-9, hyphens and dots"),
        Primitive(
            "uri",
            is_uri,
            "a string",
            "a URI without white space (urn:uuid: is followed by a UUID, urn:oid: by an OID)",
        ),
        Primitive("url", is_uri, "a string", "a URL without white space"),
        Primitive(
            "canonical",
            is_canonical,
            "a string",
            "a canonical URL without white space, with |version after it if need be",
        ),
        Primitive("oid", is_oid, "a string", "an OID such as urn:oid:1.2.3.4.5"),
        Primitive(
            "uuid", is_uuid, "a string", "a UUID such as urn:uuid:c757873d-ec9a-4326-a141-556f43239520"
        ),
        Primitive("date", is_date, "a string", "a date that exists: YYYY, YYYY-MM or YYYY-MM-DD"),
        Primitive(
            "dateTime",
            is_date_time,
            "a string",
            "a date that exists (YYYY, YYYY-MM or YYYY-MM-DD), or one with time and offset: "
            "YYYY-MM-DDThh:mm:ss and Z or +hh:mm",
        ),
        Primitive(
            "instant",
            is_instant,
            "a string",
            "a moment that exists: YYYY-MM-DDThh:mm:ss with an offset (Z or +hh:mm)",
        ),
        Primitive("time", is_time, "a string", "a time of day: hh:mm:ss, 00 to 23 hours, without offset"),
        Primitive("decimal", is_decimal, "a number", "a number of at most 500 digits"),
        Primitive(
            "integer",
            is_integer,
            "a number",
            "a whole number between -2147483648 and 2147483647, without . and e",
        ),
        Primitive("unsignedInt", is_unsigned_int, "a number", "a whole number between 0 and 2147483647"),
        Primitive("positiveInt", is_positive_int, "a number", "a whole number between 1 and 2147483647"),
        Primitive("base64Binary", is_base64_binary, "a string", "base64 with padding, and not empty"),
    )
}
