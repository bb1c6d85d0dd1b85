"""The reading entries of a transaction: checked before it is written, answered after.

https://hl7.org/fhir/R4/http.html#trules: reads come last and see the result; one that fails stops the transaction.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace

from fhir_server.datatypes.json_format import decode
from fhir_server.interactions.batch import AT_ONCE, Dispatch
from fhir_server.interactions.exchange import FhirRequest, FhirResponse, Server
from fhir_server.interactions.steps.bundle_entries import Entry, Problems, as_request
from fhir_server.interactions.steps.bundle_response import Answer, response_entry
from fhir_server.interactions.steps.transaction_writes import Write
from fhir_server.outcome import error


class ReadEntries:
    """GET, HEAD and POST _search entries; each is answered as a single request of the same caller is."""

    def __init__(
        self, server: Server, request: FhirRequest, entries: Sequence[Entry], dispatch: Dispatch
    ) -> None:
        self._server = server
        self._request = request
        self._entries = entries
        self._dispatch = dispatch

    async def check(self, writes: Sequence[Write], problems: Problems) -> None:
        """Note the entries that can't succeed: reads of what is not there or is being deleted, bad searches."""
        if not self._entries:
            return
        changed = {identity: write for write in writes for identity in write.identities()}
        tried: list[Entry] = []
        for entry in self._entries:
            write = changed.get((entry.path[0], entry.path[1])) if len(entry.path) == 2 else None
            if write is None:
                tried.append(entry)
            elif write.method == "DELETE":
                text = f"Entry {write.entry.number} deletes the resource that this entry reads."
                problems.add(entry.name, error("deleted", text, expression=entry.name))
        unaudited = replace(self._server, audit=None)  # nothing of it is answered
        for entry, response in zip(tried, await self._run(tried, unaudited), strict=True):
            if response.status >= 400:
                issue = decode(b"".join(response.body))["issue"][0]
                problems.add(
                    entry.name,
                    error(issue["code"], issue["diagnostics"], expression=entry.name, status=response.status),
                )

    async def answers(self) -> dict[int, Answer]:
        """Return the response's entries by the number of the request's."""
        responses = await self._run(self._entries, self._server)
        return {
            entry.number: response_entry(entry, response)
            for entry, response in zip(self._entries, responses, strict=True)
        }

    async def _run(self, entries: Sequence[Entry], server: Server) -> list[FhirResponse]:
        found: list[FhirResponse] = []
        for start in range(0, len(entries), AT_ONCE):
            found += await asyncio.gather(
                *(
                    self._dispatch(server, as_request(entry, self._request))
                    for entry in entries[start : start + AT_ONCE]
                )
            )
        return found
