"""Filtering and projection: https://hl7.org/fhirpath/N1/#filtering-and-projection."""

from __future__ import annotations

from functools import cmp_to_key

from fhir_server.fhirpath.evaluation.items import Items
from fhir_server.fhirpath.evaluation.run import Closure, Run, Scope, single, truth
from fhir_server.fhirpath.functions.existence import each
from fhir_server.fhirpath.functions.tables import Table
from fhir_server.fhirpath.operators.comparison import compare
from fhir_server.fhirpath.operators.equality import contains


def _where(run: Run, source: Items, scope: Scope, criteria: Closure) -> Items:
    return [s.this[0] for s in each(scope, source) if truth(criteria(run, s)) is True]


def _select(run: Run, source: Items, scope: Scope, projection: Closure) -> Items:
    return [item for s in each(scope, source) for item in projection(run, s)]


def _repeat(run: Run, source: Items, scope: Scope, projection: Closure) -> Items:
    found: Items = []
    queue = list(source)
    while queue:
        run.spend(1)
        fresh: Items = []
        for result in _select(run, queue, scope, projection):
            run.spend(len(found))
            if not any(result is item for item in found) and not contains(found, result):
                found.append(result)
                fresh.append(result)
        queue = fresh
    return found


def _aggregate(
    run: Run, source: Items, scope: Scope, aggregator: Closure, initial: Closure | None = None
) -> Items:
    total = initial(run, scope) if initial is not None else []
    for index, item in enumerate(source):
        total = aggregator(run, Scope([item], [index], total))
    return total


def sort(run: Run, source: Items, scope: Scope, *keys: tuple[Closure, bool]) -> Items:
    """``sort([key [desc], ...])``: each key with whether it is descending; items without a key come first."""
    values = [
        ([single(key(run, s), "a sort key") for key, _ in keys] if keys else [s.this[0]], s.this[0])
        for s in each(scope, source)
    ]
    directions = [-1 if descending else 1 for _, descending in keys] or [1]
    run.spend(len(values))

    def order(left: tuple[Items, object], right: tuple[Items, object]) -> int:
        for a, b, direction in zip(left[0], right[0], directions, strict=True):
            if a is None or b is None:
                if a is not b:
                    return -1 if a is None else 1
                continue
            result = compare(a, b) or 0
            if result:
                return result * direction
        return 0

    return [item for _, item in sorted(values, key=cmp_to_key(order))]


VALUES: Table = {}
EXPRESSIONS: Table = {
    "where": (_where, 1),
    "select": (_select, 1),
    "repeat": (_repeat, 1),
    "aggregate": (_aggregate, (1, 2)),
}
