"""The operators of assertions: https://hl7.org/fhir/R4/valueset-assert-operator-codes.html.

What is compared is a list of texts, because an expression may give none or several. Nothing passes by accident:
``equals``, ``greaterThan`` and ``lessThan`` want exactly one value, ``in`` wants one at least and all of them in the
list, ``contains`` wants one that contains the text, and the negations hold when no value is, contains, or is in.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal, InvalidOperation

from fhir_server.datatypes.temporal import Temporal, compare, parse_date, parse_date_time, parse_time


def _listed(expected: str) -> list[str]:
    return [part.strip() for part in expected.split(",")]


def _order(left: str, right: str) -> int | None:
    """Return -1, 0 or 1 as ``left`` is less, equal or greater; None when the two can't be ordered."""
    try:
        a, b = Decimal(left), Decimal(right)
    except InvalidOperation:
        return _order_of_times(left, right)
    return (a > b) - (a < b) if a.is_finite() and b.is_finite() else None


def _order_of_times(left: str, right: str) -> int | None:
    for parse in (parse_date, parse_date_time, parse_time):
        first, second = parse(left), parse(right)
        if isinstance(first, Temporal) and isinstance(second, Temporal):
            return compare(first, second)
    return (left > right) - (left < right)


OPERATORS: dict[str, Callable[[list[str], str], bool]] = {
    "equals": lambda found, expected: found == [expected],
    "notEquals": lambda found, expected: expected not in found,
    "in": lambda found, expected: bool(found) and all(v in _listed(expected) for v in found),
    "notIn": lambda found, expected: not any(v in _listed(expected) for v in found),
    "greaterThan": lambda found, expected: len(found) == 1 and _order(found[0], expected) == 1,
    "lessThan": lambda found, expected: len(found) == 1 and _order(found[0], expected) == -1,
    "empty": lambda found, _: not any(found),
    "notEmpty": lambda found, _: any(found),
    "contains": lambda found, expected: any(expected in v for v in found),
    "notContains": lambda found, expected: not any(expected in v for v in found),
}

#: How a sentence says what an operator wants.
_WANTED = {
    "equals": "{}", "notEquals": "anything but {}", "in": "one of {}", "notIn": "none of {}",
    "greaterThan": "more than {}", "lessThan": "less than {}", "empty": "nothing", "notEmpty": "something",
    "contains": "a text with {}", "notContains": "no text with {}",
}  # fmt: skip


def judge(subject: str, operator: str, found: list[str], expected: str) -> str:
    """Return "" when an operator holds, else the sentence that says what was found instead."""
    if OPERATORS[operator](found, expected):
        return ""
    shown = ", ".join(_short(v) for v in found[:5]) or "nothing"
    return f"{subject} should be {_WANTED[operator].format(_short(expected))}, but is {shown}."


def _short(value: str) -> str:
    return f'"{value}"' if len(value) <= 300 else f'"{value[:300]}…"'
