"""Three-valued logic: https://hl7.org/fhirpath/N1/#boolean-logic."""

from __future__ import annotations

from collections.abc import Callable

from fhir_server.fhirpath.evaluation.items import Items
from fhir_server.fhirpath.evaluation.run import Run, truth


def _xor(_run: Run, left: Items, right: Items) -> Items:
    first, second = truth(left), truth(right)
    return [] if first is None or second is None else [first != second]


def and_(first: bool | None, second: Callable[[], bool | None]) -> bool | None:
    """Return ``and``; the right side is asked for only if the left isn't false."""
    if first is False:
        return False
    other = second()
    if other is False:
        return False
    return True if first and other else None


def or_(first: bool | None, second: Callable[[], bool | None]) -> bool | None:
    """Return ``or``; the right side is asked for only if the left isn't true."""
    if first is True:
        return True
    other = second()
    if other is True:
        return True
    return False if first is False and other is False else None


def implies(first: bool | None, second: Callable[[], bool | None]) -> bool | None:
    """Return ``implies``; the right side is asked for only if the left isn't false."""
    if first is False:
        return True
    other = second()
    if other is True:
        return True
    return other if first else None


LAZY = {"and": and_, "or": or_, "implies": implies}
OPERATORS = {"xor": _xor}
