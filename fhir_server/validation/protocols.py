"""What validation asks of its surroundings."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from fhir_server.validation.report import Findings, Run

#: Checks the value of one JSON property: (value, the object that holds it, the run); None when it is right.
Handler = Callable[[Any, dict[str, Any], Run], Findings | None]


class CodeSet(Protocol):
    """The members of a value set; ``codes`` is empty when a rule decides instead of a list."""

    @property
    def codes(self) -> frozenset[str]:
        """The bare codes."""

    def has_code(self, code: str) -> bool:
        """Tell whether a bare code is a member."""

    def has_concept(self, system: str, code: str) -> bool:
        """Tell whether the code of a system is a member."""


class CodeSets(Protocol):
    """Finds the members of value sets; ``terminology.CodeSets`` is one."""

    #: Grows when there may be other answers now, and with each that could not be given.
    revision: int

    def codes(self, value_set_url: str) -> CodeSet | None:
        """Return the members of a value set, or None if they can't be known."""

    def membership(self, value_set_url: str, system: str, code: str) -> bool | None:
        """Tell whether a code of a system ("": of any) is in a value set; None when that can't be known."""

    def subsumes(self, system: str, parent: str, child: str) -> bool | None:
        """Tell whether a code is, or is above, another; None when that can't be known."""

    def displays(self, system: str, code: str) -> tuple[str, ...] | None:
        """Return the texts that a code may be shown with, () if the system doesn't have it, None if unknown."""

    def forget(self) -> None:
        """Drop what was made of definitions, because they changed."""
