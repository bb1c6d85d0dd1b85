"""The languages that a profile asks of a narrative: sections below its outermost div, each with xml:lang.

http://hl7.org/fhir/StructureDefinition/narrative-language-control
"""

from __future__ import annotations

from typing import Any

from fhir_server.datatypes.xhtml import examined
from fhir_server.messages import say
from fhir_server.validation.protocols import Handler
from fhir_server.validation.report import Findings, Run, has_errors

_CONTROL = "http://hl7.org/fhir/StructureDefinition/narrative-language-control"


def controls(definition: dict[str, Any]) -> tuple[str, ...]:
    """Return what the definition of an element asks: _no, _yes, _resource, or languages; () if it asks nothing."""
    return tuple(
        str(value)
        for extension in definition.get("extension", ())
        if extension.get("url") == _CONTROL
        for key, value in extension.items()
        if key.startswith("value")
    )


def with_languages(inner: Handler, asked: tuple[str, ...]) -> Handler:
    """Return the handler of a Narrative that must have, or not have, sections in languages."""

    def handler(value: Any, parent: dict[str, Any], run: Run) -> Findings | None:
        found = inner(value, parent, run)
        if found is not None and has_errors(found):
            return found
        present = examined(value.get("div")).languages
        for control in asked:
            text = _problem(control, present, parent.get("language"))
            if text:
                return [*(found or ()), *run.error("business-rule", text, "narrative-language@")]
        return found

    return handler


def _problem(control: str, present: frozenset[str], language: Any) -> str:
    if control == "_no":
        return "The profile wants a narrative without sections by language." if present else ""
    if control == "_yes":
        return (
            "" if present else "The profile wants the narrative in sections by language: give them xml:lang."
        )
    wanted = language if control == "_resource" else control
    if present and wanted is not None and wanted not in present:
        return say("The narrative has sections by language, but none in {language}: add it.", language=wanted)
    return ""
