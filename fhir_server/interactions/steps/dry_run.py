"""X-Dry-Run: what a write would be answered with, without writing anything.

The request goes through the same handler with a store that only rehearses: validation, conditions, references and
conflicts are judged as ever. Ids of new resources are examples. Decided in docs/decisions/0020-dry-run-header.md.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace

from fhir_server.interactions.exchange import FhirRequest, FhirResponse, Server
from fhir_server.outcome import error
from fhir_server.store.rehearsal import Rehearsal

DRY_RUN = "x-dry-run"

Answer = Callable[[Server, FhirRequest], Awaitable[FhirResponse]]


def is_dry_run(request: FhirRequest) -> bool:
    """Tell whether nothing may be written; raise FhirError 400 when the header says neither true nor false."""
    value = request.headers[DRY_RUN].strip().lower()
    if value not in ("true", "false"):
        raise error("value", "X-Dry-Run is true or false; nothing was done.")
    return value == "true"


async def dry_run(server: Server, request: FhirRequest, answer: Answer) -> FhirResponse:
    """Return what the request would be answered with, marked by the same header."""
    response = await answer(replace(server, store=Rehearsal(server.store)), request)
    return replace(response, headers=(*response.headers, ("X-Dry-Run", "true")))
