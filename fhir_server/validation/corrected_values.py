"""How a primitive value that has the wrong form was meant: what can be told from its text alone.

https://hl7.org/fhir/R4/datatypes.html#primitive
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any

from fhir_server.datatypes.primitives import PRIMITIVES, Primitive
from fhir_server.messages import say

#: A value, and what must be true for it to be the one that was meant ("": nothing).
Meant = tuple[Any, str]

_DAY_FIRST = re.compile(r"(\d{1,2})[/.\-](\d{1,2})[/.\-](\d{4})").fullmatch
_YEAR_FIRST = re.compile(r"(\d{4})[/.\-](\d{1,2})(?:[/.\-](\d{1,2}))?").fullmatch
_COMPACT = re.compile(r"(\d{4})(\d{2})(\d{2})").fullmatch
_MOMENT = re.compile(
    r"(?P<day>[\d/.\-]+?)[Tt ](?P<hour>\d{1,2}):(?P<minute>\d{2})(?P<second>:\d{2}(?:\.\d+)?)?"
    r" ?(?P<zone>[Zz]|[+-]\d{2}(?::?\d{2})?)?"
).fullmatch
_CLOCK = re.compile(r"(\d{1,2}):(\d{2})(:\d{2}(?:\.\d+)?)?(?:[Zz])?").fullmatch
_MIDNIGHT = re.compile(r"T00:00:00(\.0+)?(Z|[+-]\d{2}:\d{2})?$")
_UUID = re.compile(r"(?:urn:uuid:)?([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})", re.IGNORECASE).fullmatch
_NUMBER = re.compile(r"-?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?").fullmatch
_COMMA = re.compile(r"(-?(?:0|[1-9]\d*)),(\d{1,2})").fullmatch
_WHOLE = re.compile(r"(-?\d+)\.0+").fullmatch
_WORDS = {"true": True, "false": False}
_MAX_DIGITS = 100


def meant(value: Any, primitive: Primitive) -> Meant | None:
    """Return the value of the primitive type that was meant, or None if that can't be told."""
    for candidate, assumption in _candidates(value, primitive):
        if candidate != value and primitive.accepts(candidate):
            return candidate, assumption
        if type(candidate) is not type(value) and primitive.accepts(candidate):
            return candidate, assumption
    return None


def _candidates(value: Any, primitive: Primitive) -> Iterator[Meant]:
    if isinstance(value, str):
        text = value.strip()
        yield text, ""
        yield " ".join(text.split()) if primitive.name == "code" else text, ""
        reader = _READERS.get(primitive.name)
        if reader is not None:
            yield from reader(text)
        if primitive.json == "a number":
            yield from _number(text)
    elif primitive.json == "a string":
        yield from _text(value)
    elif primitive.json == "a number" and type(value) is not bool:
        whole = _WHOLE(str(value))
        if whole is not None:
            yield int(whole[1]), ""


def _text(value: Any) -> Iterator[Meant]:
    if type(value) is bool:
        yield str(value).lower(), ""
    elif isinstance(value, int | Decimal) and len(str(value)) <= _MAX_DIGITS:
        yield getattr(value, "text", str(value)), ""


def _number(text: str) -> Iterator[Meant]:
    if len(text) > _MAX_DIGITS:
        return
    if (comma := _COMMA(text)) is not None:
        text = f"{comma[1]}.{comma[2]}"
    found = _NUMBER(text)
    if found is not None:
        yield Decimal(text) if found[2] or found[3] else int(text), ""
        if (whole := _WHOLE(text)) is not None:
            yield int(whole[1]), ""


def _boolean(text: str) -> Iterator[Meant]:
    if text.lower() in _WORDS:
        yield _WORDS[text.lower()], ""


def _date(text: str) -> Iterator[Meant]:
    day = _day(text)
    if day is not None:
        yield day, ""
    if _MIDNIGHT.search(text):
        yield text[:10], ""


def _day(text: str) -> str | None:
    """Return a date that is written in another way; None if it isn't plain which number is the month."""
    if (found := _DAY_FIRST(text)) is not None:
        first, second, year = int(found[1]), int(found[2]), found[3]
        if first == second or first > 12:
            return f"{year}-{second:02}-{first:02}"
        return f"{year}-{first:02}-{second:02}" if second > 12 else None
    found = _YEAR_FIRST(text) or _COMPACT(text)
    if found is None:
        return None
    return "-".join([found[1], *(f"{int(part):02}" for part in found.groups()[1:] if part)])


def _date_time(text: str) -> Iterator[Meant]:
    yield from _moment(text)
    day = _day(text)
    if day is not None:
        yield day, ""


def _moment(text: str) -> Iterator[Meant]:
    found = _MOMENT(text)
    day = _day(found["day"]) if found is not None else None
    if found is None or day is None:
        return
    clock = f"{int(found['hour']):02}:{found['minute']}{found['second'] or ':00'}"
    zone = (found["zone"] or "").upper()
    if zone and zone != "Z":
        digits = zone[1:].replace(":", "").ljust(4, "0")
        zone = f"{zone[0]}{digits[:2]}:{digits[2:]}"
    if zone:
        yield f"{day}T{clock}{zone}", ""
    else:
        yield f"{day}T{clock}Z", say("the time is in UTC")


def _time(text: str) -> Iterator[Meant]:
    if (found := _CLOCK(text)) is not None:
        yield f"{int(found[1]):02}:{found[2]}{found[3] or ':00'}", ""


def _uuid(text: str) -> Iterator[Meant]:
    if (found := _UUID(text)) is not None:
        yield f"urn:uuid:{found[1].lower()}", ""


def _uri(text: str) -> Iterator[Meant]:
    yield from _uuid(text.removeprefix("uuid:"))
    yield text.replace(" ", "%20"), say("the spaces belong to the address")


def _oid(text: str) -> Iterator[Meant]:
    yield f"urn:oid:{text.lower().removeprefix('urn:').removeprefix('oid:')}", ""


def _id(text: str) -> Iterator[Meant]:
    yield re.sub(r"[^A-Za-z0-9\-.]+", "-", text), say("nothing refers to the id as it is now")


def _base64(text: str) -> Iterator[Meant]:
    plain = "".join(text.split()).replace("-", "+").replace("_", "/").rstrip("=")
    yield plain + "=" * (-len(plain) % 4), ""


_READERS: dict[str, Callable[[str], Iterator[Meant]]] = {
    "boolean": _boolean,
    "date": _date,
    "dateTime": _date_time,
    "instant": _moment,
    "time": _time,
    "uuid": _uuid,
    "uri": _uri,
    "url": _uri,
    "canonical": _uri,
    "oid": _oid,
    "id": _id,
    "base64Binary": _base64,
}
#: The primitive types by what sentences say of their form.
BY_FORM = {primitive.form: primitive for primitive in PRIMITIVES.values()}
