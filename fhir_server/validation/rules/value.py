"""What a profile demands of a value itself: fixed[x], pattern[x], minValue[x], maxValue[x], maxLength.

https://hl7.org/fhir/R4/elementdefinition-definitions.html#ElementDefinition.fixed_x_
"""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

from fhir_server.datatypes.quantity import compare as compare_quantities
from fhir_server.datatypes.quantity import from_json
from fhir_server.datatypes.temporal import compare, parse_date_time, parse_time
from fhir_server.messages import say
from fhir_server.validation.protocols import Handler
from fhir_server.validation.report import Findings, Run
from fhir_server.validation.schema import Facets

_LONGEST = 300


def equals(value: Any, expected: Any) -> bool:
    """Tell whether a JSON value is the fixed one: the same members, the same order, nothing more."""
    if type(expected) is dict:
        return (
            type(value) is dict
            and value.keys() == expected.keys()
            and all(equals(value[key], inner) for key, inner in expected.items())
        )
    if type(expected) is list:
        return type(value) is list and len(value) == len(expected) and all(map(equals, value, expected))
    return _same(value, expected)


def fits(value: Any, pattern: Any) -> bool:
    """Tell whether a JSON value holds at least what the pattern holds."""
    if type(pattern) is dict:
        return type(value) is dict and all(
            key in value and fits(value[key], inner) for key, inner in pattern.items()
        )
    if type(pattern) is list:
        return type(value) is list and all(any(fits(v, inner) for v in value) for inner in pattern)
    return _same(value, pattern)


def _same(value: Any, expected: Any) -> bool:
    if type(value) is bool or type(expected) is bool:
        return value is expected
    if isinstance(value, int | Decimal | float) and isinstance(expected, int | Decimal | float):
        return _number(value) == _number(expected)
    return bool(value == expected)


def _number(value: float | Decimal) -> Decimal:
    return Decimal(repr(value)) if isinstance(value, float) else Decimal(value)


def with_facets(inner: Handler, facets: Facets) -> Handler:
    """Return the handler of a value that must also keep the facets."""

    def handler(value: Any, parent: dict[str, Any], run: Run) -> Findings | None:
        found = inner(value, parent, run)
        problem = _problem(value, facets)
        if problem is None:
            return found
        return [*(found or ()), *run.error(*problem)]

    return handler


def _problem(value: Any, facets: Facets) -> tuple[str, str, str] | None:
    if facets.fixed is not None and not equals(value, facets.fixed[0]):
        return (
            "value",
            say(
                "The value must be exactly {value}.", value=_shown(facets.fixed[0]), expected=facets.fixed[0]
            ),
            "fixed@",
        )
    if facets.pattern is not None and not fits(value, facets.pattern[0]):
        return (
            "value",
            say("The value must be, or have at least, {value}.", value=_shown(facets.pattern[0])),
            "pattern@",
        )
    if facets.max_length and type(value) is str and len(value) > facets.max_length:
        return (
            "value",
            say("The text must be at most {max_length} characters long.", max_length=facets.max_length),
            "max-length@",
        )
    if facets.minimum is not None and order(value, facets.minimum[0]) == -1:
        return (
            "value",
            say("The value must not be less than {minimum}.", minimum=_shown(facets.minimum[0])),
            "min-value@",
        )
    if facets.maximum is not None and order(value, facets.maximum[0]) == 1:
        return (
            "value",
            say("The value must not be greater than {maximum}.", maximum=_shown(facets.maximum[0])),
            "max-value@",
        )
    return None


def _shown(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= _LONGEST else text[:_LONGEST] + "..."


def order(value: Any, limit: Any) -> int | None:
    """Return -1, 0 or 1 as a value is below, at or above a limit; None if the two can't be compared."""
    if type(value) is dict and type(limit) is dict:
        if (value.get("system"), value.get("code")) == (limit.get("system"), limit.get("code")):
            return order(value.get("value"), limit.get("value"))
        return _order_in_units(value, limit)
    if type(value) is bool or type(limit) is bool:
        return None
    if isinstance(value, int | Decimal | float) and isinstance(limit, int | Decimal | float):
        left, right = _number(value), _number(limit)
        return (left > right) - (left < right)
    if type(value) is str and type(limit) is str:
        return _order_in_time(value, limit)
    return None


def _order_in_units(value: dict[str, Any], limit: dict[str, Any]) -> int | None:
    left, right = from_json(value), from_json(_exact(limit))
    return compare_quantities(left, right) if left is not None and right is not None else None


def _exact(quantity: dict[str, Any]) -> dict[str, Any]:
    number = quantity.get("value")
    return {**quantity, "value": _number(number)} if isinstance(number, float | int) else quantity


def _order_in_time(value: str, limit: str) -> int | None:
    for read in (parse_date_time, parse_time):
        left, right = read(value), read(limit)
        if left is not None and right is not None:
            return compare(left, right)
    return None
