"""String parameters: folded text, for names and addresses also every suffix that begins at a word.

https://hl7.org/fhir/R4/search.html#string
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any

from fhir_server.outcome import error
from fhir_server.search.combining import all_of
from fhir_server.search.expression import Equal, Expression, Pattern
from fhir_server.search.lexing import unescape
from fhir_server.search.parameters.parameter_type import (
    Context,
    Converter,
    Output,
    ParameterType,
    each,
    missing,
)
from fhir_server.search.registry import Registry
from fhir_server.search.search_parameter import Parameter

#: Letters that Unicode does not decompose into a base letter and a mark.
LETTERS = str.maketrans(
    {"ø": "o", "ł": "l", "đ": "d", "ð": "d", "þ": "th", "æ": "ae", "œ": "oe", "ß": "ss", "\u0131": "i"}
)
#: Apostrophes and accents that stand alone, full stops, commas.
_REMOVED = re.compile("['`.,;\u2019\u02bc\u00b4]")
#: White space, hyphens and dashes, brackets and quotation marks.
_SEPARATORS = re.compile(r"[\s\-_:/\\|()\[\]\"«»\u2010-\u2015\u201c\u201d]+")

_SPECIAL = re.compile(r"[^\w\s]")

#: Most suffixes that one name or address part is found by.
_MOST_SUFFIXES = 6
#: Longest entry: what follows can't be searched, and index keys stay bounded.
_LONGEST = 2000

_HUMAN_NAME = ("text", "family", "given", "prefix", "suffix")
_ADDRESS = ("text", "line", "city", "district", "state", "postalCode", "country")
#: Parts of names and addresses that are parameters of their own.
_PARTS = re.compile(r"^(HumanName|Address)\.")


@lru_cache(maxsize=8192)
def fold(text: str) -> str:
    """Return the text without case, accents and punctuation, as it is indexed and searched.

    Hyphens and other separators become one space; apostrophes, full stops and commas go. A text of nothing
    else stays as it is, in lower case, because "" would be the beginning of every string.
    """
    if not text.isascii():
        text = unicodedata.normalize("NFKD", text)
        text = "".join(c for c in text if not unicodedata.combining(c))
    folded = text.casefold()
    if not folded.isascii():
        folded = folded.translate(LETTERS)
    plain = _SEPARATORS.sub(" ", _REMOVED.sub("", folded)).strip()
    return plain or folded.strip()


def convert(type_: str, element: str, parameter: Parameter, registry: Registry) -> Converter | None:  # noqa: ARG001
    """Return the converter of a FHIR type to folded strings."""
    if type_ == "HumanName":
        return _human_name
    if type_ == "Address":
        return _address
    if type_ in {"string", "markdown", "uri", "code", "id"}:
        return _words if _PARTS.match(element) else _text
    return None


def _text(value: str, base: str, out: list[Any], raw: list[Any], whole: list[Any]) -> None:  # noqa: ARG001
    out.append(fold(value)[:_LONGEST])
    raw.append(value)


def _words(value: str, base: str, out: list[Any], raw: list[Any], whole: list[Any]) -> None:  # noqa: ARG001
    """Append the text and its suffixes; ``whole`` is what the resource is sorted by."""
    folded = fold(value)[:_LONGEST]
    out.append(folded)
    raw.append(value)
    if " " in folded:
        words = folded.split(" ")
        out += [" ".join(words[i:]) for i in range(1, min(len(words), _MOST_SUFFIXES + 1))]
    whole.append(folded)


def _human_name(value: dict[str, Any], base: str, out: list[Any], raw: list[Any], whole: list[Any]) -> None:
    for text in _members(value, _HUMAN_NAME):
        _words(text, base, out, raw, whole)


def _address(value: dict[str, Any], base: str, out: list[Any], raw: list[Any], whole: list[Any]) -> None:
    for text in _members(value, _ADDRESS):
        _words(text, base, out, raw, whole)


def _members(value: dict[str, Any], names: tuple[str, ...]) -> Iterator[str]:
    for name in names:
        member = value.get(name)
        if isinstance(member, str):
            yield member
        elif member:
            yield from (text for text in member if text)


def literal(text: str) -> str:
    """Return the text as a pattern that matches itself only, in Python and in MongoDB alike.

    Every character that is not a letter, digit or space gets a backslash. MongoDB reads index bounds from
    such a text, but not from a pattern that holds a bare ``|`` anywhere, even in a class.
    """
    return _SPECIAL.sub(r"\\\g<0>", text)


def starting_with(field: str, text: str) -> Pattern:
    """Return the expression of values that begin with a text."""
    return Pattern(field, f"^{literal(text)}", text)


def parse(parameter: Parameter, modifier: str, values: Sequence[str], context: Context) -> Expression:  # noqa: ARG001
    """Return the expression of a string clause."""
    if modifier == "missing":
        return missing(parameter, values)

    def one(text: str) -> Expression:
        text = unescape(text, parameter.name)
        if len(fold(text)) > _LONGEST:
            raise error(
                "too-costly", f"Parameter '{parameter.name}' takes at most {_LONGEST} characters.", status=400
            )
        if modifier == "exact":
            found = Equal(parameter.field, (fold(text),))
            return all_of([found, Equal(f"x.{parameter.name}", (text,))])
        folded = fold(text)
        if not folded:
            raise error("invalid", f"Parameter '{parameter.name}': '{text}' holds no text.", status=400)
        if modifier == "contains":
            return Pattern(parameter.field, literal(folded))
        return starting_with(parameter.field, folded)

    return each(values, one)


def sort(parameter: Parameter, descending: bool) -> tuple[Any, ...]:
    """Order by the folded text; by whole names, not by their last words."""
    entries: Any = f"${parameter.field}"
    if has_suffixes(parameter):
        entries = {"$ifNull": [f"$x.{parameter.name}-whole", entries]}
    return ({"$max" if descending else "$min": entries},)


def has_suffixes(parameter: Parameter) -> bool:
    """Tell whether the parameter's index entries hold the last words of its values, too."""
    return any(b.type in {"HumanName", "Address"} or _PARTS.match(b.element) for b in parameter.branches)


TYPE = ParameterType(
    "string",
    frozenset({"missing", "exact", "contains"}),
    (Output("i"), Output("x"), Output("x", "-whole", if_other=True)),
    convert,
    parse,
    sort,
)
