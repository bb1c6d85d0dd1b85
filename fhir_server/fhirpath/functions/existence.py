"""Existence: https://hl7.org/fhirpath/N1/#existence."""

from __future__ import annotations

from fhir_server.fhirpath.evaluation.items import Items, class_of, system
from fhir_server.fhirpath.evaluation.run import Closure, Run, Scope, fail, single, truth
from fhir_server.fhirpath.functions.tables import Table
from fhir_server.fhirpath.operators.collections import distinct
from fhir_server.fhirpath.operators.equality import contains


def each(scope: Scope, source: Items) -> list[Scope]:
    """Return the scope of each item in turn."""
    return [Scope([item], [index], scope.total) for index, item in enumerate(source)]


def empty(_run: Run, source: Items) -> Items:
    """``empty()``."""
    return [not source]


def exists(run: Run, source: Items, scope: Scope, criteria: Closure | None = None) -> Items:
    """``exists([criteria])``."""
    if criteria is None:
        return [bool(source)]
    return [any(truth(criteria(run, s)) is True for s in each(scope, source))]


def all_(run: Run, source: Items, scope: Scope, criteria: Closure) -> Items:
    """``all(criteria)``."""
    return [all(truth(criteria(run, s)) is True for s in each(scope, source))]


def _booleans(source: Items) -> list[bool]:
    values = [system(item) for item in source]
    for item, value in zip(source, values, strict=True):
        if not isinstance(value, bool):
            raise fail(f"a collection of Booleans is needed and holds {class_of(item).name}")
    return values


def _all_true(_run: Run, source: Items) -> Items:
    return [all(_booleans(source))]


def _any_true(_run: Run, source: Items) -> Items:
    return [any(_booleans(source))]


def _all_false(_run: Run, source: Items) -> Items:
    return [not any(_booleans(source))]


def _any_false(_run: Run, source: Items) -> Items:
    return [not all(_booleans(source))]


def _subset_of(run: Run, source: Items, other: Items) -> Items:
    run.spend(len(source) * len(other))
    return [all(contains(other, item) for item in source)]


def _superset_of(run: Run, source: Items, other: Items) -> Items:
    return _subset_of(run, other, source)


def _count(_run: Run, source: Items) -> Items:
    return [len(source)]


def _is_distinct(run: Run, source: Items) -> Items:
    return [len(distinct(run, source)) == len(source)]


def _not(_run: Run, source: Items) -> Items:
    single(source, "not()")
    value = truth(source)
    return [] if value is None else [not value]


VALUES: Table = {
    "empty": (empty, 0),
    "allTrue": (_all_true, 0),
    "anyTrue": (_any_true, 0),
    "allFalse": (_all_false, 0),
    "anyFalse": (_any_false, 0),
    "subsetOf": (_subset_of, 1),
    "supersetOf": (_superset_of, 1),
    "count": (_count, 0),
    "distinct": (distinct, 0),
    "isDistinct": (_is_distinct, 0),
    "not": (_not, 0),
}
EXPRESSIONS: Table = {"exists": (exists, (0, 1)), "all": (all_, 1)}
