"""Which index leads a search whose patient is not known, by counting; and how a search was run, on request.

``_explain=true`` is not of R4: it works where the settings allow it, and is an unknown parameter elsewhere.
"""

from __future__ import annotations

from dataclasses import replace

from fhir_server.datatypes.json_format import encode
from fhir_server.interactions.exchange import FhirRequest, Server
from fhir_server.interactions.steps.asking import Asked
from fhir_server.outcome import Issue
from fhir_server.search import COUNT_CAP, FEW, Choice, SearchPlan, SearchQuery, rivals
from fhir_server.store.moment import Moment

_EXPLAIN = "_explain"


async def leading(server: Server, request: FhirRequest, query: SearchQuery) -> Choice | None:
    """Return the choice whose index reads the least, None to leave it to the ranks (most searches).

    Counts end at a cap: what reads more is no better than what the ranks say.
    """
    if isinstance(server.store, Moment):  # no index leads there
        return None
    best: Choice | None = None
    least = COUNT_CAP
    for choice, plan in rivals(query, server.registry):
        number = await server.store.count(plan, request.access, least)
        if best is None or number < least:
            best, least = choice, max(number, 1)
        if number <= FEW:
            break
    return best


def to_explain(server: Server, wanted: Asked) -> tuple[Asked, list[Issue] | None]:
    """Return the request without ``_explain``, and where explanations go (None: nobody asked for any)."""
    if not server.policy.explain or (_EXPLAIN, "true") not in wanted.pairs:
        return wanted, None
    return replace(wanted, pairs=tuple(pair for pair in wanted.pairs if pair[0] != _EXPLAIN)), []


async def explanation(server: Server, request: FhirRequest, plan: SearchPlan) -> Issue:
    """Return how the database runs a plan, as JSON in an informational issue."""
    found = await server.store.explain(plan, request.access)
    return Issue("information", "informational", encode(found).decode())
