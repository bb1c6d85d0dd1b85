"""What the tables of the chapters hold."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from fhir_server.fhirpath.evaluation.items import Items

#: Function and the numbers of arguments that it takes.
Table = Mapping[str, tuple[Callable[..., Items], int | tuple[int, ...]]]


def optional(value: object) -> Items:
    """Return a value as collection, None as the empty one."""
    return [] if value is None else [value]
