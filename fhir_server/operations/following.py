"""The resources that stored resources refer to, found in their bytes: nothing is decoded.

Followed are literal references to this server, and the Binaries of attachments; fragments, canonicals and
references to other servers are not. https://hl7.org/fhir/R4/references.html
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any

from fhir_server.interactions.exchange import FhirRequest, Server
from fhir_server.outcome import Issue
from fhir_server.search import SearchPlan
from fhir_server.store.documents import Stored

#: How far references are followed (PractitionerRole, its Organization, what that is part of), and most that go along.
MOST_LEVELS = 3
MOST_LINKED = 5000
_IDS_OF_A_QUERY = 1000

Name = tuple[str, str]


@lru_cache(maxsize=64)
def _pattern(base: str) -> re.Pattern[bytes]:
    """Return what finds a reference in compact JSON; inside a text the quotes of one would be escaped."""
    prefix = b"(?:%b/)?" % re.escape(base.encode())
    return re.compile(
        b'"reference":"%b([A-Z][A-Za-z]+)/([A-Za-z0-9.-]{1,64})["/#]' % prefix
        + b'|"url":"%b(Binary)/([A-Za-z0-9.-]{1,64})["/]' % prefix
    )


def referred(rows: Iterable[Stored], base: str) -> dict[Name, None]:
    """Return (type, id) of what the rows refer to, in order; the types may be no types at all."""
    names: dict[tuple[bytes, bytes], None] = {}
    for row in rows:
        for type_, id_, binary, binary_id in _pattern(base).findall(row.body):
            names[type_ or binary, id_ or binary_id] = None
    return {(type_.decode(), id_.decode()): None for type_, id_ in names}


async def followed(
    server: Server,
    request: FhirRequest,
    rows: Sequence[Stored],
    *,
    patient: str | None,
    levels: int = MOST_LEVELS,
    without: frozenset[str] = frozenset(),
) -> tuple[list[Stored], tuple[Issue, ...]]:
    """Return what the rows refer to and the caller may see, without the rows, and what to tell about it.

    Resources that are about another patient than ``patient`` are left out, unless it is None, as are the types
    ``without``.
    """
    present = set(await server.store.types()) - without
    seen = {(row.type, row.id) for row in rows}
    found: list[Stored] = []
    frontier = rows
    for _ in range(levels):
        wanted: dict[str, list[str]] = {}
        for type_, id_ in referred(frontier, request.base):
            if type_ in present and (type_, id_) not in seen:
                seen.add((type_, id_))
                wanted.setdefault(type_, []).append(id_)
        if not wanted:
            break
        frontier = [
            row
            for row in await fetched(server, request, wanted)
            if patient is None or row.fields.get("p", patient) == patient
        ]
        found += frontier
        if len(found) > MOST_LINKED:
            text = f"They refer to more than {MOST_LINKED} resources, of which the first are here."
            return found[:MOST_LINKED], (Issue("warning", "too-costly", text),)
    return found, ()


async def fetched(
    server: Server, request: FhirRequest, wanted: dict[str, list[str]], fields: tuple[str, ...] = ("p",)
) -> list[Stored]:
    """Return the living resources with these ids by type, in that order, with further ``fields`` (the home patient)."""
    plans = [
        SearchPlan(type_, {"_id": {"$in": ids[at : at + _IDS_OF_A_QUERY]}}, hint="_id_", projection=fields)
        for type_, ids in wanted.items()
        for at in range(0, len(ids), _IDS_OF_A_QUERY)
    ]
    pages = await asyncio.gather(*(server.store.search(plan, request.access) for plan in plans))
    known: dict[Any, Stored] = {(row.type, row.id): row for page in pages for row in page.rows}
    return [known[type_, id_] for type_, ids in wanted.items() for id_ in ids if (type_, id_) in known]
