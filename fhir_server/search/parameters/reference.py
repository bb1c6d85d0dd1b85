"""Reference parameters: ``Type/id`` for resources of this server, the URL for others, canonicals.

References to the home patient stand in the document's field ``p``. An id without type means every type that
the parameter may refer to. https://hl7.org/fhir/R4/search.html#reference
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fhir_server.outcome import error
from fhir_server.search.expression import Equal, Expression, Never, any_of
from fhir_server.search.lexing import unescape
from fhir_server.search.parameters import token
from fhir_server.search.parameters.parameter_type import (
    Context,
    Converter,
    Output,
    ParameterType,
    each,
    missing,
    order_by,
)
from fhir_server.search.parameters.uri import canonical_entries, canonical_value
from fhir_server.search.paths import Branch
from fhir_server.search.registry import Parameter, Registry

#: Fields that also say that a reference is there: by identifier only, to a contained resource.
_COMPANIONS = ("-ident", "-contained")
_CANONICAL = frozenset({"canonical", "uri"})
_IDENTIFIER = (Branch((), "Identifier", "Reference.identifier"),)


def local(reference: str, base: str) -> str | None:
    """Return a reference as the index holds it, or None for contained resources and URNs.

    Relative, or below ``base``: ``Type/id`` without version. Anything else: the URL without version.
    """
    if reference.startswith(("#", "urn:")):
        return None
    if "://" in reference and base and reference.startswith(base + "/"):
        reference = reference[len(base) + 1 :]
    return reference.partition("/_history/")[0]


def convert(type_: str, element: str, parameter: Parameter, registry: Registry) -> Converter | None:  # noqa: ARG001
    """Return the converter of a FHIR type to references."""
    if type_ == "Reference":
        return _at_home if parameter.at_home else _reference
    if type_ in _CANONICAL:
        return _canonical
    return _resource if type_ and type_[0].isupper() and type_ != "Attachment" else None


def _reference(value: dict[str, Any], base: str, out: list[Any], identifiers: list[Any]) -> None:
    reference = value.get("reference")
    if reference:
        entry = local(reference, base)
        if entry:
            out.append(entry)
    identifier = value.get("identifier")
    if identifier and ("value" in identifier or "system" in identifier):
        identifiers.append(f"{identifier.get('value', '')}|{token.hash_of(identifier.get('system', ''))}")


def _at_home(value: dict[str, Any], base: str, out: list[Any], identifiers: list[Any]) -> None:
    """Append references to others than patients of this server, whose id stands in ``p``."""
    found: list[Any] = []
    _reference(value, base, found, identifiers)
    out += [entry for entry in found if not entry.startswith("Patient/")]


def _canonical(value: str, base: str, out: list[Any], identifiers: list[Any]) -> None:  # noqa: ARG001
    out += canonical_entries(value)


def _resource(value: dict[str, Any], base: str, out: list[Any], identifiers: list[Any]) -> None:  # noqa: ARG001
    """Append a resource inside another one (Bundle.entry[0].resource) that has an id."""
    if "resourceType" in value and "id" in value:
        out.append(f"{value['resourceType']}/{value['id']}")


def parse(parameter: Parameter, modifier: str, values: Sequence[str], context: Context) -> Expression:
    """Return the expression of a reference clause; ``modifier`` may be a resource type."""
    if modifier == "missing":
        return missing(parameter, values, _COMPANIONS)
    if modifier == "identifier":
        field = f"{parameter.field}-ident"
        identifier = Parameter(parameter.name, "token", parameter.resource, branches=_IDENTIFIER)
        return each(values, lambda text: token.value_of(identifier, field, text, context.registry))
    if parameter.types and parameter.types <= _CANONICAL:
        return each(values, lambda text: canonical_value(parameter, parameter.field, modifier, text))
    if modifier in {"above", "below"}:
        raise error(
            "not-supported",
            f"Parameter '{parameter.name}': ':{modifier}' on references (hierarchies) is not supported.",
        )
    return each(values, lambda text: _one(parameter, modifier, unescape(text, parameter.name), context))


def _one(parameter: Parameter, type_: str, text: str, context: Context) -> Expression:
    reference = local(text, context.base) or text
    if "://" in reference or reference.startswith("urn:"):
        return Equal(parameter.field, (reference,))
    named, slash, id_ = reference.rpartition("/")
    types: tuple[str, ...]
    if slash:
        if named not in context.registry.types.resource_types:
            raise error(
                "invalid",
                f"Parameter '{parameter.name}': '{text}' is not a reference: write an id, Type/id or a URL.",
            )
        types = (named,) if type_ in {"", named} and _may_refer(parameter, named) else ()
    else:
        types = (type_,) if type_ else parameter.targets
    found: list[Expression] = []
    if parameter.at_home and "Patient" in types:
        found.append(Equal("p", (id_,)))
        types = tuple(name for name in types if name != "Patient")
    if types:
        found.append(Equal(parameter.field, tuple(f"{name}/{id_}" for name in types)))
    return any_of(found) if found else Never()


def _may_refer(parameter: Parameter, type_: str) -> bool:
    return not parameter.targets or type_ in parameter.targets


def sort(parameter: Parameter, descending: bool) -> tuple[Any, ...]:
    """Order by the reference's text."""
    values = order_by(parameter.field, descending)
    if not parameter.at_home:
        return (values,)
    return ({"$ifNull": [{"$concat": ["Patient/", "$p"]}, values]},)


TYPE = ParameterType(
    "reference",
    frozenset({"missing", "identifier"}),
    (Output("i"), Output("i", "-ident")),
    convert,
    parse,
    sort,
    companions=_COMPANIONS,
)
