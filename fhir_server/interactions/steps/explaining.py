"""How a search was run, on request: ``_explain=true`` adds one issue for each query of the database.

It is not of R4: it works where the settings allow it, and is an unknown parameter elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from fhir_server.datatypes.json_format import encode
from fhir_server.interactions.exchange import FhirRequest, Server
from fhir_server.interactions.steps.asking import Asked
from fhir_server.outcome import Issue

EXPLAIN = "_explain"

Explanations = Callable[[], tuple[Issue, ...]]
"""Returns, at the end of a search, an informational issue for each of its queries."""


def to_explain(server: Server, request: FhirRequest, wanted: Asked) -> tuple[Server, Asked, Explanations]:
    """Return the server to go on with, the request without ``_explain``, and where its explanations are.

    They tell of keys that were read for rows that the caller may not see: who doesn't see all gets none.
    """
    if not (server.policy.explain and request.access.sees_all) or (EXPLAIN, "true") not in wanted.pairs:
        return server, wanted, tuple
    store, found = server.store.explaining()
    pairs = tuple(pair for pair in wanted.pairs if pair[0] != EXPLAIN)

    def explanations() -> tuple[Issue, ...]:
        return tuple(Issue("information", "informational", encode(one).decode()) for one in found)

    return replace(server, store=store), replace(wanted, pairs=pairs), explanations
