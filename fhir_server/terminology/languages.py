"""Which text of a concept is shown: the display, or a designation in a language that the client prefers.

https://hl7.org/fhir/R4/valueset-operation-expand.html (displayLanguage), https://www.rfc-editor.org/rfc/rfc9110#field.accept-language
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from fhir_server.terminology.issues import refused
from fhir_server.terminology.rule_sets import is_language_tag

_QUALITY = re.compile(r"q=(0(?:\.\d{0,3})?|1(?:\.0{0,3})?)").fullmatch


@dataclass(frozen=True, slots=True)
class Languages:
    """Preferred languages, best first; ``only``: no text in another language will do (``*;q=0``)."""

    tags: tuple[str, ...] = ()
    only: bool = False
    #: What the client wrote.
    text: str = ""

    def __bool__(self) -> bool:
        """Whether any language is preferred."""
        return bool(self.tags)


def parse(text: str) -> Languages:
    """Return the languages of an Accept-Language value; FhirError 400 for one that is none."""
    weighed: list[tuple[float, int, str]] = []
    only = False
    for index, part in enumerate(filter(None, (p.strip() for p in text.split(",")))):
        tag, _, parameter = (p.strip() for p in part.partition(";"))
        quality = _QUALITY(parameter.replace(" ", "")) if parameter else None
        if not (tag == "*" or is_language_tag(tag)) or (parameter and quality is None):
            raise refused("INVALID_DISPLAY_NAME", text, status=400)
        weight = float(quality[1]) if quality is not None else 1.0
        if tag == "*":
            only = only or weight == 0
        elif weight > 0:
            weighed.append((-weight, index, tag))
    return Languages(tuple(tag for _, _, tag in sorted(weighed)), only, text)


def is_in(actual: str, wanted: str) -> bool:
    """Tell whether a language is the wanted one or a kind of it (``de-CH`` is ``de``)."""
    actual, wanted = actual.lower(), wanted.lower()
    return actual == wanted or actual.startswith(wanted + "-")


def best(
    display: str, language: str, designations: Iterable[dict[str, Any]], languages: Languages
) -> tuple[str, dict[str, Any] | None]:
    """Return the text to show ("" if none will do), and the designation that it is from, None for the display."""
    rows = list(designations)
    for tag in languages.tags:
        if display and language and is_in(language, tag):
            return display, None
        fitting = [row for row in rows if is_in(row.get("language", ""), tag)]
        fitting.sort(key=_is_special)
        if fitting:
            return fitting[0]["value"], fitting[0]
    return ("" if languages.only and languages.tags else display), None


def _is_special(row: dict[str, Any]) -> int:
    """Return 0 for designations that serve as display, 1 for those of another use."""
    code = row.get("use", {}).get("code", "display")
    return 0 if code in {"display", "preferredForLanguage", "preferred", "900000000000013009"} else 1


def joined(parts: Sequence[str], last: str) -> str:
    """Return ``a, b or c`` (with ``last`` "or")."""
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} {last} {parts[-1]}"
