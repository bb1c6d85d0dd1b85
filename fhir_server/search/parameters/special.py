"""The special parameter ``near`` of Location: places within a distance of a point on the earth.

``latitude|longitude|distance|units``; without distance 50 km, without units km. The index holds a GeoJSON point.
https://hl7.org/fhir/R4/location.html#positional
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from fhir_server.outcome import error
from fhir_server.search.expression import Expression, Near
from fhir_server.search.lexing import split, unescape
from fhir_server.search.parameters.parameter_type import (
    Context,
    Converter,
    Output,
    ParameterType,
    each,
    invalid,
    missing,
)
from fhir_server.search.registry import Registry
from fhir_server.search.search_parameter import Parameter

#: Kilometres of a unit, by the codes of UCUM and what people write for them.
_KILOMETRES = {
    "": 1.0, "km": 1.0, "m": 0.001, "[mi_us]": 1.609347, "[mi_i]": 1.609344, "mi": 1.609344, "[nmi_i]": 1.852,
    "[ft_i]": 0.0003048,
}  # fmt: skip
_DEFAULT_KILOMETRES = 50.0


def convert(type_: str, element: str, parameter: Parameter, registry: Registry) -> Converter | None:  # noqa: ARG001
    """Return the converter of Location.position."""
    return _position if type_ == "Location.position" else None


def _position(value: dict[str, Any], base: str, out: list[Any]) -> None:  # noqa: ARG001
    longitude, latitude = float(value.get("longitude", "nan")), float(value.get("latitude", "nan"))
    if abs(latitude) <= 90 and abs(longitude) <= 180:  # others are on no map, and MongoDB would refuse them
        out.append({"type": "Point", "coordinates": [longitude, latitude]})


def parse(parameter: Parameter, modifier: str, values: Sequence[str], context: Context) -> Expression:  # noqa: ARG001
    """Return the expression of a ``near`` clause."""
    if modifier == "missing":
        return missing(parameter, values)
    return each(values, lambda text: _near(parameter, text))


def _near(parameter: Parameter, text: str) -> Expression:
    parts = [unescape(part, parameter.name).strip() for part in split(text, "|")]
    if not 2 <= len(parts) <= 4:
        raise invalid(parameter, text, "of the form latitude|longitude|distance|units")
    latitude, longitude = (_number(parameter, text, part) for part in parts[:2])
    if abs(latitude) > 90 or abs(longitude) > 180:
        raise invalid(parameter, text, "a place on the earth (latitude -90 to 90, longitude -180 to 180)")
    distance, unit = [*parts[2:], "", ""][:2]
    if unit not in _KILOMETRES:
        raise error(
            "invalid",
            f"Parameter '{parameter.name}': the unit is one of {', '.join(u for u in _KILOMETRES if u)}, not '{unit}'.",
        )
    if not distance:
        return Near(parameter.field, latitude, longitude, _DEFAULT_KILOMETRES)
    kilometres = _number(parameter, text, distance) * _KILOMETRES[unit]
    if kilometres < 0:
        raise invalid(parameter, text, "a distance of at least 0")
    return Near(parameter.field, latitude, longitude, kilometres)


def _number(parameter: Parameter, text: str, part: str) -> float:
    try:
        found = float(part)
    except ValueError:
        found = math.nan
    if not math.isfinite(found):
        raise invalid(parameter, text, "of the form latitude|longitude|distance|units, in numbers")
    return found


def sort(parameter: Parameter, descending: bool) -> tuple[Any, ...]:  # noqa: ARG001
    """Fail: there is no order of places (``_sort`` refuses the parameter before)."""
    raise AssertionError(f"{parameter.name} has no order")


TYPE = ParameterType("special", frozenset({"missing"}), (Output("i"),), convert, parse, sort)
