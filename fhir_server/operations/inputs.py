"""The inputs of an operation by their names, from the address and from the body, checked against a table.

https://hl7.org/fhir/R4/operations.html#request
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from fhir_server.datatypes.json_format import decode, encode
from fhir_server.interactions.exchange import FhirRequest, FhirResponse
from fhir_server.operations.parameters import of_body
from fhir_server.outcome import FhirError, error
from fhir_server.search import decode_pairs

_SHAPING = ("_format", "_pretty")
_DECIMAL = re.compile(r"-?\d{1,15}(\.\d{1,15})?", re.ASCII)
#: JSON types by the name of the input's type.
_JSON: dict[str, type | tuple[type, ...]] = {
    "text": str,
    "boolean": bool,
    "integer": int,
    "decimal": (int, Decimal),
    "object": dict,
    "part": list,
}


@dataclass(frozen=True, slots=True)
class Inputs:
    """The values by name, in the order of the request."""

    values: Mapping[str, list[Any]]

    def text(self, name: str) -> str:
        """Return a text, "" if it isn't given."""
        return str(self.values.get(name, [""])[0])

    def texts(self, name: str) -> tuple[str, ...]:
        """Return all texts of a name."""
        return tuple(self.values.get(name, ()))

    def flag(self, name: str, default: bool = False) -> bool:
        """Return a boolean."""
        return bool(self.values.get(name, [default])[0])

    def number(self, name: str) -> int | None:
        """Return a whole number that isn't negative; FhirError 400 otherwise."""
        value: int | None = self.values.get(name, [None])[0]
        if value is not None and value < 0:
            raise error("value", f"The parameter {name} must not be negative.")
        return value

    def one(self, name: str) -> dict[str, Any] | None:
        """Return an object (a Coding, a resource), or None."""
        found: dict[str, Any] | None = self.values.get(name, [None])[0]
        return found

    def all(self, name: str) -> Iterator[Any]:
        """Return all values of a name."""
        return iter(self.values.get(name, ()))

    def has(self, name: str) -> bool:
        """Tell whether a name is given."""
        return name in self.values


def inputs(request: FhirRequest, table: Mapping[str, str], bare: Mapping[str, str] | None = None) -> Inputs:
    """Return the inputs of a request.

    ``table`` has the type of each input that the operation takes: text, boolean, integer, decimal, object, part;
    with ``*`` behind it may be repeated. ``bare`` names the input that a body of a resource type is by itself.
    FhirError 400 for what isn't in the table.
    """
    found: dict[str, list[Any]] = {}
    for name, value in decode_pairs(request.query):
        if name not in _SHAPING:
            found.setdefault(name, []).append(_of_text(name, value, table))
    if request.body:
        body = decode(request.body)
        kind = str(body.get("resourceType"))
        if kind == "Parameters":
            for name, values in of_body(body).items():
                found.setdefault(name, []).extend(values)
        elif bare and kind in bare:
            found.setdefault(bare[kind], []).append(body)
        else:
            raise error("structure", "The body of an operation is a Parameters resource.")
    for name, values in found.items():
        _check(name, values, table)
    return Inputs(found)


def _of_text(name: str, value: str, table: Mapping[str, str]) -> Any:
    kind = _kind(name, table)
    if kind == "boolean" and value in ("true", "false"):
        return value == "true"
    if kind == "integer" and value.isascii() and value.removeprefix("-").isdigit() and len(value) < 10:
        return int(value)
    if kind == "decimal" and _DECIMAL.fullmatch(value):
        return Decimal(value)
    if kind != "text":
        raise error("value", f"The parameter {name} can't be read as {kind} from the address.")
    return value


def _kind(name: str, table: Mapping[str, str]) -> str:
    if name not in table:
        raise error(
            "not-supported",
            f"This operation has no parameter '{name}'; it takes {', '.join(sorted(table))}.",
        )
    return table[name].rstrip("*")


def _check(name: str, values: list[Any], table: Mapping[str, str]) -> None:
    kind = _kind(name, table)
    wanted = _JSON[kind]
    for value in values:
        if not isinstance(value, wanted) or (kind != "boolean" and isinstance(value, bool)):
            raise error("value", f"The parameter {name} must be of type {kind}.")
    if len(values) > 1 and not table[name].endswith("*"):
        raise error("structure", f"The parameter {name} may be given once; it is there {len(values)} times.")


def answered(parameters: list[dict[str, Any]]) -> FhirResponse:
    """Return 200 with a Parameters resource."""
    body: dict[str, Any] = {"resourceType": "Parameters"}
    if parameters:
        body["parameter"] = parameters
    return FhirResponse(200, (), (encode(body),))


def missing(text: str) -> FhirError:
    """Return (not raise) the refusal of a request that lacks an input."""
    return error("required", text)
