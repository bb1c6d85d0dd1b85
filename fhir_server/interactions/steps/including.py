"""Gathers what ``_include`` and ``_revinclude`` add to a page, within limits that are reported and never silent.

Every query of every round carries the caller's rights; what the caller may not see, or is not there, is left out.
https://hl7.org/fhir/R4/search.html#include
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from fhir_server.datatypes.json_format import decode
from fhir_server.interactions.exchange import FhirRequest, Server
from fhir_server.outcome import Issue
from fhir_server.search.expression import Equal, Expression
from fhir_server.search.include import (
    Include,
    Wanted,
    applies_to,
    pointed_to,
    pointing_from,
    sources,
    with_canonicals,
)
from fhir_server.search.plan import keys_plan
from fhir_server.store.documents import Stored, TimeLimit

#: Most resources that go with a page, and how far ``:iterate`` goes from the matches.
MOST_INCLUDED = 1000
MOST_ROUNDS = 5
#: Queries of one round that run at the same time.
_AT_ONCE = 8

#: What the rows of a page with includes must have been fetched with.
FIELDS = ("i", "p")


@dataclass(slots=True)
class _Gathering:
    """One page's includes while they are gathered; ``seen`` are the versions that are on the page already.

    ``current`` are the resources whose current version is there or was looked for.
    """

    server: Server
    request: FhirRequest
    seen: set[tuple[str, str, int]]
    current: set[tuple[str, str]]
    rows: list[Stored] = field(default_factory=list)
    is_full: bool = False
    was_stopped: bool = False
    gate: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(_AT_ONCE))

    def add(self, found: Sequence[Stored]) -> list[Stored]:
        """Keep what is new; return it."""
        added = []
        for row in found:
            key = (row.type, row.id, row.version)
            if row.is_deleted or key in self.seen:
                continue
            if len(self.rows) >= MOST_INCLUDED:
                self.is_full = True
                break
            self.seen.add(key)
            self.rows.append(row)
            added.append(row)
        return added

    async def find(self, type_: str, expression: Expression) -> tuple[Stored, ...]:
        """Return the resources of a type that match, one more than there is room for."""
        room = MOST_INCLUDED - len(self.rows) + len(self.seen) + 1
        plan = keys_plan(type_, expression, self.server.registry, room)
        async with self.gate:
            try:
                page = await self.server.store.search(replace(plan, projection=FIELDS), self.request.access)
            except TimeLimit:
                self.was_stopped = True
                return ()
        self.current.update((row.type, row.id) for row in page.rows)
        return page.rows

    async def version(self, type_: str, id_: str, version: int) -> tuple[Stored, ...]:
        """Return one version of a resource, if it is there."""
        async with self.gate:
            row = await self.server.store.version(type_, id_, version, self.request.access)
        if row is None or row.is_deleted:
            return ()
        entries = self.server.indexer.entries(decode(row.body), self.request.base)
        return (replace(row, fields={"i": entries.values, "p": entries.patient}),)


async def included(
    server: Server,
    request: FhirRequest,
    rows: Sequence[Stored],
    includes: Sequence[Include],
    types: Sequence[str],
) -> tuple[tuple[Stored, ...], tuple[Issue, ...]]:
    """Return the resources that go with the matches ``rows`` of ``types``, and what to tell about them."""
    issues = [
        Issue(
            "warning",
            "informational",
            f"{include} adds nothing: no match can be its source. "
            "To follow it from included resources, use ':iterate'.",
        )
        for include in includes
        if not include.iterates and not applies_to(include, types)
    ]
    if not includes:
        return (), ()
    gathering = _Gathering(
        server,
        request,
        {(row.type, row.id, row.version) for row in rows},
        {(row.type, row.id) for row in rows},
    )
    frontier: Sequence[Stored] = rows
    followed = includes
    for _ in range(MOST_ROUNDS):
        if not frontier or not followed:
            break
        frontier = await _round(gathering, frontier, followed)
        followed = [include for include in includes if include.iterates]
    else:
        if frontier and followed:
            issues.append(_incomplete(f"':iterate' was followed for {MOST_ROUNDS} levels and no further"))
    if gathering.is_full:
        issues.append(_incomplete(f"a page takes at most {MOST_INCLUDED} of them; ask for a smaller _count"))
    if gathering.was_stopped:
        issues.append(_incomplete("a search for them took too long; include fewer, or by type"))
    return tuple(gathering.rows), tuple(issues)


def _incomplete(reason: str) -> Issue:
    return Issue("warning", "too-costly", f"The included resources are incomplete: {reason}.")


async def _round(
    gathering: _Gathering, frontier: Sequence[Stored], includes: Sequence[Include]
) -> list[Stored]:
    """Follow the includes one step from the frontier; return what is new."""
    forward = [include for include in includes if not include.is_reverse]
    tasks: list[Any] = []
    if forward:
        tasks += _forward(gathering, frontier, forward)
    for include in includes:
        if include.is_reverse:
            tasks += await _backward(gathering, frontier, include)
    found = await asyncio.gather(*tasks)
    return gathering.add([row for rows in found for row in rows])


def _forward(gathering: _Gathering, frontier: Sequence[Stored], includes: Sequence[Include]) -> list[Any]:
    wanted = Wanted({}, {}, {})
    for row in frontier:
        body = decode(row.body) if b"/_history/" in row.body else None
        part = pointed_to(
            includes,
            row.type,
            row.fields,
            body,
            base=gathering.request.base,
            registry=gathering.server.registry,
        )
        wanted = _united(wanted, part)
    ids: dict[str, list[str]] = {}
    for type_, id_ in wanted.resources:
        if (type_, id_) not in gathering.current:
            ids.setdefault(type_, []).append(id_)
    tasks: list[Any] = [gathering.find(type_, Equal("_id", tuple(named))) for type_, named in ids.items()]
    tasks += [gathering.version(*version) for version in wanted.versions]
    tasks += [_by_canonical(gathering, type_, urls) for type_, urls in wanted.canonicals.items()]
    return tasks


def _united(one: Wanted, other: Wanted) -> Wanted:
    urls = {type_: {**one.canonicals.get(type_, {}), **found} for type_, found in other.canonicals.items()}
    return Wanted(
        {**one.resources, **other.resources},
        {**one.versions, **other.versions},
        {**one.canonicals, **urls},
    )


async def _by_canonical(
    gathering: _Gathering, type_: str, urls: Mapping[tuple[str, str], None]
) -> tuple[Stored, ...]:
    """Return the resources that canonicals name; of those without version, the one that changed last."""
    rows = await gathering.find(type_, with_canonicals(urls))
    latest: dict[str, Stored] = {}
    named: list[Stored] = []
    for row in rows:
        url, version = _url_and_version(row)
        if (url, version) in urls:
            named.append(row)
        if (url, "") in urls and (url not in latest or row.key > latest[url].key):
            latest[url] = row
    return (*named, *(row for row in latest.values() if row not in named))


def _url_and_version(row: Stored) -> tuple[str, str]:
    entries = row.fields["i"]
    return entries.get("url", ""), entries.get("version", "|").rpartition("|")[0]


async def _backward(gathering: _Gathering, frontier: Sequence[Stored], include: Include) -> list[Any]:
    ids: dict[str, list[str]] = {}
    urls: dict[str, list[tuple[str, str]]] = {}
    for row in frontier:
        ids.setdefault(row.type, []).append(row.id)
        if "url" in row.fields.get("i", {}):
            urls.setdefault(row.type, []).append(_url_and_version(row))
    present = await gathering.server.store.types() if include.source == "*" else ()
    registry = gathering.server.registry
    return [
        gathering.find(source, expression)
        for source in sources(include, present)
        for expression in pointing_from(include, source, ids, urls, registry)
    ]
