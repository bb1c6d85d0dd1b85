"""Order: https://hl7.org/fhirpath/N1/#comparison."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fhir_server.datatypes import quantity, temporal
from fhir_server.datatypes.quantity import Quantity
from fhir_server.datatypes.temporal import Temporal
from fhir_server.fhirpath.evaluation.items import QUANTITIES, Items, Node, class_of, system
from fhir_server.fhirpath.evaluation.run import Run, fail, single
from fhir_server.fhirpath.operators.equality import is_number


def compare(left: Any, right: Any) -> int | None:
    """Return -1, 0 or 1, None when it is open; raises FhirPathError for types that have no common order."""
    alike = _same_unit(left, right)
    if alike is not None:
        return alike
    first, second = system(left), system(right)
    if first is None or second is None:
        missing = left if first is None else right
        if isinstance(missing, Node) and (missing.value is None or missing.type in QUANTITIES):
            return None
        raise fail(f"{class_of(missing).name} has no order")
    if (is_number(first) and is_number(second)) or (isinstance(first, str) and isinstance(second, str)):
        return bool(first > second) - bool(first < second)
    if isinstance(first, Temporal) and isinstance(second, Temporal):
        return temporal.compare(first, second)
    if isinstance(first, Quantity) and isinstance(second, Quantity):
        return quantity.compare(first, second)
    raise fail(f"{class_of(left).name} and {class_of(right).name} can't be compared")


def _same_unit(left: Any, right: Any) -> int | None:
    """Compare FHIR Quantities by value when their units are written alike, also outside UCUM."""
    if not (isinstance(left, Node) and isinstance(right, Node) and {left.type, right.type} <= QUANTITIES):
        return None
    a, b = left.value or {}, right.value or {}
    if "value" not in a or "value" not in b or any(a.get(k) != b.get(k) for k in ("system", "code")):
        return None
    if "code" not in a and a.get("unit") != b.get("unit"):
        return None
    return bool(a["value"] > b["value"]) - bool(a["value"] < b["value"])


def _operator(accepts: set[int]) -> Callable[[Run, Items, Items], Items]:
    def apply(_run: Run, left: Items, right: Items) -> Items:
        first, second = single(left, "a comparison"), single(right, "a comparison")
        if first is None or second is None:
            return []
        result = compare(first, second)
        return [] if result is None else [result in accepts]

    return apply


OPERATORS = {
    "<": _operator({-1}),
    "<=": _operator({-1, 0}),
    ">": _operator({1}),
    ">=": _operator({0, 1}),
}
