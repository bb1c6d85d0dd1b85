"""From a query string to pairs, and from a value to its parts: each level is split and unescaped once.

https://hl7.org/fhir/R4/search.html#escaping
"""

from __future__ import annotations

import re
from urllib.parse import unquote_to_bytes

from fhir_server.outcome import error

#: Longest query string of a GET, and longest form of a POST to _search, in characters.
LONGEST_URL_QUERY = 8192
LONGEST_FORM = 262_144
#: Most parameters of one search, and most comma-separated values of one parameter.
MAXIMUM_CLAUSES = 50
MAXIMUM_VALUES = 200

_ESCAPED = re.compile(r"\\(.?)", re.DOTALL)


def decode_pairs(query: str, *, longest: int = LONGEST_URL_QUERY) -> list[tuple[str, str]]:
    """Return the (name, value) pairs of a query string or a form body, in order, percent-decoded as UTF-8.

    Raises FhirError 414 when the text is longer than ``longest``, 400 when a part is not UTF-8 or holds a
    NUL, or when there are too many pairs.
    """
    if len(query) > longest:
        raise error(
            "too-long",
            f"The query has {len(query)} characters, more than {longest}; send it by POST to _search.",
            status=414,
        )
    pairs = []
    for part in query.split("&"):
        if part:
            name, _, value = part.partition("=")
            pairs.append((_decode(name), _decode(value)))
    if len(pairs) > MAXIMUM_CLAUSES:
        raise error(
            "too-costly",
            f"The search has {len(pairs)} parameters; at most {MAXIMUM_CLAUSES} are allowed.",
            status=400,
        )
    return pairs


def _decode(text: str) -> str:
    if "%" not in text and "+" not in text and "\x00" not in text:
        return text
    try:
        decoded = unquote_to_bytes(text.replace("+", " ")).decode()
    except UnicodeDecodeError:
        raise error("invalid", f"'{text}' is not percent-encoded UTF-8.") from None
    if "\x00" in decoded:
        raise error("invalid", "The query contains a NUL character (%00).")
    return decoded


def split(text: str, separator: str) -> list[str]:
    """Split on a separator that no backslash precedes; the parts keep their escapes."""
    if "\\" not in text:
        return text.split(separator)
    parts, start, position = [], 0, 0
    while position < len(text):
        if text[position] == "\\":
            position += 2
            continue
        if text[position] == separator:
            parts.append(text[start:position])
            start = position + 1
        position += 1
    parts.append(text[start:])
    return parts


def unescape(text: str, parameter: str) -> str:
    r"""Return the text without the escapes ``\,`` ``\$`` ``\|`` ``\\``; any other backslash is a 400."""
    if "\\" not in text:
        return text

    def plain(match: re.Match[str]) -> str:
        if match[1] not in {",", "$", "|", "\\"}:
            raise error(
                "invalid",
                f"Parameter '{parameter}': a backslash must be followed by ',', '$', '|' or '\\'; "
                "write '\\\\' for the character itself.",
            )
        return match[1]

    return _ESCAPED.sub(plain, text)
