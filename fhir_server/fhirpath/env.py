"""What one evaluation knows besides its focus: https://hl7.org/fhir/R4/fhirpath.html#variables."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from fhir_server.fhirpath.protocols import Conformance, Narratives, Resolver, Terminology


@dataclass(slots=True)
class Env:
    """The surroundings of an evaluation; one per resource that is looked at.

    ``resource`` is ``%resource`` (the resource that holds the focus, a contained one too), ``root_resource``
    the
    container; both default to None, which makes the variables empty. ``variables`` adds names for ``%name``
    with JSON
    values, lists of them or FHIRPath values. ``clock`` is needed by ``now()`` and its kin. What a hook isn't
    there for is
    empty (``resolve``, ``memberOf``, ``conformsTo``).
    """

    resource: dict[str, Any] | None = None
    root_resource: dict[str, Any] | None = None
    resolver: Resolver | None = None
    terminology: Terminology | None = None
    conformance: Conformance | None = None
    narratives: Narratives | None = None
    clock: Callable[[], datetime] | None = None
    variables: Mapping[str, Any] = field(default_factory=dict)
    #: Receives (name, values) of ``trace()``.
    trace: Callable[[str, list[Any]], None] | None = None
    #: Evaluation steps that are left; None for no limit. Set it for expressions that come from requests.
    steps: int | None = None
