"""Whether the display of a code is one of its texts, in a language that was asked for.

https://hl7.org/fhir/R4/datatypes-definitions.html#Coding.display
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from fhir_server.terminology.code_system import CodeSystem
from fhir_server.terminology.concept import Concept
from fhir_server.terminology.issues import TerminologyIssue, issue
from fhir_server.terminology.languages import Languages, is_in, joined


def display_issues(
    system: CodeSystem,
    concept: Concept,
    display: str,
    languages: Languages,
    *,
    at: str,
    extra: dict[str, Any] | None = None,
    lenient: bool = False,
) -> Iterator[TerminologyIssue]:
    """Yield what is wrong with a display; ``extra`` is the value set's own row of the code."""
    texts = _texts(system, concept, extra or {})
    wanted = languages.tags
    fitting = [
        (text, tag) for text, tag in texts if not wanted or not tag or any(is_in(tag, one) for one in wanted)
    ]
    if any(_is_same(display, text) for text, _ in fitting):
        return
    shown = ", ".join(wanted) or "--"
    if fitting:
        listed = [f"'{text}'{f' ({tag})' if tag else ''}" for text, tag in dict.fromkeys(fitting)]
        choices = (
            f"Valid display is {listed[0]}"
            if len(listed) == 1
            else f"Valid display is one of {len(listed)} choices: {joined(listed, 'or')}"
        )
        found = issue(
            "Display_Name_for__should_be_one_of__instead_of",
            display, system.url, concept.code, choices, languages.text or shown, at=at,
        )  # fmt: skip
    elif any(_is_same(display, text) for text, _ in texts):
        found = issue(
            "NO_VALID_DISPLAY_FOUND_NONE_FOR_LANG_OK",
            display, system.url, concept.code, languages.text or shown, at=at,
        )  # fmt: skip
    elif texts:
        found = issue(
            "NO_VALID_DISPLAY_FOUND_NONE_FOR_LANG_ERR",
            display, system.url, concept.code, languages.text or shown, concept.display, at=at,
        )  # fmt: skip
    else:
        found = issue("NO_VALID_DISPLAY_AT_ALL", display, system.url, concept.code, at=at)
    if lenient and found.severity == "error":
        found = TerminologyIssue("warning", found.code, found.diagnostics, found.expression,
                                 message_id=found.message_id, type=found.type)  # fmt: skip
    yield found


def _texts(system: CodeSystem, concept: Concept, row: dict[str, Any]) -> list[tuple[str, str]]:
    """Return the texts of a concept with their languages ("": not said)."""
    found: list[tuple[str, str]] = []
    if row.get("display"):
        found.append((row["display"], system.language))
    if concept.display:
        found.append((concept.display, system.language))
    designations = (*row.get("designation", ()), *concept.designations)
    found += [
        (one["value"], one.get("language", system.language)) for one in designations if one.get("value")
    ]
    return found


def _is_same(one: str, other: str) -> bool:
    return " ".join(one.casefold().split()) == " ".join(other.casefold().split())
