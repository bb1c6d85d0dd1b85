"""Union and membership: https://hl7.org/fhirpath/N1/#collections-2."""

from __future__ import annotations

from fhir_server.fhirpath.evaluation.items import Items, system
from fhir_server.fhirpath.evaluation.run import Run
from fhir_server.fhirpath.operators.equality import contains, equal

_PLAIN = (str, bool)


def distinct(run: Run, items: Items) -> Items:
    """Return the items without those that equal an earlier one."""
    if len(items) < 2:
        return items
    seen: set[tuple[type, object]] = set()
    found: Items = []
    others: Items = []
    for item in items:
        value = system(item)
        if value.__class__ in _PLAIN:
            if (value.__class__, value) not in seen:
                seen.add((value.__class__, value))
                found.append(item)
            continue
        run.spend(len(others))
        if not any(equal(other, item) for other in others):
            others.append(item)
            found.append(item)
    return found


def union(run: Run, left: Items, right: Items) -> Items:
    """Return the items of both sides, each once."""
    return distinct(run, [*left, *right])


def member(run: Run, left: Items, right: Items) -> Items:
    """Return whether all items on the left are on the right, as the reference implementation has it."""
    if not left:
        return []
    run.spend(len(left) * len(right))
    return [all(contains(right, item) for item in left)]


def _contains(run: Run, left: Items, right: Items) -> Items:
    return member(run, right, left)


OPERATORS = {"|": union, "in": member, "contains": _contains}
