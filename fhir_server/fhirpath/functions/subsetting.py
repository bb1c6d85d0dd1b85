"""Subsetting: https://hl7.org/fhirpath/N1/#subsetting."""

from __future__ import annotations

from typing import Any

from fhir_server.fhirpath.evaluation.items import Items, system
from fhir_server.fhirpath.evaluation.run import Run, fail, single
from fhir_server.fhirpath.functions.tables import Table
from fhir_server.fhirpath.operators.collections import distinct
from fhir_server.fhirpath.operators.equality import contains


def integer(items: Items, what: str) -> int | None:
    """Return an argument as integer, None for empty; raises FhirPathError for anything else."""
    value: Any = system(single(items, what)) if items else None
    if value is not None and (not isinstance(value, int) or isinstance(value, bool)):
        raise fail(f"{what} takes an Integer")
    return value


def _single(_run: Run, source: Items) -> Items:
    single(source, "single()")
    return source


def _first(_run: Run, source: Items) -> Items:
    return source[:1]


def _last(_run: Run, source: Items) -> Items:
    return source[-1:]


def _tail(_run: Run, source: Items) -> Items:
    return source[1:]


def _skip(_run: Run, source: Items, count: Items) -> Items:
    number = integer(count, "skip()")
    return [] if number is None else source[max(number, 0) :]


def _take(_run: Run, source: Items, count: Items) -> Items:
    number = integer(count, "take()")
    return [] if number is None else source[: max(number, 0)]


def _intersect(run: Run, source: Items, other: Items) -> Items:
    run.spend(len(source) * len(other))
    return distinct(run, [item for item in source if contains(other, item)])


def _exclude(run: Run, source: Items, other: Items) -> Items:
    run.spend(len(source) * len(other))
    return [item for item in source if not contains(other, item)]


VALUES: Table = {
    "single": (_single, 0),
    "first": (_first, 0),
    "last": (_last, 0),
    "tail": (_tail, 0),
    "skip": (_skip, 1),
    "take": (_take, 1),
    "intersect": (_intersect, 1),
    "exclude": (_exclude, 1),
}
