"""search-system: the resources of several types, or of all, that match; newest first.

``_type`` names the types. Without it only parameters that every type has can be used.
https://hl7.org/fhir/R4/http.html#search, https://hl7.org/fhir/R4/search.html#_type
"""

from __future__ import annotations

from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from dataclasses import replace
from difflib import get_close_matches

from fhir_server.interactions import search_type
from fhir_server.interactions.exchange import FhirRequest, FhirResponse, Server, Target
from fhir_server.interactions.steps.asking import (
    Asked,
    Pairs,
    Place,
    asked,
    is_lenient,
    query_of,
)
from fhir_server.interactions.steps.explaining import EXPLAIN, to_explain
from fhir_server.interactions.steps.merging import merged
from fhir_server.interactions.steps.moments import at_moment
from fhir_server.outcome import FhirError, Issue, error
from fhir_server.search import SearchQuery
from fhir_server.search.result_parameters import NAMES
from fhir_server.search.search_parameter import FULL_TEXT

#: Criteria that hold for every type beside the parameters of Resource.
_FOR_ALL = frozenset({"_filter", "_list", "_text", "_include", "_revinclude"})


async def search_system(server: Server, request: FhirRequest, target: Target) -> FhirResponse:  # noqa: ARG001
    """Return 200 with a searchset Bundle."""
    return await search(server, request, asked(server, request, Place("")))


async def search(
    server: Server, request: FhirRequest, wanted: Asked, within: Sequence[str] = ()
) -> FhirResponse:
    """Return 200 with the matches of the types that ``_type`` names, or else of ``within``, or else of all."""
    server, wanted = at_moment(server, request, wanted)
    types, text = _types(server, wanted.pairs, within)
    pairs = tuple(pair for pair in wanted.pairs if pair[0] != "_type")
    if text:
        place = replace(wanted.place, pairs=(*wanted.place.pairs, ("_type", text)))
        wanted = replace(wanted, place=place, pairs=pairs)
        if len(types) == 1:
            return await search_type.search(server, request, types[0], wanted)
        return await _merged(server, request, wanted, types)
    pairs, ignored = _common(server, request, pairs)
    present = set(await server.store.types())
    for words in {name for name, _ in pairs} & set(
        FULL_TEXT
    ):  # not every type has a narrative, or words in the index
        types = [type_ for type_ in types if words in server.registry.parameters(type_).names]
        ignored += _unsearched(server, words, present)
    # Without any, one type stands for all: the query is read and refused all the same.
    types = [type_ for type_ in types if type_ in present] or types[:1]
    return await _merged(server, request, replace(wanted, pairs=pairs), types, ignored)


def _unsearched(server: Server, words: str, present: AbstractSet[str]) -> list[Issue]:
    """Return what tells which types that are there aren't searched for words."""
    without = sorted(present & server.registry.without_content) if words == "_content" else []
    text = f"'_content' does not search {', '.join(without)} on this server (setting search.without_content)."
    return [Issue("warning", "incomplete", text)] if without else []


async def _merged(
    server: Server, request: FhirRequest, wanted: Asked, types: Sequence[str], ignored: Sequence[Issue] = ()
) -> FhirResponse:
    server, wanted, explanations = to_explain(server, request, wanted)
    queries = _queries(server, request, wanted, types)
    is_record = wanted.place.compartment is not None
    return await merged(
        server, request, wanted, queries, ignored=ignored, explanations=explanations, is_record=is_record
    )


def _types(server: Server, pairs: Pairs, within: Sequence[str]) -> tuple[list[str], str]:
    """Return the types that are searched, and ``_type`` as it was understood ("" when it is absent)."""
    known = server.registry.types.resource_types
    given = [value for name, value in pairs if name == "_type" and value]
    if not given:
        return list(within or known), ""
    if len(set(given)) > 1:
        raise error("invalid", "Parameter '_type' is given more than once; write the types with commas.")
    named = list(dict.fromkeys(part.strip() for part in given[0].split(",") if part.strip()))
    for name in named:
        if name not in known:
            nearest = get_close_matches(name, known, 1)
            hint = f" Did you mean {nearest[0]}?" if nearest else ""
            raise error("invalid", f"Parameter '_type': '{name}' is not an R4 resource type.{hint}")
        if within and name not in within:
            raise error("not-found", f"{name} is not part of this compartment.")
    if not named:
        raise error("invalid", "Parameter '_type' holds no type.")
    return named, ",".join(named)


def _common(
    server: Server, request: FhirRequest, pairs: Pairs
) -> tuple[tuple[tuple[str, str], ...], list[Issue]]:
    """Return the pairs that every type understands; the others are refused, or ignored with a warning."""
    kept, problems = [], []
    known = server.registry.common | _FOR_ALL | frozenset(NAMES)
    if server.policy.explain:
        known |= {EXPLAIN}
    for name, value in pairs:
        if name.partition(":")[0] in known:
            kept.append((name, value))
        elif value:
            problems.append(
                f"A search over all types takes only the parameters that all have: {', '.join(sorted(known))}. "
                f"To use '{name}', name the types with _type."
            )
    if problems and not is_lenient(server, request):
        raise FhirError(*(Issue("error", "not-supported", text) for text in problems), status=400)
    return tuple(kept), [Issue("warning", "not-supported", f"{text} It was ignored.") for text in problems]


def _queries(server: Server, request: FhirRequest, wanted: Asked, types: Sequence[str]) -> list[SearchQuery]:
    """Return the query of each type; raise FhirError 400 with the issues of all types, each once."""
    found: list[SearchQuery] = []
    problems: dict[Issue, None] = {}
    for type_ in types:
        try:
            found.append(query_of(server, request, wanted, type_))
        except FhirError as problem:
            problems.update(dict.fromkeys(problem.issues))
    if problems:
        raise FhirError(*problems, status=400)
    if found[0].results.contained != "false":
        raise error("not-supported", "'_contained' is for searches of one type: [type]?...", status=400)
    return found
