"""What every search does around its query: read the pairs, open a page link, count, and make the links.

https://hl7.org/fhir/R4/http.html#search
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlencode

from fhir_server.interactions.exchange import FhirRequest, Server
from fhir_server.outcome import FhirError, Issue, error
from fhir_server.search import (
    LONGEST_FORM,
    Position,
    SearchQuery,
    choose,
    count_plan,
    decode_pairs,
    in_compartment,
    indexed,
    parse,
)

#: ``_total=estimate`` counts no further than this.
ESTIMATE_CAP = 10_000

_CURSOR = "_cursor"

Pairs = Sequence[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Place:
    """Where a search is asked: its path behind the base, and the compartment that its matches are in.

    ``pairs`` belong to the self link beside those that the query executed.
    """

    path: str
    compartment: tuple[str, str] | None = None
    pairs: tuple[tuple[str, str], ...] = ()

    def address(self, base: str) -> str:
        """Return the absolute URL without query."""
        return f"{base}/{self.path}" if self.path else base


@dataclass(frozen=True, slots=True)
class Asked:
    """What a request asks: the decoded pairs at a place, and which page (None: the first)."""

    place: Place
    pairs: tuple[tuple[str, str], ...]
    position: Position | None = None


def asked(server: Server, request: FhirRequest, place: Place) -> Asked:
    """Return what a request asks; a page link carries the pairs in its cursor."""
    pairs = decode_pairs(request.query)
    if request.method == "POST":
        pairs += decode_pairs(request.body.decode("latin-1"), longest=LONGEST_FORM)
    cursor = next((value for name, value in pairs if name == _CURSOR), None)
    if cursor is None:
        return Asked(place, tuple(_with_count(pairs, server)))
    found = server.cursors.open(cursor, f"/{place.path}", actor=request.access.actor, now=server.clock())
    return Asked(place, tuple(_with_count(list(found.pairs), server)), found.position)


def query_of(server: Server, request: FhirRequest, wanted: Asked, type_: str) -> SearchQuery:
    """Return the query of the pairs on a type, within the compartment of the place."""
    place = wanted.place
    query = parse(
        wanted.pairs,
        type_,
        server.registry,
        base=request.base,
        now=server.clock(),
        lenient=is_lenient(server, request),
    )
    return in_compartment(query, *place.compartment, server.registry) if place.compartment else query


def _with_count(pairs: list[tuple[str, str]], server: Server) -> list[tuple[str, str]]:
    """Return the pairs with the page size that the settings give or allow."""
    given = [value for name, value in pairs if name == "_count" and value]
    if not given:
        return [*pairs, ("_count", str(server.policy.default_count))]
    most = server.policy.max_count
    if len(given) == 1 and given[0].isascii() and given[0].isdigit() and int(given[0][:9]) > most:
        return [*(pair for pair in pairs if pair[0] != "_count"), ("_count", str(most))]
    return pairs


def is_lenient(server: Server, request: FhirRequest) -> bool:
    """Tell whether an unknown parameter is ignored: the request's word, else the settings'."""
    prefer = request.headers.get("prefer", "")
    if "handling=lenient" in prefer:
        return True
    return not server.policy.strict_search and "handling=strict" not in prefer


async def counted(server: Server, request: FhirRequest, queries: Sequence[SearchQuery]) -> int | None:
    """Return Bundle.total as far as it was asked for; an estimate ends at ESTIMATE_CAP."""
    results = queries[0].results
    wanted = "accurate" if results.count_only else results.total
    if wanted == "none":
        return None
    total = 0
    for query in queries:
        cap = None if wanted == "accurate" else ESTIMATE_CAP - total
        total += await server.store.count(count_plan(query, server.registry), request.access, cap)
        if cap is not None and total >= ESTIMATE_CAP:
            break
    return total


def warnings_of(queries: Sequence[SearchQuery], total: int | None) -> tuple[Issue, ...]:
    """Return the warnings of queries, each once, and that a total is only a lower bound."""
    found = dict.fromkeys(warning for query in queries for warning in query.warnings)
    results = queries[0].results
    if results.total == "estimate" and total == ESTIMATE_CAP and not results.count_only:
        text = f"There are {total} matches or more; _total=accurate counts them."
        found[Issue("information", "informational", text)] = None
    return tuple(found)


def links(
    server: Server,
    request: FhirRequest,
    place: Place,
    query: SearchQuery,
    neighbours: Sequence[tuple[str, Position | None]] = (),
) -> dict[str, str]:
    """Return the links of the Bundle: self tells what was executed, the others carry the query in a cursor."""
    address = place.address(request.base)
    found = {"self": f"{address}?{urlencode((*place.pairs, *query.self_parameters))}"}
    for relation, position in neighbours:
        if position is not None:
            cursor = server.cursors.seal(
                place.pairs + query.self_parameters,
                position,
                actor=request.access.actor,
                now=server.clock(),
                place=f"/{place.path}",
            )
            shown = (("_count", str(query.results.count)), (_CURSOR, cursor))
            found[relation] = f"{address}?{urlencode(shown)}"
    return found


def too_slow(server: Server, queries: Sequence[SearchQuery]) -> FhirError:
    """Return the refusal of a search that the database stopped at its time limit: which criteria would help."""
    told = "The search took too long and was stopped."
    if len(queries) > 1:
        return error("too-costly", f"{told} Name fewer types, or add criteria that are indexed for them.")
    [query] = queries
    names = ", ".join(indexed(query.type, server.registry))
    if choose(query, server.registry)[0].is_scan:
        told += (
            f" No index serves its criteria, so every {query.type} would have to be read. "
            f"Add a criterion with an index: {names}. "
            "A SearchParameter that you POST for what you search by gets an index, too."
        )
    else:
        told += f" Its criteria find too much. Narrow it by further ones; these have an index: {names}."
    return error("too-costly", told)
