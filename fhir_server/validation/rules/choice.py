"""Choice elements: one type at a time.

https://hl7.org/fhir/R4/formats.html#choice
"""

from __future__ import annotations

from typing import Any

from fhir_server.messages import say, together
from fhir_server.validation.report import Findings, Run
from fhir_server.validation.schema import ElementSchema


def choices(node: dict[str, Any], elements: tuple[ElementSchema, ...], run: Run) -> Findings | None:
    """Return the findings for the choice elements of a node that have more than one type."""
    found: Findings = []
    for element in elements:
        keys = element.json_keys()
        present = [key for key in keys if key in node or f"_{key}" in node]
        if len(present) > 1:
            found += run.error(
                "structure",
                say(
                    "There must be only one {name}[x], not {present}: keep one.",
                    name=element.name,
                    present=together(present),
                ),
                f"choice@{element.path}",
            )
    return found or None
