"""Whether what a client refers to is on the server: asked there with the client's own token."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping

import httpx

from fhir_server.certification.traffic import Call
from fhir_server.datatypes.references import parse

#: Most references that one run looks up.
MOST = 5000


class References:
    """Looks up references below a base, each once; nothing goes to other servers."""

    def __init__(self, base: str, names: tuple[str, ...], client: httpx.AsyncClient) -> None:
        """Take the base's own address, and the names that clients call it by."""
        self._base = base
        self._names = (base, *names)
        self._client = client
        self._known: dict[str, asyncio.Task[bool | None]] = {}

    async def missing(self, call: Call) -> list[str] | None:
        """Return sentences on references of a stored body that lead nowhere; None when it has none to look up."""
        if call.resource is None or not 200 <= call.status < 300:
            return None
        wanted = dict.fromkeys(filter(None, map(self._here, references(call.resource))))
        found: list[str] = []
        is_known = False
        for reference in wanted:
            there = await self._is_there(reference, call.traffic.headers.get("authorization", ""))
            is_known |= there is not None
            if there is False:
                found.append(f"The reference {reference} leads to nothing on this server.")
        return found if is_known else None

    def _here(self, reference: str) -> str:
        """Return Type/id of a literal reference to this server, else ""."""
        target = parse(reference)
        if target is None or not target.type or not target.id:
            return ""
        return "" if target.base and target.base not in self._names else f"{target.type}/{target.id}"

    async def _is_there(self, reference: str, authorization: str) -> bool | None:
        if reference not in self._known and len(self._known) >= MOST:
            return None
        if reference not in self._known:
            self._known[reference] = asyncio.create_task(self._look(reference, authorization))
        there = await self._known[reference]
        if not there:
            del self._known[reference]  # it may come later
        return there

    async def _look(self, reference: str, authorization: str) -> bool | None:
        """Return whether it is there; None when the server doesn't say."""
        headers = {"Accept": "application/fhir+json"}
        if authorization:
            headers["Authorization"] = authorization
        try:
            answer = await self._client.get(f"{self._base}/{reference}", headers=headers, timeout=10)
        except httpx.HTTPError:
            return None
        if answer.status_code in {404, 410}:
            return False
        return True if answer.is_success else None


def references(value: object) -> Iterator[str]:
    """Yield the literal references in a resource."""
    if isinstance(value, Mapping):
        reference = value.get("reference")
        if isinstance(reference, str):
            yield reference
        for member in value.values():
            yield from references(member)
    elif isinstance(value, list):
        for member in value:
            yield from references(member)
