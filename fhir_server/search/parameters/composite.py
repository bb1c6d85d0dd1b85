"""Composite parameters: several components that must hold together, in the same element where it repeats.

On the resource itself a composite is a plain conjunction of its components' parameters and stores nothing. On an
element that repeats, each occurrence becomes one sub-document with the entries of its components (``c0``, ``c1``,
``c1-range``), so that the components of two occurrences never mix. A component from elsewhere in the resource
(``%resource...``) is a conjunct beside them. https://hl7.org/fhir/R4/search.html#composite
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from fhir_server.outcome import error
from fhir_server.search.combining import all_of, any_of
from fhir_server.search.expression import Elements, Expression
from fhir_server.search.lexing import split
from fhir_server.search.parameters import date, number, quantity, reference, string, token, uri
from fhir_server.search.parameters.parameter_type import Context, Converter, Output, ParameterType, each
from fhir_server.search.paths import values_at
from fhir_server.search.registry import Registry
from fhir_server.search.search_parameter import Component, Parameter

_COMPONENTS: Mapping[str, ParameterType] = {
    type_.name: type_
    for type_ in (date.TYPE, number.TYPE, quantity.TYPE, reference.TYPE, string.TYPE, token.TYPE, uri.TYPE)
}


def convert(type_: str, element: str, parameter: Parameter, registry: Registry) -> Converter | None:  # noqa: ARG001
    """Return the converter of the composite's repeating element to sub-documents."""
    members = [_member(part.parameter, type_, registry) for part in parameter.components if part.is_inside]

    def convert_element(value: dict[str, Any], base: str, out: list[Any]) -> None:
        entry: dict[str, Any] = {}
        if all(add(value, base, entry) for add in members):  # a component without value can never match
            out.append(entry)

    return convert_element


def _member(parameter: Parameter, holder: str, registry: Registry) -> Callable[..., bool]:
    """Return the function that adds one component's entries of an element; it tells whether there were any."""
    type_ = _COMPONENTS[parameter.type]
    name = parameter.field
    branches = [
        (branch, converter)
        for branch in parameter.branches
        if (converter := type_.convert(branch.type, branch.element, parameter, registry)) is not None
    ]
    assert branches, f"{parameter.name}: no value of {holder} fits the component's type"

    def add(value: dict[str, Any], base: str, entry: dict[str, Any]) -> bool:
        size = len(entry)
        outputs: list[list[Any]] = [[] for _ in type_.outputs]
        for branch, converter in branches:
            for found in values_at(branch, value):
                converter(found, base, *outputs)
        for output, values in zip(type_.outputs, outputs, strict=True):
            if not values or output.place != "i":
                continue
            if output.is_static:
                entry[name + output.suffix] = values if parameter.repeats else values[0]
            else:
                entry[name + output.suffix] = values[0] if len(values) == 1 else list(dict.fromkeys(values))
        return len(entry) > size

    return add


def parse(parameter: Parameter, modifier: str, values: Sequence[str], context: Context) -> Expression:  # noqa: ARG001
    """Return the expression of a composite clause: values of ``a$b``, or one ``a1,a2$b1,b2`` with lists inside.

    R4 splits at commas first. Where that leaves values without a ``$``, and the whole has exactly as many parts as
    the composite, each part is a list of alternatives for its component.
    """
    width = len(parameter.components)
    parts = [split(value, "$") for value in values]
    if any(len(one) != width for one in parts) and len(whole := split(",".join(values), "$")) == width:
        return _together(parameter, [split(part, ",") for part in whole], context)
    return each(values, lambda text: _one(parameter, text, width, context))


def _one(parameter: Parameter, text: str, width: int, context: Context) -> Expression:
    parts = split(text, "$")
    if len(parts) != width or not all(parts):
        shape = "$".join(part.name for part in parameter.components)
        raise error(
            "invalid",
            f"Parameter '{parameter.name}': '{text}' has {len(parts)} part(s), but it takes '{shape}': {width} "
            r"values joined by '$' (inside a value, write '\$').",
        )
    return _together(parameter, [[part] for part in parts], context)


def _together(parameter: Parameter, parts: Sequence[Sequence[str]], context: Context) -> Expression:
    inside: list[Expression] = []
    beside: list[Expression] = []
    for component, texts in zip(parameter.components, parts, strict=True):
        found = _component(component, texts, parameter, context)
        (inside if component.is_inside else beside).append(found)
    if inside:
        beside.append(Elements(parameter.field, all_of(inside)))
    return all_of(beside)


def _component(
    component: Component, texts: Sequence[str], parameter: Parameter, context: Context
) -> Expression:
    known = context.registry.parameters(parameter.resource).by_name
    wanted = component.parameter
    parameters = [known[name] for name in wanted.parts] if wanted.parts else [wanted]
    return any_of(_COMPONENTS[one.type].parse(one, "", texts, context) for one in parameters)


def sort(parameter: Parameter, descending: bool) -> tuple[Any, ...]:  # noqa: ARG001
    """Refuse: a composite has no order."""
    raise error("not-supported", f"Parameter '_sort': a composite ('{parameter.name}') has no order.")


TYPE = ParameterType("composite", frozenset(), (Output("i", is_static=True),), convert, parse, sort)
