"""Sentences that the sender reads, in the sender's language.

The code says them in English: ``say("There must be at most {limit} {name}.", limit=2, name="photo")``. That template
is the id of the message; ``<language>.json`` beside this file has its translation. A language is one such file.

https://hl7.org/fhir/R4/languages.html, https://hl7.org/fhir/R4/extension-translation.html
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from contextvars import ContextVar
from functools import cache, lru_cache, reduce
from pathlib import Path
from typing import Self

#: The language of the templates, and of answers to those who ask for none.
ENGLISH = "en"

#: The language of the answer that is being made.
LANGUAGE: ContextVar[str] = ContextVar("language", default=ENGLISH)

#: The extension that holds a text in another language.
TRANSLATION = "http://hl7.org/fhir/StructureDefinition/translation"

_FOLDER = Path(__file__).parent


class Message(str):
    """An English sentence that knows its template and what was put into it, so that it can be said otherwise.

    Parameters that are messages themselves are translated with it.
    """

    __slots__ = ("parameters", "template")
    template: str
    parameters: dict[str, object]

    def __new__(cls, template: str, parameters: dict[str, object]) -> Self:
        """Return the sentence; raise KeyError if a parameter of the template is missing."""
        sentence = super().__new__(cls, template.format_map(parameters) if parameters else template)
        sentence.template = template
        sentence.parameters = parameters
        return sentence


class Definition(Message):
    """A sentence of a definition, which brings its translations itself (the extension ``translation``)."""

    __slots__ = ("texts",)
    texts: dict[str, str]


def defined(text: str, beside: object) -> str:
    """Return a text of a definition; ``beside`` is what stands beside it in JSON (``_human``), or None."""
    found: dict[str, str] = {}
    extensions = beside.get("extension", ()) if isinstance(beside, dict) else ()
    for extension in extensions:
        if extension.get("url") == TRANSLATION:
            parts = {part.get("url"): part for part in extension.get("extension", ())}
            language = str(parts.get("lang", {}).get("valueCode", "")).partition("-")[0]
            found[language] = str(parts.get("content", {}).get("valueString", ""))
    if not found:
        return text
    sentence = Definition(text, {})
    sentence.texts = found
    return sentence


def say(template: str, /, **parameters: object) -> str:
    """Return a sentence (or a part of one) made of an English template; its braces hold names of parameters.

    A text without parameters stays as it is, braces and all.
    """
    return template if isinstance(template, Message) else Message(template, parameters)


def alternatives(items: Iterable[str]) -> str:
    """Return "a or b or c"."""
    return reduce(lambda left, right: say("{left} or {right}", left=left, right=right), items)


def together(items: Iterable[str]) -> str:
    """Return "a and b and c"."""
    return reduce(lambda left, right: say("{left} and {right}", left=left, right=right), items)


@cache
def languages() -> tuple[str, ...]:
    """Return the codes (BCP 47) of the languages that sentences can be had in, English first."""
    return ENGLISH, *sorted(file.stem for file in _FOLDER.glob("*.json"))


@cache
def translations(language: str) -> dict[str, str]:
    """Return the translated templates of a language by their English ones."""
    parts: dict[str, dict[str, str]] = json.loads((_FOLDER / f"{language}.json").read_bytes())
    return {template: text for part in parts.values() for template, text in part.items()}


def translated(sentence: str, language: str) -> str | None:
    """Return a sentence in a language, None if it has no translation.

    A text that ``say`` didn't make is looked up as it is.
    """
    if language == ENGLISH:
        return str(sentence)
    if isinstance(sentence, Definition):
        return sentence.texts.get(language)
    catalogue = translations(language)
    if not isinstance(sentence, Message) or not sentence.parameters:
        return catalogue.get(sentence)
    template = catalogue.get(sentence.template)
    if template is None:
        return None
    parameters = {
        name: translated(value, language) or str(value) if isinstance(value, Message) else value
        for name, value in sentence.parameters.items()
    }
    return template.format_map(parameters)


@lru_cache(256)
def chosen(accept_language: str) -> str:
    """Return the language that an Accept-Language header likes best (RFC 9110 12.5.4); English if it has none."""
    known = languages()
    best, quality = ENGLISH, 0.0
    for part in accept_language.split(","):
        tag, _, parameter = part.strip().partition(";")
        language = tag.strip().partition("-")[0].lower()
        weight = _weight(parameter)
        if language == "*":
            language = ENGLISH
        if language in known and weight > quality:
            best, quality = language, weight
    return best


def _weight(parameter: str) -> float:
    name, _, value = parameter.strip().partition("=")
    try:
        return float(value) if name.strip().lower() == "q" else 1.0
    except ValueError:
        return 0.0
