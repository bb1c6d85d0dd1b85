"""search-system: the resources of several types, or of all, that match; newest first.

``_type`` names the types. Without it only parameters that every type has can be used.
https://hl7.org/fhir/R4/http.html#search, https://hl7.org/fhir/R4/search.html#_type
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from difflib import get_close_matches

from fhir_server.interactions import search_type
from fhir_server.interactions.exchange import FhirRequest, FhirResponse, Server, Target
from fhir_server.interactions.steps.asking import (
    Asked,
    Pairs,
    Place,
    asked,
    counted,
    is_lenient,
    links,
    query_of,
    too_slow,
    warnings_of,
)
from fhir_server.interactions.steps.explaining import EXPLAIN, to_explain
from fhir_server.interactions.steps.including import FIELDS, included
from fhir_server.interactions.steps.lookups import answered
from fhir_server.interactions.steps.searchset import large_of, searchset
from fhir_server.interactions.steps.subsetting import parts_shown
from fhir_server.outcome import FhirError, Issue, error
from fhir_server.search import Position, SearchPlan, SearchQuery, SystemPager
from fhir_server.search.result_parameters import NAMES
from fhir_server.store.documents import Stored, TimeLimit

#: Types that are asked at the same time; further ones wait.
_AT_ONCE = 8
#: Criteria that hold for every type beside the parameters of Resource.
_FOR_ALL = frozenset({"_filter", "_list", "_include", "_revinclude"})


async def search_system(server: Server, request: FhirRequest, target: Target) -> FhirResponse:  # noqa: ARG001
    """Return 200 with a searchset Bundle."""
    return await search(server, request, asked(server, request, Place("")))


async def search(
    server: Server, request: FhirRequest, wanted: Asked, within: Sequence[str] = ()
) -> FhirResponse:
    """Return 200 with the matches of the types that ``_type`` names, or else of ``within``, or else of all."""
    types, text = _types(server, wanted.pairs, within)
    pairs = tuple(pair for pair in wanted.pairs if pair[0] != "_type")
    if text:
        place = replace(wanted.place, pairs=(("_type", text),))
        wanted = replace(wanted, place=place, pairs=pairs)
        if len(types) == 1:
            return await search_type.search(server, request, types[0], wanted)
        return await _merged(server, request, wanted, types)
    pairs, ignored = _common(server, request, pairs)
    present = set(await server.store.types())
    # Without any, one type stands for all: the query is read and refused all the same.
    types = [type_ for type_ in types if type_ in present] or types[:1]
    return await _merged(server, request, replace(wanted, pairs=pairs), types, ignored)


async def _merged(
    server: Server,
    request: FhirRequest,
    wanted: Asked,
    types: Sequence[str],
    ignored: Sequence[Issue] = (),
) -> FhirResponse:
    server, wanted, explanations = to_explain(server, wanted)
    place, position = wanted.place, wanted.position
    queries = _queries(server, request, wanted, types)
    try:
        queries = await asyncio.gather(*(answered(server, request, query) for query in queries))
        pager: SystemPager[Stored] = SystemPager(queries, server.registry, position)
        total = await counted(server, request, queries)
        warnings = (*ignored, *warnings_of(queries, total))
        shape = queries[0].results
        rows: Sequence[Stored] = ()
        if not shape.count_only:
            rows = await _page(server, request, pager)
        beside, told = await included(server, request, rows, shape.includes, types)
    except TimeLimit as slow:
        raise too_slow() from slow
    if shape.count_only:
        told = (*warnings, *explanations())
        body = searchset(
            request.base, (), links(server, request, place, queries[0]), total=total, warnings=told
        )
        return FhirResponse(200, (), (body,))
    bodies, shown = parts_shown(server, shape, rows, beside)
    first = Position() if position else None
    neighbours = (("first", first), ("next", pager.next), ("previous", pager.previous))
    body = searchset(
        request.base,
        rows,
        links(server, request, place, queries[0], neighbours),
        total=pager.total if total is None else total,
        warnings=(*warnings, *told, *explanations()),
        bodies=bodies,
        includes=shown,
    )
    return FhirResponse(200, (), (body,), large=large_of((*rows, *beside)))


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
    return found


async def _page(server: Server, request: FhirRequest, pager: SystemPager[Stored]) -> list[Stored]:
    """Return the rows of the page: first the keys of all types, then the bodies of those that are shown."""
    gate = asyncio.Semaphore(_AT_ONCE)

    async def run(plan: SearchPlan) -> tuple[Stored, ...]:
        async with gate:
            return (await server.store.search(plan, request.access)).rows

    while plans := pager.plans():
        parts = await asyncio.gather(*(run(plan) for plan in plans))
        pager.add([row for rows in parts for row in rows])
    ids: dict[str, list[str]] = {}
    for row in pager.rows:
        ids.setdefault(row.type, []).append(row.id)
    plans = tuple(
        SearchPlan(type_, {"_id": {"$in": wanted}}, hint="_id_", projection=FIELDS)
        for type_, wanted in ids.items()
    )
    whole = {
        (row.type, row.id): row for rows in await asyncio.gather(*(run(p) for p in plans)) for row in rows
    }
    # A resource that was deleted in between is left out.
    return [whole[row.type, row.id] for row in pager.rows if (row.type, row.id) in whole]
