"""One search parameter of one resource type, and all of a type, with what is known before any resource is seen.

https://hl7.org/fhir/R4/searchparameter.html
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from dataclasses import field as dataclass_field
from difflib import get_close_matches
from functools import cached_property
from typing import Any

from fhir_server.search.paths import Branch

#: Not searched by values of the resource: found on the document itself, or handled apart.
ON_DOCUMENT = ("_id", "_lastUpdated")

#: Words of the resource: not extracted by an expression (see ``parameters.full_text``).
FULL_TEXT = ("_text", "_content")


@dataclass(frozen=True, slots=True)
class Component:
    """One part of a composite: ``is_inside`` the repeating element, or found by a parameter of the resource."""

    name: str
    parameter: Parameter
    is_inside: bool


@dataclass(frozen=True, slots=True)
class Parameter:
    """One search parameter of one resource type.

    ``branches`` are the paths where values stand; a parameter whose expression is more than paths has none
    and keeps its ``expression`` for FHIRPath. ``parts`` names the parameters that a union consists of,
    ``contact`` the system of ``phone`` and ``email`` (values stand in ``telecom``). ``at_home`` says that
    references to patients stand in the document's field ``p``. ``targets`` are the types that a reference
    may have. ``components`` are the parts of a composite, whose branches lead to the element that repeats
    (none: the resource itself). ``member`` is the field of a component inside the element's sub-document.
    """

    name: str
    type: str
    resource: str
    url: str = ""
    description: str = ""
    branches: tuple[Branch, ...] = ()
    expression: str = ""
    targets: tuple[str, ...] = ()
    parts: tuple[str, ...] = ()
    contact: str = ""
    at_home: bool = False
    searchable: bool = True
    #: Written for new resources but not searched yet: older resources are still being indexed.
    building: bool = False
    #: Defined by a SearchParameter that is stored on this server.
    is_custom: bool = False
    components: tuple[Component, ...] = ()
    member: str = ""

    #: Whether a resource can hold several values: the stored shape depends on it.
    repeats: bool = dataclass_field(init=False)
    #: The FHIR types that the expression can yield; empty when it is left to FHIRPath.
    types: frozenset[str] = dataclass_field(init=False)
    #: The field of the stored document that holds the values.
    field: str = dataclass_field(init=False)

    def __post_init__(self) -> None:
        repeats = not self.branches or any(branch.repeats for branch in self.branches)
        object.__setattr__(self, "repeats", repeats)
        object.__setattr__(self, "types", frozenset(branch.type for branch in self.branches))
        stored = f"i.{'telecom' if self.contact else self.name}"
        object.__setattr__(self, "field", self.member or stored)

    @property
    def is_stored(self) -> bool:
        """Tell whether the parameter has index entries of its own."""
        return not (
            self.parts or self.contact or self.name in FULL_TEXT or (self.components and not self.branches)
        )


@dataclass(frozen=True)
class TypeParameters:
    """The parameters of one resource type by name; ``home`` are the paths to the home patient."""

    resource: str
    by_name: Mapping[str, Parameter]
    home: tuple[Branch, ...] = ()
    compartment: tuple[str, ...] = ()

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The names of the searchable parameters, sorted."""
        return tuple(sorted(n for n, p in self.by_name.items() if p.searchable))

    def closest(self, name: str) -> str:
        """Return the searchable name that is most like a misspelt one, or "" when none is near."""
        found = get_close_matches(name, self.names, 1, 0.6)
        return found[0] if found else ""


@dataclass(frozen=True, slots=True)
class Custom:
    """A SearchParameter that is stored on this server; searched when ``is_ready``, until then only written."""

    definition: Mapping[str, Any]
    is_ready: bool
