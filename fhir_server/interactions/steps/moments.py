"""``_at`` on a search: the record as it was at a moment, chains, includes and Lists too.

A date or a moment without seconds means its end. https://hl7.org/fhir/R4/http.html#history
"""

from __future__ import annotations

from dataclasses import replace

from fhir_server.datatypes.dates import search_interval
from fhir_server.datatypes.json_format import decode
from fhir_server.interactions.exchange import FhirRequest, Server
from fhir_server.interactions.steps.asking import Asked
from fhir_server.outcome import error
from fhir_server.search import IndexEntries
from fhir_server.store.moment import Moment

_AT = "_at"


def at_moment(server: Server, request: FhirRequest, wanted: Asked) -> tuple[Server, Asked]:
    """Return the server as of the moment that ``_at`` names, and what is asked of it; both as they are without one."""
    given = {value for name, value in wanted.pairs if name == _AT and value}
    if not given:
        return server, wanted
    if len(given) > 1:
        raise error("invalid", "Parameter '_at' is given more than once.", status=400)
    [text] = given
    try:
        _, last = search_interval(text.replace(" ", "+"), server.registry.zone)
    except (ValueError, OverflowError):
        raise error(
            "invalid",
            f"Parameter '_at': '{text}' is not a date, dateTime or instant, such as 2026-01-31T08:00:00Z.",
            status=400,
        ) from None

    def entries_of(body: bytes) -> IndexEntries:
        return server.indexer.entries(decode(body), request.base)

    place = replace(wanted.place, pairs=(*wanted.place.pairs, (_AT, text)))
    pairs = tuple(pair for pair in wanted.pairs if pair[0] != _AT)
    store = Moment(server.store, last, entries_of)
    return replace(server, store=store), replace(wanted, place=place, pairs=pairs)
