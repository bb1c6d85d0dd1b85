"""Search for contained resources: ``_contained=true`` (they alone) and ``both``.

The matches are the resources that contain them, of whatever type, or with ``_containedType=contained`` the contained
resources themselves; their ``fullUrl`` is that of the container with a fragment. Newest container first. The matches of
one container stay together on a page. https://hl7.org/fhir/R4/search.html#contained
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from fhir_server.datatypes.json_format import decode, encode
from fhir_server.interactions.exchange import FhirRequest, FhirResponse, Server
from fhir_server.interactions.steps.asking import Asked
from fhir_server.interactions.steps.explaining import Explanations
from fhir_server.interactions.steps.lookups import answered
from fhir_server.interactions.steps.merging import Shown, merged
from fhir_server.outcome import error
from fhir_server.search import SearchQuery
from fhir_server.search.combining import any_of
from fhir_server.search.containment import holding, matching
from fhir_server.store.documents import Stored


async def search_contained(
    server: Server, request: FhirRequest, wanted: Asked, query: SearchQuery, explanations: Explanations
) -> FhirResponse:
    """Return 200 with the containers of matches of the query, or with the matches themselves."""
    shape = query.results
    are_parts = shape.contained_type == "contained"
    if are_parts and (shape.includes or shape.count_only or shape.total != "none"):
        raise error(
            "not-supported",
            "'_containedType=contained' can't be used with includes or totals: only containers have references of "
            "their own and are counted.",
            status=400,
        )
    query = await answered(server, request, query)
    inside = holding(query.type, query.expression)
    own = any_of([query.expression, inside]) if shape.contained == "both" else inside
    types = dict.fromkeys([query.type, *await server.store.types()])
    queries = [
        replace(query, type=type_, expression=own if type_ == query.type else inside) for type_ in types
    ]

    def show(rows: Sequence[Stored]) -> Shown:
        places: list[Stored] = []
        parts: list[Stored] = []
        taken = 0
        for row in rows:
            found = _matches(row, query)
            if places and len(places) + len(found) > shape.count:
                break
            places += [replace(row, id=f"{row.id}#{part.id}") if part is not row else row for part in found]
            parts += found
            taken += 1
        return Shown(places, parts, taken)

    return await merged(
        server, request, wanted, queries, explanations=explanations, show=show if are_parts else None
    )


def _matches(row: Stored, query: SearchQuery) -> list[Stored]:
    """Return the resource itself, if it is asked for and matches, and the matches that it contains."""
    found = []
    document = {"_id": row.id, "lu": row.key, **row.fields}
    is_asked = query.results.contained == "both" and row.type == query.type
    if is_asked and query.expression.matches(document):
        found.append(row)
    ids = matching(query.type, query.expression, row.fields["i"])
    by_id = {one.get("id"): one for one in decode(row.body).get("contained", ())} if ids else {}
    return [*found, *(replace(row, type=query.type, id=id_, body=encode(by_id[id_])) for id_ in ids)]
