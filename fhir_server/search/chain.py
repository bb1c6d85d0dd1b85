"""Chained parameters (``subject:Patient.name``) and reverse chaining (``_has:Observation:patient:code``).

Both ask another search first and go on with what it found, never with a join: the inner search has its own plan and
the caller's rights. A chain also looks into contained resources, whose entries stand in the container.
https://hl7.org/fhir/R4/search.html#chaining, https://hl7.org/fhir/R4/search.html#has
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from fhir_server.outcome import FhirError, Issue, error
from fhir_server.search.combining import Never, Not, all_of, any_of
from fhir_server.search.expression import Equal, Expression
from fhir_server.search.linked import URL_AND_VERSION, Answer, Back, Inside, Linked, refers_to
from fhir_server.search.lookups import Open
from fhir_server.search.parameters import Context
from fhir_server.search.parameters.string import starting_with
from fhir_server.search.search_parameter import Parameter, TypeParameters

#: Most links of one parameter; a chained reference and a ``_has`` are one each.
MOST_LINKS = 4
#: Most types that a chain without ``:Type`` is tried on.
MOST_TYPES = 20
_CANONICALS = frozenset({"canonical", "uri"})

Clause = Callable[[str, str, TypeParameters, Context], Expression | None]
"""Reads one pair on a type: the function that reads the whole query's clauses."""

Inner = Callable[[TypeParameters], Expression | None]
"""Reads the rest of a chain on one of the types that a reference may have; None: there is no such parameter."""


def links(name: str) -> int:
    """Return the number of links in a parameter's name; raise FhirError 400 when there are too many."""
    found = name.count(".") + name.count("_has:")
    if found > MOST_LINKS:
        raise error(
            "too-costly",
            f"Parameter '{name}' has {found} links; at most {MOST_LINKS} are allowed.",
            status=400,
        )
    return found


def chained(
    name: str, value: str, parameters: TypeParameters, context: Context, clause: Clause
) -> Expression | None:
    """Return the expression of ``reference[:Type].path``; None when the first parameter is unknown."""
    links(name)
    head, _, rest = name.partition(".")
    base, _, type_ = head.partition(":")
    parameter = parameters.by_name.get(base)
    if parameter is None:
        return None
    if parameter.type != "reference" or not rest:
        raise error("invalid", f"Parameter '{name}': '{base}' is no reference, or nothing follows it.")
    return followed(name, parameter, type_, context, lambda known: clause(rest, value, known, context))


def followed(name: str, parameter: Parameter, type_: str, context: Context, inner: Inner) -> Expression:
    """Return the references whose targets match; ``type_`` is theirs, "" for all that have the rest of ``name``."""
    rest = name.partition(".")[2]
    _check_type(name, type_, parameter, context)
    types = (type_,) if type_ else parameter.targets or context.registry.types.resource_types
    read = list(_read(name, rest, types, context, inner))
    if len(read) > MOST_TYPES:
        raise error(
            "too-costly",
            f"Parameter '{name}': '{parameter.name}' may refer to {len(read)} types that have '{rest}'; "
            f"name one, as in '{parameter.name}:{read[0][0]}.{rest}'.",
            status=400,
        )
    return any_of(_link(name, parameter, target, found, context) for target, found in read)


def _check_type(name: str, type_: str, parameter: Parameter, context: Context) -> None:
    if type_ and type_ not in context.registry.types.resource_types:
        raise error(
            "invalid", f"Parameter '{name}': '{type_}' is not a resource type; a chain takes no modifier."
        )
    if type_ and parameter.targets and type_ not in parameter.targets:
        raise error(
            "invalid",
            f"Parameter '{name}': '{parameter.name}' can't refer to {type_}; "
            f"it refers to {', '.join(parameter.targets)}.",
        )


def _read(
    name: str, rest: str, types: Sequence[str], context: Context, inner_of: Inner
) -> Iterable[tuple[str, Expression]]:
    """Return the types that have the rest of a chain, with what it means there; at least one, or FhirError 400."""
    found: list[tuple[str, Expression]] = []
    problems: dict[Issue, None] = {}
    for type_ in types:
        try:
            inner = inner_of(context.registry.parameters(type_))
        except FhirError as problem:
            problems.update(dict.fromkeys(problem.issues))
            continue
        if inner is not None:
            found.append((type_, inner))
    if not found:
        raise FhirError(*(problems or [_unknown(name, rest, types, context)]), status=400)
    return found


def _unknown(name: str, rest: str, types: Sequence[str], context: Context) -> Issue:
    wanted = rest.partition(".")[0].partition(":")[0]
    hints = (context.registry.parameters(type_).closest(wanted) for type_ in types)
    hint = next((f" Did you mean '{one}'?" for one in hints if one), "")
    return Issue(
        "error",
        "not-supported",
        f"Parameter '{name}': {' and '.join(types[:5])}{' and others' if len(types) > 5 else ''} "
        f"{'has' if len(types) == 1 else 'have'} no search parameter '{wanted}'.{hint}",
    )


def _link(name: str, parameter: Parameter, type_: str, inner: Expression, context: Context) -> Expression:
    """Return the criterion that waits for the resources of a type that a reference may point to."""
    if isinstance(inner, Never):
        return inner
    inside = Inside(parameter.resource, parameter.name)
    found: list[Expression] = []
    if not parameter.types <= _CANONICALS or not parameter.types:
        question = Linked(name, type_, inner, "_id", inside=inside, reference=parameter)
        found.append(Open(question, lambda answer: _references(parameter, type_, answer)))
    if parameter.types & _CANONICALS and "url" in context.registry.parameters(type_).by_name:
        canonical = Linked(name, type_, inner, URL_AND_VERSION, is_canonical=True)
        found.append(Open(canonical, lambda answer: canonicals(parameter, answer)))
    return any_of(found)


def _references(parameter: Parameter, type_: str, answer: Answer) -> Expression:
    ids = tuple(str(id_) for id_ in answer.values)
    found: list[Expression] = [refers_to(parameter, type_, ids)]
    if answer.holders:
        found.append(Equal("_id", answer.holders))
    return any_of(found)


def canonicals(parameter: Parameter, answer: Answer) -> Expression:
    """Return references to a URL with the version that was found, or without version."""
    found: list[Expression] = []
    for url, version in answer.values:
        unversioned = [Equal(parameter.field, (url,)), Not(starting_with(parameter.field, f"{url}|"))]
        found.append(all_of(unversioned))
        if version:
            found.append(Equal(parameter.field, (f"{url}|{version}",)))
    return any_of(found)


def has(name: str, value: str, parameters: TypeParameters, context: Context, clause: Clause) -> Expression:
    """Return the expression of ``_has:Type:reference:path``, which may be a ``_has`` or a chain again."""
    links(name)
    parts = name.split(":", 3)
    if len(parts) != 4 or not all(parts):
        raise error(
            "invalid",
            f"Parameter '{name}' is incomplete: write _has:Type:reference:parameter, "
            "as in _has:Observation:patient:code.",
        )
    _, type_, reference, rest = parts
    if type_ not in context.registry.types.resource_types:
        raise error("invalid", f"Parameter '{name}': '{type_}' is not an R4 resource type.")
    known = context.registry.parameters(type_)
    parameter = known.by_name.get(reference)
    if parameter is None or parameter.type != "reference":
        hint = known.closest(reference)
        raise error(
            "not-supported",
            f"Parameter '{name}': {type_} has no reference parameter '{reference}'."
            + (f" Did you mean '{hint}'?" if hint and parameter is None else ""),
        )
    if parameter.targets and parameters.resource not in parameter.targets:
        raise error(
            "invalid",
            f"Parameter '{name}': '{reference}' of {type_} never refers to {parameters.resource}; "
            f"it refers to {', '.join(parameter.targets)}.",
        )
    [(_, inner)] = _read(name, rest, (type_,), context, lambda inside: clause(rest, value, inside, context))
    if isinstance(inner, Never):
        return inner
    return _backwards(name, parameter, parameters, inner)


def _backwards(name: str, parameter: Parameter, outer: TypeParameters, inner: Expression) -> Expression:
    type_ = parameter.resource
    back = Back(outer.resource, parameter)
    found: list[Expression] = []
    if parameter.at_home and outer.resource == "Patient":
        question = Linked(name, type_, inner, "p", back=back)
        found.append(Open(question, lambda answer: _ids(answer.values)))
    elif not parameter.types <= _CANONICALS or not parameter.types:
        question = Linked(name, type_, inner, parameter.field, back=back)
        found.append(Open(question, lambda answer: _ids(_of_type(answer.values, outer.resource))))
    if parameter.types & _CANONICALS and "url" in outer.by_name:
        canonical = Linked(name, type_, inner, parameter.field, is_canonical=True)
        found.append(Open(canonical, lambda answer: _named(answer.values)))
    return any_of(found)


def _ids(values: Iterable[Any]) -> Expression:
    ids = tuple(str(value) for value in values)
    return Equal("_id", ids) if ids else Never()


def _of_type(values: Iterable[Any], type_: str) -> list[str]:
    prefix = f"{type_}/"
    return [str(value)[len(prefix) :] for value in values if str(value).startswith(prefix)]


def _named(values: Iterable[Any]) -> Expression:
    """Return the resources that canonicals name; entries are a URL, or a URL and the same with version."""
    found: list[Expression] = []
    for value in values:
        entries = value if isinstance(value, list) else [value]
        versioned = {entry.partition("|")[0] for entry in entries if "|" in entry}
        for entry in entries:
            url, _, version = entry.partition("|")
            if version:
                found.append(
                    all_of([Equal("i.url", (url,)), Equal("i.version", (version.casefold() + "|",))])
                )
            elif url not in versioned:
                found.append(Equal("i.url", (url,)))
    return any_of(found)
