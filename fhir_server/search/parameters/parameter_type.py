"""What a type of search parameter is: how values enter the index and how a query finds them again.

Each type is one file beside this one; ``__init__`` lists them. Entry shape and filter are one contract,
therefore they stand in the same file.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from fhir_server.outcome import FhirError, error
from fhir_server.search.combining import Not, any_of
from fhir_server.search.expression import Exists, Expression, Pattern
from fhir_server.search.registry import Registry
from fhir_server.search.search_parameter import Parameter


@dataclass(frozen=True, slots=True)
class Context:
    """What reading a value may need: ``base`` of this server's URLs, ``now`` in milliseconds UTC."""

    registry: Registry
    base: str
    now: int


@dataclass(frozen=True, slots=True)
class Output:
    """A list that converters fill, stored at ``place`` ("i" or "x") under the parameter's name + suffix.

    ``is_static``: an array exactly if the parameter's path repeats; otherwise distinct values, a scalar when
    there is one. ``if_other`` stores it only when it differs from the type's first output. ``for_types``
    limits the output to parameters that can yield one of these FHIR types (empty: all).
    """

    place: str
    suffix: str = ""
    is_static: bool = False
    if_other: bool = False
    for_types: frozenset[str] = frozenset()


Converter = Callable[..., None]
"""``convert(value, base, *outputs)`` appends the entries of one JSON value to the type's outputs."""


@dataclass(frozen=True, slots=True)
class ParameterType:
    """One type of search parameter.

    ``convert`` gives the converter of a FHIR type (None: such values are not searched), ``element`` being
    the path of the element, for bindings. ``parse`` turns the still escaped values of one clause into an
    expression; ``sort`` gives the aggregation expressions whose least (ascending) or greatest (descending)
    value orders a resource.
    """

    name: str
    modifiers: frozenset[str]
    outputs: tuple[Output, ...]
    convert: Callable[[str, str, Parameter, Registry], Converter | None]
    parse: Callable[[Parameter, str, Sequence[str], Context], Expression]
    sort: Callable[[Parameter, bool], tuple[Any, ...]]


def invalid(parameter: Parameter, text: str, expected: str) -> FhirError:
    """Return the FhirError 400 of a value that can't be read."""
    return error("invalid", f"Parameter '{parameter.name}': '{text}' is not {expected}.")


def missing(parameter: Parameter, values: Sequence[str], *others: Expression) -> Expression:
    """Return the expression of ``:missing=true|false``; ``others`` say, too, that a value is there.

    https://hl7.org/fhir/R4/search.html#modifiers
    """
    if parameter.contact:  # the field holds the contact points of all systems
        return missing_if_not(parameter, values, Pattern(parameter.field, rf"\|{parameter.contact}$"))
    home = [Exists("p")] if parameter.at_home else []
    return missing_if_not(parameter, values, any_of([*home, Exists(parameter.field), *others]))


def missing_if_not(parameter: Parameter, values: Sequence[str], present: Expression) -> Expression:
    """Return the expression of ``:missing`` for a parameter that is there where ``present`` matches."""
    wanted = set(values)
    if not wanted <= {"true", "false"}:
        raise error(
            "invalid", f"Parameter '{parameter.name}:missing' takes 'true' or 'false', not '{values[0]}'."
        )
    return any_of([present if value == "false" else Not(present) for value in sorted(wanted)])


def each(values: Sequence[str], read: Callable[[str], Expression]) -> Expression:
    """Return the disjunction over the values of a clause; empty values count for nothing."""
    return any_of(read(value) for value in values if value)


def order_by(field: str, descending: bool) -> Any:
    """Return the aggregation expression of the value that comes first in the wanted direction."""
    return {"$max" if descending else "$min": f"${field}"}
