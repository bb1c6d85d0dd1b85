"""The rules of the health space in a transaction: refusals of its entries, and what is committed with them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from fhir_server.interactions.exchange import FhirRequest, Server
from fhir_server.interactions.steps.bundle_entries import Problems
from fhir_server.interactions.steps.in_space import consequences
from fhir_server.interactions.steps.transaction_writes import Write
from fhir_server.outcome import FhirError
from fhir_server.space.life import Space
from fhir_server.store.documents import Change


async def follow_rules(
    server: Server, request: FhirRequest, writes: Sequence[Write], changes: list[Change], problems: Problems
) -> list[Space]:
    """Add to the changes what follows from them; return the control documents that follow.

    Refusals are noted with their entries. What the transaction itself writes is not changed a second time.
    """
    spaces: dict[str, Space] = {}
    places = {id(change): place for place, change in enumerate(changes)}
    for write in writes:
        if write.resource is None or write.change is None or write.matched is not None:
            continue
        try:
            made = await consequences(server, request, write.resource, write.change)
        except FhirError as problem:
            problems.add(write.entry.name, problem)
            continue
        if made.holds is not None:
            place = places[id(write.change)]
            write.change = changes[place] = replace(write.change, holds=made.holds)
        written = {(change.type, change.id) for change in changes} if made.changes else set()
        changes += [change for change in made.changes if (change.type, change.id) not in written]
        if made.space is not None:
            spaces[made.space.patient] = made.space
    return list(spaces.values())
