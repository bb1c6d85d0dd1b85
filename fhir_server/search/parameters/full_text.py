"""``_text`` and ``_content``: words of the narrative, and of the whole resource.

The index holds each word once (``i._content``), folded: without case and accents. Beside it stand the words of the
narrative and those of all other texts in order (``x._text``, ``x._content``), for phrases and for the relevance of a
match. Content is every text, code and identifier; not URLs, references, dates, numbers and inline data.
https://hl7.org/fhir/R4/search.html#text
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from html import unescape
from typing import Any

from fhir_server.outcome import FhirError, error
from fhir_server.search.combining import And, Not, Or, all_of, any_of
from fhir_server.search.entries import IndexEntries
from fhir_server.search.expression import Equal, Expression, Pattern
from fhir_server.search.parameters.string import LETTERS, literal, starting_with
from fhir_server.search.search_parameter import FULL_TEXT

NARRATIVE, CONTENT = FULL_TEXT
#: The field of all words.
FIELD = f"i.{CONTENT}"

_WORD = re.compile(r"[^\W_]+")
_TAG = re.compile(r"<[^>]*>")
_DATE = re.compile(r"\d{4}(-\d\d(-\d\d(T\d\d:\d\d.*)?)?)?", re.ASCII)
#: Longer words are found by their beginning.
_LONGEST_WORD = 64
#: Properties whose text is no content: inline data, addresses, what the server wrote.
_SKIPPED = frozenset({"resourceType", "div", "data", "reference", "versionId", "lastUpdated"})
_DEEPEST = 10
#: Longer texts are hardly ever met again.
_REMEMBERED = 100
_QUERY = re.compile(r'\s*(?:(?P<open>\()|(?P<close>\))|"(?P<phrase>[^"]*)"|(?P<word>[^\s()"]+))')


def words(text: str) -> list[str]:
    """Return the words of a text in order, without case and accents."""
    if not text.isascii():
        text = "".join(c for c in unicodedata.normalize("NFKD", text) if not unicodedata.combining(c))
    return [word[:_LONGEST_WORD] for word in _WORD.findall(text.casefold().translate(LETTERS))]


def add(entries: IndexEntries, resource: dict[str, Any], *, of_content: bool) -> None:
    """Add the words of a resource's narrative to its entries, and those of all else where these are searched."""
    found: list[str] = []
    if of_content:
        _gather(resource, found)
    content = " ".join(found)
    div = resource.get("text", {}).get("div")
    narrative = " ".join(words(unescape(_TAG.sub(" ", div)))) if div else ""
    if narrative:
        entries.raw[NARRATIVE] = narrative
    if content:
        entries.raw[CONTENT] = content
    if narrative or content:
        entries.values[CONTENT] = list(dict.fromkeys(f"{narrative} {content}".split()))


def _gather(holder: dict[str, Any], found: list[str]) -> None:
    """Append the words of each text inside an object, joined by spaces."""
    for key, value in holder.items():
        for one in value if type(value) is list else (value,):
            if type(one) is dict:
                _gather(one, found)
            elif type(one) is str and key not in _SKIPPED and (folded := _folded(one)):
                found.append(folded)


@lru_cache(maxsize=8192)
def _short(text: str) -> str:
    return "" if "://" in text or text.startswith("urn:") or _DATE.fullmatch(text) else " ".join(words(text))


def _folded(text: str) -> str:
    """Return the words of a text that is content, "" for others; texts that come again are remembered."""
    return _short(text) if len(text) < _REMEMBERED else " ".join(words(text))


def parse(name: str, text: str) -> Expression:
    """Return the expression of a value: words, ``"phrases"`` and ``beginnings*``, joined by AND, OR, NOT, ``()``.

    Words side by side must all be there. Raises FhirError 400 for what can't be read.
    """
    reader = _Reader(name, [(m.lastgroup or "", m[m.lastgroup or ""]) for m in _QUERY.finditer(text)])
    found = reader.alternatives(0)
    if reader.tokens:
        raise reader.malformed(f"'{reader.tokens[0][1]}' is left over")
    return found


class _Reader:
    def __init__(self, name: str, tokens: list[tuple[str, str]]) -> None:
        self.name = name
        self.tokens = tokens

    def malformed(self, reason: str) -> FhirError:
        return error("invalid", f"Parameter '{self.name}': {reason}.", status=400)

    def _takes(self, operator: str) -> bool:
        if self.tokens and self.tokens[0][0] == "word" and self.tokens[0][1].upper() == operator:
            del self.tokens[0]
            return True
        return False

    def alternatives(self, depth: int) -> Expression:
        if depth > _DEEPEST:
            raise error(
                "too-costly", f"Parameter '{self.name}' is nested more than {_DEEPEST} deep.", status=400
            )
        found = [self._together(depth)]
        while self._takes("OR"):
            found.append(self._together(depth))
        return any_of(found)

    def _together(self, depth: int) -> Expression:
        found = [self._single(depth)]
        while self.tokens and self.tokens[0][0] != "close" and self.tokens[0][1].upper() != "OR":
            self._takes("AND")
            found.append(self._single(depth))
        return all_of(found)

    def _single(self, depth: int) -> Expression:
        if self._takes("NOT"):
            return Not(self._single(depth))
        if not self.tokens:
            raise self.malformed("it ends where a word should be")
        kind, text = self.tokens.pop(0)
        if kind == "open":
            found = self.alternatives(depth + 1)
            if not self.tokens or self.tokens.pop(0)[0] != "close":
                raise self.malformed("a ')' is missing")
            return found
        if kind == "close":
            raise self.malformed("a ')' has no '('")
        return self._words(words(text), is_beginning=kind == "word" and text.endswith("*"), text=text)

    def _words(self, found: list[str], *, is_beginning: bool, text: str) -> Expression:
        """Return the expression of words that stand one after the other."""
        if not found:
            raise self.malformed(f"'{text}' holds no word")
        whole, last = (found[:-1], found[-1]) if is_beginning else (found, "")
        parts: list[Expression] = [Equal(FIELD, (word,)) for word in whole]
        if last:
            parts.append(starting_with(FIELD, last))
        if self.name == NARRATIVE or len(found) > 1:
            pattern = f"(^| ){literal(' '.join(found))}{'' if last else '( |$)'}"
            places = (NARRATIVE,) if self.name == NARRATIVE else (NARRATIVE, CONTENT)
            parts.append(any_of(Pattern(f"x.{place}", pattern) for place in places))
        return all_of(parts)


def terms(expression: Expression) -> tuple[tuple[str, bool], ...]:
    """Return the words that matches of an expression are relevant for, each with whether it is a beginning."""
    if isinstance(expression, And | Or):
        return tuple(dict.fromkeys(term for operand in expression.operands for term in terms(operand)))
    if isinstance(expression, Equal) and expression.field == FIELD:
        return tuple((word, False) for word in expression.values)
    if isinstance(expression, Pattern) and expression.field == FIELD:
        return ((expression.prefix, True),)
    return ()


def relevance(found: tuple[tuple[str, bool], ...]) -> dict[str, Any]:
    """Return the aggregation expression of a match's score, from 0 to 1.

    The mean over the terms of ``n / (n + l)``: ``n`` is how often the term is there, ``l`` grows with the number of
    different words of the resource (BM25 without the rarity of terms).
    """
    text = {"$concat": [{"$ifNull": [f"$x.{NARRATIVE}", ""]}, " ", {"$ifNull": [f"$x.{CONTENT}", ""]}]}
    length = {"$add": [0.3, {"$divide": [{"$size": {"$ifNull": [f"${FIELD}", []]}}, 110]}]}
    scores = []
    for word, is_beginning in found:
        regex = f"(^| ){literal(word)}" + ("" if is_beginning else "(?= |$)")
        number = {"$size": {"$regexFindAll": {"input": text, "regex": regex}}}
        scores.append({"$divide": [number, {"$add": [number, length]}]})
    return {"$avg": scores}
