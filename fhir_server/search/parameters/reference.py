"""Reference parameters: ``Type/id`` for resources of this server, the URL for others, canonicals.

References to the home patient stand in the document's field ``p``. An id without type means every type that
the parameter may refer to. https://hl7.org/fhir/R4/search.html#reference
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from fhir_server.outcome import error
from fhir_server.search.combining import Never, any_of
from fhir_server.search.expression import Equal, Exists, Expression
from fhir_server.search.lexing import unescape
from fhir_server.search.lookups import Open, RelatedResources, TypesOfId
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
from fhir_server.search.parameters.string import starting_with
from fhir_server.search.parameters.uri import canonical_entries, canonical_value
from fhir_server.search.paths import Branch
from fhir_server.search.registry import Registry
from fhir_server.search.search_parameter import Parameter

_CANONICAL = frozenset({"canonical", "uri"})
_IDENTIFIER = (Branch((), "Identifier", "Reference.identifier"),)


def local(reference: str, base: str) -> str | None:
    """Return a reference as the index holds it, or None for contained resources.

    Relative, or below ``base``: ``Type/id`` without version. Anything else: the URL without version, or the URN.
    """
    if reference.startswith("#"):
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
        # A reference is also there if it has an identifier only, or leads to a contained resource.
        inside = starting_with("i._contained", f"{parameter.name}:")
        return missing(parameter, values, Exists(f"{parameter.field}-ident"), inside)
    if modifier == "identifier":
        field = f"{parameter.field}-ident"
        identifier = Parameter(parameter.name, "token", parameter.resource, branches=_IDENTIFIER)
        return each(values, lambda text: token.value_of(identifier, field, text, context.registry))
    if parameter.types and parameter.types <= _CANONICAL:
        return each(values, lambda text: canonical_value(parameter, parameter.field, modifier, text))
    if modifier in {"above", "below"}:
        return each(values, lambda text: _hierarchy(parameter, modifier, text, context))
    return each(values, lambda text: _one(parameter, modifier, unescape(text, parameter.name), context))


def _one(parameter: Parameter, type_: str, text: str, context: Context) -> Expression:
    reference = local(text, context.base) or text
    if "://" in reference or reference.startswith("urn:"):
        return Equal(parameter.field, (reference,))
    types, id_ = _types_and_id(parameter, type_, reference, context)
    if len(types) > 1 and "/" not in reference:
        question = TypesOfId(parameter.name, id_, types)
        return Open(question, lambda found: to_resources(parameter, found or types, (id_,)))
    return to_resources(parameter, types, (id_,))


def _types_and_id(
    parameter: Parameter, type_: str, reference: str, context: Context
) -> tuple[tuple[str, ...], str]:
    """Return the id in a relative reference, and the types that it can be of (``type_``: the modifier)."""
    named, slash, id_ = reference.rpartition("/")
    if not slash:
        return (type_,) if type_ else parameter.targets, id_
    if named not in context.registry.types.resource_types:
        raise error(
            "invalid",
            f"Parameter '{parameter.name}': '{reference}' is not a reference: write an id, Type/id or a URL.",
        )
    return (named,) if type_ in {"", named} and _may_refer(parameter, named) else (), id_


def to_resources(parameter: Parameter, types: Sequence[str], ids: Sequence[str]) -> Expression:
    """Return the expression of references to any of these ids in any of these types."""
    found: list[Expression] = []
    if parameter.at_home and "Patient" in types:
        found.append(Equal("p", tuple(ids)))
        types = tuple(name for name in types if name != "Patient")
    if types:
        found.append(Equal(parameter.field, tuple(f"{name}/{id_}" for name in types for id_ in ids)))
    return any_of(found) if found and ids else Never()


def hierarchical(parameter: Parameter, registry: Registry) -> dict[str, str]:
    """Return those targets of a parameter that form a hierarchy, each with the parameter that names the parent."""
    found = {}
    for type_ in parameter.targets:
        known = registry.parameters(type_).by_name
        for name in ("partof", "part-of"):
            if name in known and known[name].targets == (type_,):
                found[type_] = name
    return found


def _hierarchy(parameter: Parameter, direction: str, text: str, context: Context) -> Expression:
    """Return the expression of ``:above`` and ``:below``: a resource, or one above or below it."""
    parents = hierarchical(parameter, context.registry)
    reference = unescape(text, parameter.name)
    types, id_ = _types_and_id(parameter, "", local(reference, context.base) or reference, context)
    return any_of(
        Open(
            RelatedResources(type_, id_, parents[type_], direction),
            partial(to_resources, parameter, (type_,)),
        )
        for type_ in types
        if type_ in parents
    )


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
)
