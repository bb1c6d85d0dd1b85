"""URI parameters, exact and case-sensitive, and canonical references with versions.

https://hl7.org/fhir/R4/search.html#uri, https://hl7.org/fhir/R4/references.html#canonical
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fhir_server.outcome import error
from fhir_server.search.combining import all_of
from fhir_server.search.expression import Equal, Expression, Pattern
from fhir_server.search.lexing import split, unescape
from fhir_server.search.parameters.parameter_type import (
    Context,
    Converter,
    Output,
    ParameterType,
    each,
    missing,
    order_by,
)
from fhir_server.search.parameters.string import literal, starting_with
from fhir_server.search.registry import Registry
from fhir_server.search.search_parameter import Parameter


def convert(type_: str, element: str, parameter: Parameter, registry: Registry) -> Converter | None:  # noqa: ARG001
    """Return the converter of a FHIR type to URIs."""
    return {"uri": _uri, "url": _uri, "oid": _uri, "uuid": _uri, "canonical": _canonical}.get(type_)


def _uri(value: str, base: str, out: list[Any]) -> None:  # noqa: ARG001
    out.append(value)


def _canonical(value: str, base: str, out: list[Any]) -> None:  # noqa: ARG001
    out += canonical_entries(value)


def canonical_entries(value: str) -> list[str]:
    """Return what a canonical is found by: its URL, and the URL with its version if it has one."""
    url, bar, _ = value.partition("|")
    return [url, value] if bar else [url]


def parse(parameter: Parameter, modifier: str, values: Sequence[str], context: Context) -> Expression:
    """Return the expression of a URI clause."""
    if modifier == "missing":
        return missing(parameter, values)
    if "canonical" in parameter.types:
        return each(values, lambda text: canonical_value(parameter, parameter.field, modifier, text))
    versioned = (
        parameter.name == "url" and "version" in context.registry.parameters(parameter.resource).by_name
    )

    def one(text: str) -> Expression:
        parts = [unescape(part, parameter.name) for part in split(text, "|")]
        if versioned and len(parts) == 2:
            return all_of(
                [Equal(parameter.field, (parts[0],)), _version("i.version", parts[1], modifier, "")]
            )
        return _related(parameter, parameter.field, modifier, "|".join(parts))

    return each(values, one)


def canonical_value(parameter: Parameter, field: str, modifier: str, text: str) -> Expression:
    """Return the expression of one canonical: a URL finds every version, ``url|1.0`` that one.

    ``:below`` with ``url|1`` finds the versions 1, 1.x and 1.x.y; without version the URLs below the URL.
    """
    parts = [unescape(part, parameter.name) for part in split(text, "|")]
    if len(parts) == 1:
        return _related(parameter, field, modifier, parts[0])
    if modifier == "above":
        raise error("invalid", f"Parameter '{parameter.name}:above' takes a URL without version.")
    return _version(field, "|".join(parts[1:]), modifier, parts[0] + "|")


def _version(field: str, version: str, modifier: str, url: str) -> Expression:
    """Return the expression of a version behind a URL, or (url "") of a token with the version."""
    entry, end = (url + version, "") if url else (version.casefold() + "|", r"\|")
    if modifier != "below":
        return Equal(field, (entry,))
    prefix = url + version if url else version.casefold()
    return Pattern(field, f"^{literal(prefix)}([.].*)?{end}$", prefix)


def _related(parameter: Parameter, field: str, modifier: str, url: str) -> Expression:
    if not modifier:
        return Equal(field, (url,))
    if url.startswith("urn:"):
        raise error(
            "invalid", f"Parameter '{parameter.name}:{modifier}': URNs such as '{url}' have no hierarchy."
        )
    if modifier == "below":
        return starting_with(field, url)
    return Equal(field, tuple(_ancestors(url)))


def _ancestors(url: str) -> list[str]:
    """Return a URL and the URLs above it, each also with a slash at its end."""
    scheme, separator, path = url.rstrip("/").rpartition("://")
    parts = path.split("/")
    above = [f"{scheme}{separator}{'/'.join(parts[:n])}" for n in range(len(parts), 0, -1)]
    return list(dict.fromkeys([url, *above, *(a + "/" for a in above)]))


def sort(parameter: Parameter, descending: bool) -> tuple[Any, ...]:
    """Order by the URI's text."""
    return (order_by(parameter.field, descending),)


TYPE = ParameterType("uri", frozenset({"missing", "above", "below"}), (Output("i"),), convert, parse, sort)
