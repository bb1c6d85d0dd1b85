"""``_include`` and ``_revinclude``: which resources go with a page, read from the index entries of its rows.

https://hl7.org/fhir/R4/search.html#include
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fhir_server.outcome import error
from fhir_server.search.chain import canonicals
from fhir_server.search.combining import Never, all_of, any_of
from fhir_server.search.expression import Equal, Expression
from fhir_server.search.linked import Answer, refers_to
from fhir_server.search.parameters.reference import local
from fhir_server.search.paths import values_at
from fhir_server.search.registry import Registry
from fhir_server.search.search_parameter import Parameter, TypeParameters

NAMES = frozenset({"_include", "_revinclude"})
_ANY = "*"
_CANONICALS = frozenset({"canonical", "uri"})


@dataclass(frozen=True, slots=True)
class Include:
    """One include: the references of ``source`` by the parameter ``name`` ("*": all) to ``target`` ("": any type).

    ``source`` "*" is every type. ``is_reverse`` goes against the references; ``iterates`` also from what was
    included itself.
    """

    source: str
    name: str
    target: str
    is_reverse: bool
    iterates: bool

    def __str__(self) -> str:
        """Return the parameter as a client writes it."""
        value = _ANY if self.source == _ANY else ":".join(filter(None, (self.source, self.name, self.target)))
        return (
            f"{'_revinclude' if self.is_reverse else '_include'}{':iterate' if self.iterates else ''}={value}"
        )


@dataclass(frozen=True, slots=True)
class Wanted:
    """What rows refer to: resources as (type, id), versions of them, and canonicals as (url, version or "").

    ``canonicals`` are by type.
    """

    resources: Mapping[tuple[str, str], None]
    versions: Mapping[tuple[str, str, int], None]
    canonicals: Mapping[str, Mapping[tuple[str, str], None]]


def read_include(name: str, value: str, registry: Registry) -> Include:
    """Return an include; raises FhirError 400 when it names what does not exist."""
    base, _, modifier = name.partition(":")
    if modifier not in {"", "iterate"}:
        raise error(
            "not-supported",
            f"Parameter '{base}': modifier ':{modifier}' is not supported; R4 has ':iterate'.",
        )
    is_reverse, iterates = base == "_revinclude", modifier == "iterate"
    if value == _ANY:
        return Include(_ANY, _ANY, "", is_reverse, iterates)
    source, *rest = value.split(":")
    if not 1 <= len(rest) <= 2 or not all(rest):
        raise error(
            "invalid", f"Parameter '{name}': '{value}' is incomplete: write Type:parameter[:Type] or '*'."
        )
    parameter, target = (*rest, "")[:2]
    for type_ in filter(None, (source, target)):
        if type_ not in registry.types.resource_types:
            raise error("invalid", f"Parameter '{name}': '{type_}' is not an R4 resource type.")
    if parameter != _ANY:
        _check(name, parameter, target, registry.parameters(source))
    return Include(source, parameter, target, is_reverse, iterates)


def _check(name: str, wanted: str, target: str, known: TypeParameters) -> None:
    parameter = known.by_name.get(wanted)
    if parameter is None or not parameter.searchable:
        hint = known.closest(wanted)
        raise error(
            "not-supported",
            f"Parameter '{name}': {known.resource} has no search parameter '{wanted}'."
            + (f" Did you mean '{hint}'?" if hint else ""),
        )
    if parameter.type != "reference":
        raise error(
            "invalid",
            f"Parameter '{name}': '{wanted}' of {known.resource} is no reference; it can't be followed.",
        )
    if target and parameter.targets and target not in parameter.targets:
        raise error(
            "invalid",
            f"Parameter '{name}': '{wanted}' never refers to {target}; it refers to {', '.join(parameter.targets)}.",
        )


def applies_to(include: Include, types: Sequence[str]) -> bool:
    """Tell whether an include can find anything from matches of these types."""
    if include.is_reverse:
        return not include.target or include.target in types
    return include.source == _ANY or include.source in types


def references(type_: str, registry: Registry) -> list[Parameter]:
    """Return the parameters of a type that includes can follow."""
    known = registry.parameters(type_).by_name.values()
    return [one for one in known if one.type == "reference" and one.searchable and one.is_stored]


def _followed(include: Include, known: TypeParameters, registry: Registry) -> Iterator[Parameter]:
    """Yield the reference parameters of a type that an include follows."""
    if include.source not in {_ANY, known.resource}:
        return
    if include.name == _ANY:
        yield from references(known.resource, registry)
    else:
        yield known.by_name[include.name]


def pointed_to(
    includes: Sequence[Include],
    type_: str,
    fields: Mapping[str, Any],
    body: Mapping[str, Any] | None,
    *,
    base: str,
    registry: Registry,
) -> Wanted:
    """Return what a row refers to along the includes.

    ``fields`` are the row's ``i`` and ``p``; ``body`` is its JSON if it holds references to versions, else None.
    """
    found = Wanted({}, {}, {})
    known = registry.parameters(type_)
    for include in includes:
        for parameter in _followed(include, known, registry):
            targets = (include.target,) if include.target else parameter.targets
            versions = _versions(parameter, body, base) if body else {}
            for entry in _entries(parameter, fields):
                if parameter.types & _CANONICALS and "://" in entry:
                    _add_canonical(found, targets or registry.types.resource_types, entry)
                    continue
                named, _, id_ = entry.partition("/")
                if (targets and named not in targets) or named not in registry.types.resource_type_names:
                    continue
                if entry in versions:
                    found.versions[named, id_, versions[entry]] = None  # type: ignore[index]
                else:
                    found.resources[named, id_] = None  # type: ignore[index]
    return found


def _entries(parameter: Parameter, fields: Mapping[str, Any]) -> list[str]:
    stored = fields.get("i", {}).get(parameter.name)
    entries = stored if isinstance(stored, list) else [] if stored is None else [stored]
    if parameter.at_home and fields.get("p"):
        return [f"Patient/{fields['p']}", *entries]
    return entries


def _add_canonical(found: Wanted, targets: Sequence[str], entry: str) -> None:
    url, _, version = entry.partition("|")
    for target in targets:
        wanted = found.canonicals.setdefault(target, {})  # type: ignore[attr-defined]
        if version:
            wanted.pop((url, ""), None)  # the index holds the URL alone beside it
            wanted[url, version] = None
        elif not any(known == url for known, _ in wanted):
            wanted[url, ""] = None


def _versions(parameter: Parameter, body: Mapping[str, Any], base: str) -> dict[str, int]:
    """Return the references of a parameter that name a version, as the index holds them."""
    found: dict[str, int] = {}
    for branch in parameter.branches:
        for value in values_at(branch, dict(body)):
            reference = value.get("reference", "") if isinstance(value, dict) else ""
            before, _, version = reference.partition("/_history/")
            entry = local(before, base) if version.isdigit() else None
            if entry:
                found[entry] = int(version)
    return found


def with_canonicals(wanted: Mapping[tuple[str, str], None]) -> Expression:
    """Return the expression of resources with these URLs, and versions where they are named."""
    return any_of(
        all_of([Equal("i.url", (url,)), Equal("i.version", (version.casefold() + "|",))])
        if version
        else Equal("i.url", (url,))
        for url, version in wanted
    )


def sources(include: Include, present: Sequence[str]) -> Sequence[str]:
    """Return the types whose references a reverse include looks at; ``present`` are those in the store."""
    return present if include.source == _ANY else (include.source,)


def pointing_from(
    include: Include,
    source: str,
    ids: Mapping[str, Sequence[str]],
    urls: Mapping[str, Sequence[tuple[str, str]]],
    registry: Registry,
) -> tuple[Expression, ...]:
    """Return what finds the resources of ``source`` that refer to rows: an expression for each parameter.

    ``ids`` are the rows' ids by type, ``urls`` the (url, version) of those that have one.
    """
    found: dict[Expression, None] = {}
    for parameter in _followed(include, registry.parameters(source), registry):
        for type_, rows in ids.items():
            if include.target not in {"", type_} or (parameter.targets and type_ not in parameter.targets):
                continue
            if not parameter.types or parameter.types - _CANONICALS:
                found[refers_to(parameter, type_, rows)] = None
            if parameter.types & _CANONICALS and urls.get(type_):
                found[canonicals(parameter, Answer(tuple(urls[type_])))] = None
    return tuple(one for one in found if not isinstance(one, Never))
