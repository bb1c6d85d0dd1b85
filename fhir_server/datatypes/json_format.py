"""FHIR JSON as bytes, read and written without loss.

``decode`` turns the bytes of one resource into plain dicts, lists, strings, booleans, integers and
Decimals; ``encode`` writes them back. Order, trailing zeros, digits beyond 64 bits and the very text of a
number survive the round trip.

What a parser would let pass silently and two readers could understand differently is refused: repeated
property names, NUL and other control characters, lone surrogates, numbers that no reader can hold, nesting
beyond ``MAX_DEPTH``.

https://hl7.org/fhir/R4/json.html
"""

from __future__ import annotations

import json
import re
from decimal import Decimal, InvalidOperation
from typing import Any, NoReturn, Self

import msgspec

from fhir_server.datatypes.positions import deeper_than, repeated_name
from fhir_server.messages import say
from fhir_server.outcome import FhirError, Issue, error

#: Levels of objects and arrays that are accepted, the resource itself being the first.
MAX_DEPTH = 64
#: Digits that a number may have, and the largest power of ten that its first digit may stand for.
MAX_DIGITS = 500
MAX_EXPONENT = 999

_BOM = b"\xef\xbb\xbf"
#: Deletes all but brackets, and makes the square ones curly.
_TO_BRACES = bytes.maketrans(b"[]", b"{}")
_NOT_BRACKETS = bytes(b for b in range(256) if b not in b"[]{}")
_NEGATIVE_ZERO = re.compile(rb"-0(?=[\s,\]}])")
_SUSPECT_ESCAPE = re.compile(rb"\\(?:u00|[bf])")
_WHITE_SPACE = b" \t\n\r"
_INEXACT = (b" :", b"\n:", b"\r:", b"\t:", b"\\u0022", b"\\u003")
#: Both match from the start up to the first escape that is refused; possessive, so the time is linear.
_NO_CONTROL = re.compile(
    rb"(?:[^\\]++|\\(?:[^bfu]|u(?!00(?:0[0-8bcef]|1[0-9a-f]))))*+", re.IGNORECASE | re.DOTALL
)
_NO_LONE_SURROGATE = re.compile(
    rb"(?:[^\\]++|\\(?:[^u]|ud[89ab]..\\ud[c-f]|u(?!d[89a-f])))*+", re.IGNORECASE | re.DOTALL
)
_AT_BYTE = re.compile(r"^(?:JSON is malformed: )?(.*?) \(byte (\d+)\)$")
_WORD = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")


class WrittenDecimal(Decimal):
    """A Decimal whose text in JSON isn't what ``str`` makes of it (``1e2``, ``0.00000001``, ``-0``)."""

    __slots__ = ("text",)
    text: str

    def __new__(cls, text: str) -> Self:
        """Return the number of ``text``; raise decimal.InvalidOperation if Decimal can't hold it."""
        number = super().__new__(cls, text)
        number.text = text
        return number

    def __copy__(self) -> WrittenDecimal:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> WrittenDecimal:
        return self

    def __reduce__(self) -> tuple[type[WrittenDecimal], tuple[str]]:
        return WrittenDecimal, (self.text,)


def decode(data: bytes) -> dict[str, Any]:
    """Return the JSON object in ``data`` (UTF-8, with or without a byte order mark).

    Numbers with a fraction or exponent become Decimal, others int. Raises FhirError with status 400 and one
    issue, naming line and column where they are known, for everything that isn't one well-formed JSON object.
    """
    value = _decoded(data)
    if type(value) is not dict:
        raise error(
            "structure", "The body must be a JSON object: a resource with its resourceType.", status=400
        )
    return value


def decode_list(data: bytes) -> list[Any]:
    """Return the JSON array in ``data``, such as a JSON Patch; reads and raises like ``decode``."""
    value = _decoded(data)
    if type(value) is not list:
        raise error("structure", "The body must be a JSON array of operations.", status=400)
    return value


def _decoded(data: bytes) -> Any:
    if data[:3] == _BOM:
        data = data[3:]
    try:
        value = _decoder.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError) as reason:
        _malformed(data, reason)
    except RecursionError:
        raise _too_deep(data) from None
    if data.count(b"{") + data.count(b"[") > MAX_DEPTH:
        _check_depth(data, value)
    # Written again, a compact body that says nothing twice is the same bytes: the cheapest exact proof.
    compact = _encoder.encode(value)
    if compact != data:
        value = _screened(data, compact, value)
    if _SUSPECT_ESCAPE.search(data):
        _check_controls(data)
    return value


def decode_own(data: bytes) -> dict[str, Any]:
    """Return a JSON object that this server wrote: without the checks of ``decode``, and of any depth."""
    if _NEGATIVE_ZERO.search(data):
        reread: dict[str, Any] = json.loads(data, parse_float=read_number, parse_int=_integer)
        return reread
    value: dict[str, Any] = _decoder.decode(data)
    return value


def encode(value: Any) -> bytes:
    """Return ``value`` as compact JSON; numbers that came from ``decode`` keep their text."""
    return _encoder.encode(value)


def read_number(text: str) -> Decimal:
    """Return a number with fraction or exponent that keeps its text; raise FhirError if it is beyond the limits."""
    if len(text) > MAX_DIGITS:
        raise _number_refused()
    if "e" in text or "E" in text:
        try:
            number: Decimal = WrittenDecimal(text)
        except InvalidOperation:
            raise _number_refused() from None
        if abs(number.adjusted()) > MAX_EXPONENT:
            raise _number_refused()
        return number if str(number) != text else Decimal(text)
    number = Decimal(text)
    # Only below 1e-6 does Decimal choose an exponent by itself.
    if ("0.000000" in text[:10]) and str(number) != text:
        return WrittenDecimal(text)
    return number


def _written(value: Any) -> msgspec.Raw:
    if isinstance(value, WrittenDecimal):
        return msgspec.Raw(value.text.encode())
    raise TypeError(f"{type(value).__name__} has no JSON form")


_decoder = msgspec.json.Decoder(float_hook=read_number)
_encoder = msgspec.json.Encoder(decimal_format="number", enc_hook=_written)


def _number_refused() -> FhirError:
    return error(
        "value",
        say(
            "A number in the body has more than {digits} characters or an exponent beyond {exponent}: send it rounded.",
            digits=MAX_DIGITS,
            exponent=MAX_EXPONENT,
        ),
        status=400,
    )


def _too_deep(data: bytes) -> FhirError:
    problem = say(
        "The body nests objects and arrays more than {levels} levels deep: flatten it", levels=MAX_DEPTH
    )
    return _refused("structure", problem, data, deeper_than(data, MAX_DEPTH))


def _check_depth(data: bytes, value: Any) -> None:
    """Raise if ``value`` is nested too deeply: peel brackets by level, look closer if strings hold some."""
    brackets = data.translate(_TO_BRACES, _NOT_BRACKETS)
    for _ in range(MAX_DEPTH):
        peeled = brackets.replace(b"{}", b"")
        if not peeled:
            return
        if len(peeled) == len(brackets):
            break
        brackets = peeled
    level: list[Any] = [value]
    for _ in range(MAX_DEPTH):
        children: list[Any] = []
        for node in level:
            children += [
                child
                for child in (node.values() if type(node) is dict else node)
                if type(child) in (dict, list)
            ]
        if not children:
            return
        level = children
    raise _too_deep(data)


def _screened(data: bytes, compact: bytes, value: Any) -> Any:
    """Return ``value``, read once more if the fast parser lost something; raise if a name is repeated.

    1. No token is longer in ``compact`` than in ``data``; if both are equally long but for white space,
       nothing was lost.
    2. Else escapes were resolved or something was lost: the quotes before colons of both texts are counted.
       They can be as many and yet hide a repeated name only if white space stands before a colon, or a quote
       or colon is written as an escape.
    3. Then the slow parser decides.
    """
    if len(data.translate(None, _WHITE_SPACE)) == len(compact.translate(None, _WHITE_SPACE)):
        return value
    if (
        data.count(b'":') == compact.count(b'":')
        and not any(sign in data for sign in _INEXACT)
        and not _NEGATIVE_ZERO.search(data)
    ):
        return value
    try:
        return json.loads(data, object_pairs_hook=_unique, parse_float=read_number, parse_int=_integer)
    except _Repeated as repeated:
        raise _refused("structure", str(repeated), data, repeated_name(data)) from None


def _check_controls(data: bytes) -> None:
    found = _NO_CONTROL.match(data)
    if found is not None and found.end() < len(data):
        raise _refused(
            "value",
            say(
                "Strings must not contain control characters other than tab, line feed and carriage return:"
                " remove the escaped character"
            ),
            data,
            found.end(),
        )


def _integer(text: str) -> int | Decimal:
    return WrittenDecimal(text) if text == "-0" else int(text)


class _Repeated(Exception):  # noqa: N818 - it carries a finding, it isn't an error of ours
    pass


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        seen: set[str] = set()
        for name, _ in pairs:
            if name in seen:
                shown = (
                    say('the property "{name}"', name=name) if _WORD.fullmatch(name) else say("a property")
                )
                raise _Repeated(
                    say(
                        "An object has {shown} more than once: keep one of them (lists are JSON arrays)",
                        shown=shown,
                    )
                )
            seen.add(name)
    return members


def _refused(code: str, problem: str, data: bytes, offset: int) -> FhirError:
    start = data.rfind(b"\n", 0, offset) + 1
    line = data.count(b"\n", 0, start) + 1
    column = len(data[start:offset].decode("utf-8", "replace")) + 1
    text = say("{problem} (line {line}, column {column}).", problem=problem, line=line, column=column)
    return FhirError(Issue("error", code, text, line=line, column=column), status=400)


def _malformed(data: bytes, reason: Exception) -> NoReturn:
    """Raise the FhirError that tells what is wrong with ``data``, and where."""
    if not data.strip():
        raise error("structure", "The body is empty: send a resource as JSON.", status=400) from None
    try:
        data.decode()
    except UnicodeDecodeError as wrong:
        raise _refused("structure", say("The body must be encoded in UTF-8"), data, wrong.start) from None
    if isinstance(reason, msgspec.ValidationError):
        raise _number_refused() from None
    at = _AT_BYTE.match(str(reason))
    if (at is None or "surrogate" in at.group(1)) and (found := _NO_LONE_SURROGATE.match(data)):
        offset = found.end()
        if data[offset : offset + 3].lower() == b"\\ud":
            problem = say("A string has one half of a surrogate pair: send both or none")
            raise _refused("structure", problem, data, offset) from None
    if at is None:
        raise _refused(
            "structure", say("The JSON ends too early: the body was cut off"), data, len(data)
        ) from None
    offset = int(at.group(2))
    if re.match(rb"[+-]?(NaN|Infinity)", data[offset:]) or re.match(
        rb"-Infinity", data[max(offset - 1, 0) :]
    ):
        problem = say(
            "NaN and Infinity are not numbers in FHIR: leave the element out or give a data-absent-reason"
        )
    else:
        problem = say("The body is not well-formed JSON: {reason}", reason=at.group(1))
    raise _refused("structure", problem, data, offset) from None
