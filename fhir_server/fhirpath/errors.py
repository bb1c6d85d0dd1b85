"""The one error of this package.

An expression that can't be read (syntax), that names what the types don't have (semantic), or that can't be
evaluated
on this input (execution) raises FhirPathError; it carries an Issue like every FhirError.
"""

from __future__ import annotations

from typing import Literal

from fhir_server.outcome import FhirError, Issue

Phase = Literal["syntax", "semantic", "execution", "budget"]


class FhirPathError(FhirError):
    """An expression was refused in a ``phase``; ``position`` is the character offset (-1: unknown)."""

    def __init__(self, phase: Phase, message: str, position: int = -1) -> None:
        self.phase: Phase = phase
        self.position = position
        where = f" (at character {position + 1})" if position >= 0 else ""
        code = "too-costly" if phase == "budget" else "invalid"
        super().__init__(Issue("error", code, f"The FHIRPath expression can't be used: {message}{where}."))
