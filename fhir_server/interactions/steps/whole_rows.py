"""The bodies of rows that were found without them."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from fhir_server.interactions.exchange import FhirRequest, Server
from fhir_server.interactions.steps.including import FIELDS
from fhir_server.search import SearchPlan
from fhir_server.store.documents import Stored


async def whole_rows(
    server: Server, request: FhirRequest, rows: Sequence[Stored], fields: Sequence[str] = FIELDS
) -> list[Stored]:
    """Return the rows with their bodies and further fields; a resource that was deleted in between is left out."""
    ids: dict[str, list[str]] = {}
    for row in rows:
        ids.setdefault(row.type, []).append(row.id)
    plans = (
        SearchPlan(type_, {"_id": {"$in": wanted}}, hint="_id_", projection=tuple(fields))
        for type_, wanted in ids.items()
    )
    pages = await asyncio.gather(*(server.store.search(plan, request.access) for plan in plans))
    whole = {(row.type, row.id): row for page in pages for row in page.rows}
    return [whole[row.type, row.id] for row in rows if (row.type, row.id) in whole]
