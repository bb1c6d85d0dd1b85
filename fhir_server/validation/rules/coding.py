"""Codings whose code system is at hand: does the system have the code, and is the display one of its texts?

A display that differs is a warning: displays change, and are translated. https://hl7.org/fhir/R4/datatypes.html#Coding
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fhir_server.messages import alternatives, say
from fhir_server.validation.protocols import Handler
from fhir_server.validation.report import Findings, Run, has_errors

#: Returns the texts of a code, () if its system doesn't have it, None if the system isn't at hand.
Displays = Callable[[str, str], tuple[str, ...] | None]


def known_in_system(inner: Handler, displays: Displays) -> Handler:
    """Return the handler of a Coding that also asks its code system, if that is at hand."""

    def handler(value: Any, parent: dict[str, Any], run: Run) -> Findings | None:
        found = inner(value, parent, run)
        if found is not None and has_errors(found):
            return found
        code, system = value.get("code"), value.get("system")
        if code is None or system is None:
            return found
        texts = displays(system, code)
        if texts is None:
            return found
        if not texts:
            problem = run.judged("code-invalid", "The code system doesn't have this code.", "code@", ".code")
        else:
            display = value.get("display")
            if display is None or display in texts or _folded(display) in map(_folded, texts):
                return found
            text = say("The display should be {displays}.", displays=alternatives(texts[:3]))
            problem = run.warning("value", text, "display@", ".display")
        return [*(found or ()), *problem]

    return handler


def _folded(text: str) -> str:
    return " ".join(text.casefold().split())
