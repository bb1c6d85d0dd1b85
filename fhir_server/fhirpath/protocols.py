"""What this package asks of its surroundings: the type model and the answers it can't know itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol


class ElementInfo(Protocol):
    """One element of a type; see ``definitions.typemodel``."""

    @property
    def name(self) -> str:
        """The FHIRPath name."""

    @property
    def types(self) -> tuple[str, ...]:
        """The allowed types."""

    @property
    def is_choice(self) -> bool:
        """Whether the JSON name carries the type."""

    @property
    def is_list(self) -> bool:
        """Whether JSON holds an array."""

    def json_keys(self) -> dict[str, str]:
        """The JSON property names, each with its type."""


class TypeInfo(Protocol):
    """One type; ``kind`` is resource, complex-type, primitive-type or backbone."""

    @property
    def name(self) -> str:
        """The type's name."""

    @property
    def kind(self) -> str:
        """The kind of type."""

    @property
    def is_abstract(self) -> bool:
        """Whether instances have a more special type."""

    @property
    def elements(self) -> Mapping[str, Any]:
        """The elements by FHIRPath name, inherited ones included."""

    @property
    def json_elements(self) -> Mapping[str, tuple[Any, str]]:
        """The element and the type behind each JSON property name."""


class Types(Protocol):
    """The type model."""

    @property
    def resource_types(self) -> tuple[str, ...]:
        """The names of the concrete resource types."""

    def type(self, name: str) -> Any | None:
        """Return a TypeInfo by name, or None."""

    def is_subtype(self, name: str, ancestor: str) -> bool:
        """Tell whether a type is or derives from ``ancestor``."""


class Resolver(Protocol):
    """Finds the target of a reference, for ``resolve()``."""

    def resolve(self, reference: str, env: Any) -> dict[str, Any] | None:
        """Return the resource that a reference or canonical URL means, None when it isn't at hand."""


class Terminology(Protocol):
    """Answers ``memberOf()``, ``subsumes()`` and ``subsumedBy()``."""

    def member_of(self, coded: Any, type_name: str, value_set: str) -> bool | None:
        """Tell whether a code, Coding or CodeableConcept is in a value set; None when it isn't known."""

    def subsumes(self, system: str, parent: str, child: str) -> bool | None:
        """Tell whether one code subsumes another; None when it isn't known."""


class Conformance(Protocol):
    """Answers ``conformsTo()`` and the functions on definitions."""

    def conforms_to(self, element: Any, type_name: str, profile: str) -> bool | None:
        """Tell whether an element (JSON) conforms to a profile; None when the profile isn't known."""


class Narratives(Protocol):
    """Answers ``htmlChecks()``."""

    def html_checks(self, div: str) -> bool:
        """Tell whether the XHTML text keeps the rules of https://hl7.org/fhir/R4/narrative.html."""
