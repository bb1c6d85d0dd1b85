"""search-type: the resources of one type that match, by GET and by POST to _search.

https://hl7.org/fhir/R4/http.html#search, https://hl7.org/fhir/R4/search.html
"""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import urlencode

from fhir_server.interactions.exchange import FhirRequest, FhirResponse, Server, Target
from fhir_server.interactions.steps.searchset import searchset
from fhir_server.interactions.steps.subsetting import subsetted
from fhir_server.outcome import Issue, error
from fhir_server.search import LONGEST_FORM, Pager, Position, SearchQuery, count_plan, decode_pairs, parse
from fhir_server.store.documents import Stored, TimeLimit

#: ``_total=estimate`` counts no further than this.
ESTIMATE_CAP = 10_000

_CURSOR = "_cursor"

Pairs = Sequence[tuple[str, str]]


async def search_type(server: Server, request: FhirRequest, target: Target) -> FhirResponse:
    """Return 200 with a searchset Bundle."""
    query, position = _query(server, request, target.type)
    try:
        total, warnings = await _total(server, request, query)
        if query.results.count_only:
            body = searchset(
                request.base, (), _links(server, request, query, None), total=total, warnings=warnings
            )
            return FhirResponse(200, (), (body,))
        pager = await _page(server, request, query, position)
    except TimeLimit as slow:
        raise error(
            "too-costly",
            "The search took too long. Narrow it: add a patient, a code with its system, an identifier or a date.",
        ) from slow
    bodies = None
    if query.results.summary or query.results.elements:
        bodies = [subsetted(server, row, query.results.summary, query.results.elements) for row in pager.rows]
    body = searchset(
        request.base,
        pager.rows,
        _links(server, request, query, pager),
        total=pager.total if total is None else total,
        warnings=warnings,
        bodies=bodies,
    )
    return FhirResponse(200, (), (body,))


def _query(server: Server, request: FhirRequest, type_: str) -> tuple[SearchQuery, Position | None]:
    """Return the query of a request, and where its page is; a page link carries the query in its cursor."""
    pairs = decode_pairs(request.query)
    if request.method == "POST":
        pairs += decode_pairs(request.body.decode("latin-1"), longest=LONGEST_FORM)
    now = server.clock()
    position = None
    cursor = next((value for name, value in pairs if name == _CURSOR), None)
    if cursor is not None:
        found = server.cursors.open(cursor, type_, actor=request.access.actor, now=now)
        pairs, position = list(found.pairs), found.position
    query = parse(
        _with_count(pairs, server),
        type_,
        server.registry,
        base=request.base,
        now=now,
        lenient=_is_lenient(server, request),
    )
    return query, position


def _with_count(pairs: Pairs, server: Server) -> Pairs:
    """Return the pairs with the page size that the settings give or allow."""
    asked = [value for name, value in pairs if name == "_count" and value]
    if not asked:
        return [*pairs, ("_count", str(server.policy.default_count))]
    most = server.policy.max_count
    if len(asked) == 1 and asked[0].isascii() and asked[0].isdigit() and int(asked[0][:9]) > most:
        return [*(pair for pair in pairs if pair[0] != "_count"), ("_count", str(most))]
    return pairs


def _is_lenient(server: Server, request: FhirRequest) -> bool:
    prefer = request.headers.get("prefer", "")
    if "handling=lenient" in prefer:
        return True
    return not server.policy.strict_search and "handling=strict" not in prefer


async def _total(
    server: Server, request: FhirRequest, query: SearchQuery
) -> tuple[int | None, tuple[Issue, ...]]:
    """Return Bundle.total as far as it was asked for, and the search's warnings."""
    wanted = "accurate" if query.results.count_only else query.results.total
    if wanted == "none":
        return None, query.warnings
    cap = None if wanted == "accurate" else ESTIMATE_CAP
    total = await server.store.count(count_plan(query, server.registry), request.access, cap)
    if total == cap:
        more = Issue(
            "information", "informational", f"There are {cap} matches or more; _total=accurate counts them."
        )
        return total, (*query.warnings, more)
    return total, query.warnings


async def _page(
    server: Server, request: FhirRequest, query: SearchQuery, position: Position | None
) -> Pager[Stored]:
    pager: Pager[Stored] = Pager(query, server.registry, position)
    while (plan := pager.plan()) is not None:
        page = await server.store.search(plan, request.access)
        pager.add(page.rows, is_cut=page.is_cut)
    return pager


def _links(
    server: Server, request: FhirRequest, query: SearchQuery, pager: Pager[Stored] | None
) -> dict[str, str]:
    """Return the links of the Bundle: self tells what was executed, the others carry the query in a cursor."""
    address = f"{request.base}/{query.type}"
    links = {"self": f"{address}?{urlencode(query.self_parameters)}"}
    if pager is None:
        return links
    for relation, place in (("next", pager.next), ("previous", pager.previous)):
        if place is not None:
            cursor = server.cursors.seal(query, place, actor=request.access.actor, now=server.clock())
            shown = (("_count", str(query.results.count)), (_CURSOR, cursor))
            links[relation] = f"{address}?{urlencode(shown)}"
    return links
