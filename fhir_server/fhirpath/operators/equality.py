"""Equality and equivalence: https://hl7.org/fhirpath/N1/#equality."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from fhir_server.datatypes import quantity, temporal
from fhir_server.datatypes.quantity import Quantity
from fhir_server.datatypes.temporal import Temporal
from fhir_server.fhirpath.evaluation.items import Items, Node, system
from fhir_server.fhirpath.evaluation.run import Run


def is_number(value: Any) -> bool:
    """Tell whether a System value is an Integer or Decimal."""
    return isinstance(value, int | Decimal) and not isinstance(value, bool)


def equal(left: Any, right: Any) -> bool | None:
    """Return whether two items are equal, None when it is open (precision, units)."""
    first, second = system(left), system(right)
    if first is None or second is None:
        return _equal_json(left, right)
    if is_number(first) and is_number(second):
        return bool(first == second)
    if isinstance(first, Temporal) and isinstance(second, Temporal):
        if (first.kind == "time") != (second.kind == "time"):
            return False
        result = temporal.compare(first, second)
        return None if result is None else result == 0
    if isinstance(first, Quantity) and isinstance(second, Quantity):
        if isinstance(left, Node) and isinstance(right, Node) and left.value == right.value:
            return True
        result = quantity.compare(first, second)
        return None if result is None else result == 0
    return first.__class__ is second.__class__ and bool(first == second)


def _equal_json(left: Any, right: Any) -> bool:
    """Compare what has no System value: complex elements by content."""
    if isinstance(left, Node) and isinstance(right, Node):
        return bool(left.value == right.value) and (left.type == right.type or left.value is None)
    return left == right if not isinstance(left, Node) and not isinstance(right, Node) else False


def equal_collections(left: Items, right: Items) -> bool | None:
    """Return whether two collections are equal in order; None when one is empty or it is open."""
    if not left or not right:
        return None
    if len(left) != len(right):
        return False
    is_open = False
    for a, b in zip(left, right, strict=True):
        result = equal(a, b)
        if result is False:
            return False
        is_open = is_open or result is None
    return None if is_open else True


def contains(items: Items, wanted: Any) -> bool:
    """Tell whether an item equal to ``wanted`` is among the items."""
    return any(equal(item, wanted) for item in items)


def equivalent(left: Any, right: Any) -> bool:
    """Tell whether two items are equivalent: case, white space and finer precision don't count."""
    first, second = system(left), system(right)
    if first is None or second is None:
        return _equivalent_json(left, right)
    if is_number(first) and is_number(second):
        return _equivalent_numbers(Decimal(first), Decimal(second))
    if isinstance(first, str) and isinstance(second, str):
        return _normal(first) == _normal(second)
    if isinstance(first, Temporal) and isinstance(second, Temporal):
        return (first.kind == "time") == (second.kind == "time") and temporal.compare(first, second) == 0
    if isinstance(first, Quantity) and isinstance(second, Quantity):
        return quantity.equivalent(first, second)
    return first.__class__ is second.__class__ and bool(first == second)


def _normal(text: str) -> str:
    return " ".join(text.split()).casefold() if text.split() else text


def _equivalent_numbers(left: Decimal, right: Decimal) -> bool:
    digits = min(max(-int(v.as_tuple().exponent), 0) for v in (left, right))
    return round(left, digits) == round(right, digits)


def _equivalent_json(left: Any, right: Any) -> bool:
    if isinstance(left, Node) and isinstance(right, Node):
        return _equivalent_values(left.value, right.value)
    return bool(left == right)


def _equivalent_values(left: Any, right: Any) -> bool:
    if isinstance(left, dict) and isinstance(right, dict):
        first, second = ({k: v for k, v in d.items() if k != "id"} for d in (left, right))
        return first.keys() == second.keys() and all(
            _equivalent_values(v, second[k]) for k, v in first.items()
        )
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(any(_equivalent_values(a, b) for b in right) for a in left)
    if isinstance(left, str) and isinstance(right, str):
        return _normal(left) == _normal(right)
    return bool(left == right)


def equivalent_collections(left: Items, right: Items) -> bool:
    """Tell whether two collections are equivalent item by item, in any order."""
    if len(left) != len(right):
        return False
    rest = list(right)
    for item in left:
        index = next((i for i, other in enumerate(rest) if equivalent(item, other)), None)
        if index is None:
            return False
        del rest[index]
    return True


def _eq(run: Run, left: Items, right: Items) -> Items:
    run.spend(min(len(left), len(right)))
    result = equal_collections(left, right)
    return [] if result is None else [result]


def _ne(run: Run, left: Items, right: Items) -> Items:
    return [not item for item in _eq(run, left, right)]


def _eqv(run: Run, left: Items, right: Items) -> Items:
    run.spend(len(left) * len(right))
    return [equivalent_collections(left, right)]


def _neqv(run: Run, left: Items, right: Items) -> Items:
    return [not item for item in _eqv(run, left, right)]


OPERATORS = {"=": _eq, "!=": _ne, "~": _eqv, "!~": _neqv}
