"""batch: the entries of a Bundle as independent requests.

https://hl7.org/fhir/R4/http.html#brules. Entries of one method that follow each other run at the same time; each method
starts when the entries before it are answered.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace
from functools import partial
from itertools import groupby
from typing import Any

from fhir_server.datatypes.entry_positions import EntryPositions
from fhir_server.datatypes.json_format import encode
from fhir_server.interactions.exchange import FhirRequest, FhirResponse, Server
from fhir_server.interactions.steps.bundle_entries import Entry, as_request, placed, read_entry
from fhir_server.interactions.steps.bundle_response import Answer, response_bundle, response_entry
from fhir_server.outcome import FhirError, error, operation_outcome

Dispatch = Callable[[Server, FhirRequest], Awaitable[FhirResponse]]

_LOG = logging.getLogger("fhir_server")

#: So many entries run at the same time.
AT_ONCE = 32


async def batch(
    server: Server, request: FhirRequest, bundle: dict[str, Any], dispatch: Dispatch
) -> FhirResponse:
    """Return 200 with a batch-response: each entry has its own status."""
    rows = list(enumerate(bundle.get("entry", ())))
    full_urls = {entry["fullUrl"] for _, entry in rows if "fullUrl" in entry and _creates(entry)}
    positions = EntryPositions(request.sent)
    answered: list[Answer] = []
    for _, run in groupby(rows, key=lambda row: row[1]["request"]["method"]):
        for slice_ in _slices(list(run)):
            answered += await asyncio.gather(
                *(_answer(server, request, row, full_urls, positions, dispatch=dispatch) for row in slice_)
            )
    return response_bundle("batch", answered)


def _slices(rows: list[tuple[int, dict[str, Any]]]) -> Iterator[list[tuple[int, dict[str, Any]]]]:
    for start in range(0, len(rows), AT_ONCE):
        yield rows[start : start + AT_ONCE]


def _creates(entry: dict[str, Any]) -> bool:
    return bool(entry["request"]["method"] == "POST") and "resource" in entry


async def _answer(
    server: Server,
    request: FhirRequest,
    row: tuple[int, dict[str, Any]],
    full_urls: set[str],
    positions: EntryPositions,
    *,
    dispatch: Dispatch,
) -> Answer:
    number, received = row
    try:
        entry = read_entry(number, received, request.base)
        if entry.writes and entry.resource is not None:
            _refuse_links_between_entries(server, entry, full_urls)
        body = encode(entry.resource) if entry.writes and entry.resource is not None else b""
    except FhirError as problem:
        entry = Entry(number, received["request"]["method"], (), "", "", None)
        issues = positions.located([placed(issue, entry.name) for issue in problem.issues], number)
        return response_entry(entry, outcome_of(FhirError(*issues, status=problem.status)))
    try:
        single = replace(as_request(entry, request, body), locate=partial(positions.located, number=number))
        response = await dispatch(server, single)
    except Exception:  # noqa: BLE001 (the other entries go on; the log has the reason)
        _LOG.exception("entry %s of a batch failed", number)
        text = "The server failed to answer this entry; its operators find the reason in the log."
        response = outcome_of(error("exception", text))
    return response_entry(entry, response)


def outcome_of(problem: FhirError) -> FhirResponse:
    """Return a refusal as the answer to an entry."""
    return FhirResponse(problem.status, (), (encode(operation_outcome(problem.issues)),))


def _refuse_links_between_entries(server: Server, entry: Entry, full_urls: set[str]) -> None:
    """Raise FhirError for a reference to a resource that the batch creates: its id is not known, nor if it succeeds."""
    for reference in server.links.references(entry.resource or {}):
        text = reference["reference"]
        if text in full_urls and text.startswith("urn:"):
            raise error(
                "business-rule",
                "The entries of a batch can't refer to each other by fullUrl; send a transaction.",
                expression=entry.name,
            )
