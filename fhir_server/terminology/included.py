"""The includes of a value set that name a code system, its own and those of the value sets that it imports.

https://hl7.org/fhir/R4/valueset.html#compositions
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from fhir_server.terminology.issues import MissingValueSetError, refused
from fhir_server.terminology.library import Library
from fhir_server.terminology.membership import imported, name_of


def clauses_of(
    library: Library, value_set: dict[str, Any], trail: tuple[str, ...] = ()
) -> Iterator[dict[str, Any]]:
    """Yield the includes with a system, also those of imported value sets."""
    name = name_of(value_set)
    if name in trail:
        return
    compose = value_set.get("compose")
    if compose is None:
        for row in value_set.get("expansion", {}).get("contains", ()):
            if "system" in row:
                yield {"system": row["system"], "version": row.get("version", "")}
        return
    for index, clause in enumerate(compose.get("include", ())):
        if "system" in clause:
            _check_filters(clause, index)
            yield clause
        for other in clause.get("valueSet", ()):
            found = imported(library, value_set, other)
            if found is None:
                raise MissingValueSetError(other)
            if "system" not in clause:
                yield from clauses_of(library, found, (*trail, name))


def _check_filters(clause: dict[str, Any], index: int) -> None:
    for number, row in enumerate(clause.get("filter", ())):
        if not row.get("value"):
            raise refused(
                "UNABLE_TO_HANDLE_SYSTEM_FILTER_WITH_NO_VALUE", clause["system"], row.get("property", ""),
                row.get("op", ""), at=f"ValueSet.compose.include[{index}].filter[{number}]",
            )  # fmt: skip
