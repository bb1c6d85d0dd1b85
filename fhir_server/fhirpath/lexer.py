"""Text becomes tokens: https://hl7.org/fhirpath/N1/#lexical-elements."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from fhir_server.fhirpath.errors import FhirPathError

Kind = Literal["number", "string", "temporal", "name", "quoted", "variable", "special", "symbol", "end"]

#: Longest expression that is read, in characters.
MAX_LENGTH = 20_000

_TOKEN = re.compile(
    r"""
    (?P<blank>\s+ | //[^\n\r]* | /\*.*?\*/)
  | (?P<temporal>@(?:T\d\d(?::\d\d(?::\d\d(?:\.\d+)?)?)?
        | \d{4}(?:-\d\d(?:-\d\d)?)?(?:T(?:\d\d(?::\d\d(?::\d\d(?:\.\d+)?)?)?(?:Z|[+-]\d\d:\d\d)?)?)?))
  | (?P<number>\d+(?:\.\d+)?)
  | (?P<name>[A-Za-z_][A-Za-z0-9_]*)
  | (?P<special>\$(?:this|index|total)\b)
  | (?P<variable>%(?:[A-Za-z_][A-Za-z0-9_\-]* | `(?:[^`\\]|\\.)*` | '(?:[^'\\]|\\.)*' | "(?:[^"\\]|\\.)*"))
  | (?P<string>'(?:[^'\\]|\\.)*')
  | (?P<quoted>`(?:[^`\\]|\\.)*` | "(?:[^"\\]|\\.)*")
  | (?P<symbol>!=|!~|<=|>=|[.,()\[\]{}+\-*/&|<>=~])
    """,
    re.VERBOSE | re.DOTALL | re.ASCII,
)
_ESCAPE = re.compile(r"\\(u[0-9A-Fa-f]{4}|.)", re.DOTALL)
_ESCAPES = {"'": "'", '"': '"', "`": "`", "r": "\r", "n": "\n", "t": "\t", "f": "\f", "\\": "\\", "/": "/"}


@dataclass(frozen=True, slots=True)
class Token:
    """One token; ``text`` is unescaped and without its quotes, ``%`` or ``@``."""

    kind: Kind
    text: str
    position: int


def tokenize(expression: str) -> list[Token]:
    """Return the tokens of an expression, closed by one of kind ``end``.

    Raises FhirPathError (syntax) for text that is no token, a comment or string without end, and unknown
    escapes.
    """
    if len(expression) > MAX_LENGTH:
        raise FhirPathError("syntax", f"it is longer than {MAX_LENGTH} characters")
    tokens: list[Token] = []
    position = 0
    while position < len(expression):
        match = _TOKEN.match(expression, position)
        if match is None or (expression.startswith("/*", position) and match.lastgroup != "blank"):
            what = "a comment has no end" if expression.startswith("/*", position) else "this is no token"
            raise FhirPathError("syntax", what, position)
        kind, text = match.lastgroup, match.group()
        if kind != "blank":
            tokens.append(Token(kind, _content(kind, text, position), position))  # type: ignore[arg-type]
        position = match.end()
    tokens.append(Token("end", "", position))
    return tokens


def _content(kind: str | None, text: str, position: int) -> str:
    if kind in {"string", "quoted"}:
        return unescape(text[1:-1], position)
    if kind == "variable":
        return unescape(text[2:-1], position) if text[1] in "`'\"" else text[1:]
    if kind == "temporal":
        return text[1:]
    return text


def unescape(text: str, position: int) -> str:
    """Return the text with its escapes resolved; an unknown escape raises FhirPathError (syntax)."""
    if "\\" not in text:
        return text

    def resolve(match: re.Match[str]) -> str:
        escape = match.group(1)
        if len(escape) == 5:
            return chr(int(escape[1:], 16))
        if escape not in _ESCAPES:
            raise FhirPathError("syntax", f"\\{escape} is no escape", position + match.start())
        return _ESCAPES[escape]

    return _ESCAPE.sub(resolve, text)
