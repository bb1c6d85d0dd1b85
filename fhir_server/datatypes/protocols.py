"""What the formats ask of their surroundings: the type model, see ``definitions.typemodel``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol


class TypeInfo(Protocol):
    """One type; ``kind`` is resource, complex-type, primitive-type or backbone."""

    @property
    def kind(self) -> str:
        """The kind of type."""

    @property
    def elements(self) -> Mapping[str, Any]:
        """The elements (name, is_list, is_choice, json_keys()) by FHIRPath name in the order of the definition."""


class Types(Protocol):
    """The type model."""

    @property
    def resource_types(self) -> tuple[str, ...]:
        """The names of the concrete resource types."""

    def type(self, name: str) -> Any | None:
        """Return a TypeInfo by name, or None."""
