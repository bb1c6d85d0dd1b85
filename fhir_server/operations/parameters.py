"""The input of an operation: a Parameters resource in the body, simple values in the address.

https://hl7.org/fhir/R4/operations.html#request
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from fhir_server.outcome import error


def of_body(resource: dict[str, Any]) -> dict[str, list[Any]]:
    """Return the values of a Parameters resource by name: resources and value[x], in order.

    Raises FhirError 400 for a parameter without name or value. Parts are kept as lists of parameters.
    """
    found: dict[str, list[Any]] = {}
    parameters = resource.get("parameter", [])
    if not isinstance(parameters, list):
        raise error(
            "structure", "The parameter property must be an array.", expression="Parameters.parameter"
        )
    for index, parameter in enumerate(parameters):
        place = f"Parameters.parameter[{index}]"
        if not isinstance(parameter, dict) or not isinstance(parameter.get("name"), str):
            raise error("required", "Each parameter must have a name.", expression=place)
        values = list(_values(parameter))
        if len(values) != 1:
            raise error(
                "structure", "A parameter holds one resource, one value[x] or parts.", expression=place
            )
        found.setdefault(parameter["name"], []).append(values[0])
    return found


def _values(parameter: dict[str, Any]) -> Iterator[Any]:
    for key, value in parameter.items():
        if key in ("resource", "part") or (key.startswith("value") and len(key) > len("value")):
            yield value
