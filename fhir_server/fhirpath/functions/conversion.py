"""Conversion: https://hl7.org/fhirpath/N1/#conversion. Each ``toX`` has a ``convertsToX``."""

from __future__ import annotations

import re
from collections.abc import Callable
from decimal import Decimal
from typing import Any

from fhir_server.datatypes.quantity import CALENDAR_UNITS, Quantity, in_range
from fhir_server.datatypes.temporal import DAY, Temporal, parse_date, parse_date_time, parse_time
from fhir_server.fhirpath.evaluation.items import Items, system
from fhir_server.fhirpath.evaluation.run import Run, single
from fhir_server.fhirpath.functions.tables import Table, optional

_INTEGER = re.compile(r"[+-]?\d{1,11}", re.ASCII)
_DECIMAL = re.compile(r"[+-]?\d{1,100}(\.\d{1,100})?", re.ASCII)
_QUANTITY = re.compile(r"([+-]?\d{1,100}(?:\.\d{1,100})?)\s*(?:'([^']+)'|([a-zA-Z]+))?", re.ASCII)
_TRUE = {"true", "t", "yes", "y", "1", "1.0"}
_FALSE = {"false", "f", "no", "n", "0", "0.0"}


def _boolean(value: Any) -> bool | None:
    if isinstance(value, bool):
        return value
    if isinstance(value, int | Decimal):
        return bool(value) if value in {0, 1} else None
    if isinstance(value, str):
        word = value.lower()
        return True if word in _TRUE else (False if word in _FALSE else None)
    return None


def integer(value: Any) -> int | None:
    """Return a System value as ``toInteger()`` reads it, None when it isn't an integer."""
    if isinstance(value, int):
        return int(value)
    return int(value) if isinstance(value, str) and _INTEGER.fullmatch(value) else None


def _decimal(value: Any) -> Decimal | None:
    if isinstance(value, bool | int | Decimal):
        return Decimal(value)
    return Decimal(value) if isinstance(value, str) and _DECIMAL.fullmatch(value) else None


def string(value: Any) -> str | None:
    """Return a System value as ``toString()`` writes it, None when it has no such form."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Decimal):
        return format(value, "f") if in_range(value) else str(value)
    return str(value) if isinstance(value, str | int | Quantity | Temporal) else None


def _date(value: Any) -> Temporal | None:
    if isinstance(value, str):
        return parse_date(value) or (parse_date(value[:10]) if parse_date_time(value) else None)
    if isinstance(value, Temporal) and value.kind != "time":
        return Temporal("date", value.fields[: DAY + 1])
    return None


def _date_time(value: Any) -> Temporal | None:
    if isinstance(value, str):
        return parse_date_time(value)
    if isinstance(value, Temporal) and value.kind != "time":
        return Temporal("dateTime", value.fields, value.offset)
    return None


def _time(value: Any) -> Temporal | None:
    if isinstance(value, str):
        return parse_time(value)
    return value if isinstance(value, Temporal) and value.kind == "time" else None


def _quantity(value: Any) -> Quantity | None:
    if isinstance(value, Quantity):
        return value
    if isinstance(value, bool | int | Decimal):
        return Quantity(Decimal(value))
    match = _QUANTITY.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        return None
    number, unit, word = match.groups()
    if word is None:
        return Quantity(Decimal(number), unit or "1")
    return Quantity(Decimal(number), CALENDAR_UNITS[word], calendar=True) if word in CALENDAR_UNITS else None


def _converter(name: str, convert: Callable[[Any], Any]) -> Callable[..., Items]:
    def apply(_run: Run, source: Items) -> Items:
        item = single(source, f"{name}()")
        return [] if item is None else optional(convert(system(item)))

    return apply


def _test(name: str, convert: Callable[[Any], Any]) -> Callable[..., Items]:
    def apply(_run: Run, source: Items) -> Items:
        item = single(source, f"{name}()")
        return [] if item is None else [convert(system(item)) is not None]

    return apply


_CONVERSIONS: dict[str, Callable[[Any], Any]] = {
    "Boolean": _boolean,
    "Integer": integer,
    "Decimal": _decimal,
    "String": string,
    "Date": _date,
    "DateTime": _date_time,
    "Time": _time,
    "Quantity": _quantity,
}


def _to_quantity(run: Run, source: Items, unit: Items | None = None) -> Items:
    from fhir_server.datatypes import quantity, ucum  # noqa: PLC0415 - UCUM tables are loaded when first needed

    found: Items = _converter("toQuantity", _quantity)(run, source)
    if unit is None or not found:
        return found
    wanted = system(single(unit, "toQuantity()")) if unit else None
    if not isinstance(wanted, str):
        return []
    from fractions import Fraction  # noqa: PLC0415 - as above

    converted = ucum.convert(Fraction(found[0].value), found[0].code, wanted)
    return [] if converted is None else [Quantity(quantity.decimal(converted), wanted)]


def _converts_to_quantity(run: Run, source: Items, unit: Items | None = None) -> Items:
    return [bool(_to_quantity(run, source, unit))] if source else []


VALUES: Table = {
    **{f"to{name}": (_converter(f"to{name}", convert), 0) for name, convert in _CONVERSIONS.items()},
    **{
        f"convertsTo{name}": (_test(f"convertsTo{name}", convert), 0)
        for name, convert in _CONVERSIONS.items()
    },
    "toQuantity": (_to_quantity, (0, 1)),
    "convertsToQuantity": (_converts_to_quantity, (0, 1)),
}
