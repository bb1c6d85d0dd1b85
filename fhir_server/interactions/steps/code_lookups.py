"""Codes that a search asks for: members of value sets, and codes above and below others.

Value sets and code systems come from the definitions, or else from those that are stored on this server.
https://hl7.org/fhir/R4/search.html#token
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from fhir_server.datatypes.json_format import decode
from fhir_server.interactions.exchange import FhirRequest, Server
from fhir_server.outcome import FhirError, error
from fhir_server.search import SearchPlan
from fhir_server.search.lookups import RelatedCodes, ValueSetCodes
from fhir_server.terminology import CodeSets

#: Most codes that one search may look for.
_MOST_CODES = 10_000
#: How deep stored value sets may import others.
_MOST_IMPORTS = 5


@dataclass
class _Stored:
    """The definitions, and the stored value sets and code systems that one question needs beside them."""

    server: Server
    request: FhirRequest
    resources: dict[tuple[str, str], dict[str, Any] | None] = field(default_factory=dict)

    def value_set(self, url: str) -> dict[str, Any] | None:
        """Return a ValueSet by URL."""
        return self.server.definitions.value_set(url) or self.resources.get(("ValueSet", url))

    def code_system(self, url: str) -> dict[str, Any] | None:
        """Return a CodeSystem by URL."""
        return self.server.definitions.code_system(url) or self.resources.get(("CodeSystem", url))

    async def load(self, type_: str, url: str) -> dict[str, Any] | None:
        """Return a value set or code system, fetched if the definitions have none of this URL."""
        known = self.value_set(url) if type_ == "ValueSet" else self.code_system(url)
        if known is not None or (type_, url) in self.resources:
            return known
        bare, _, version = url.partition("|")
        wanted: dict[str, Any] = {"i.url": bare}
        if version:
            wanted["i.version"] = f"{version.casefold()}|"
        plan = SearchPlan(type_, wanted, hint="url", sort=(("lu", -1),), limit=1)
        rows = (await self.server.store.search(plan, self.request.access)).rows
        found = decode(rows[0].body) if rows else None
        self.resources[type_, url] = self.resources[type_, bare] = found
        return found

    async def load_parts(self, value_set: dict[str, Any], depth: int = 0) -> None:
        """Fetch the code systems and value sets that a value set is composed of."""
        if depth > _MOST_IMPORTS:
            return
        compose = value_set.get("compose", {})
        clauses = [*compose.get("include", ()), *compose.get("exclude", ())]
        systems = {c["system"] for c in clauses if "system" in c and "concept" not in c}
        await asyncio.gather(*(self.load("CodeSystem", url) for url in systems))
        for url in {url for clause in clauses for url in clause.get("valueSet", ())}:
            imported = await self.load("ValueSet", url)
            if imported is not None:
                await self.load_parts(imported, depth + 1)


async def codes_of_value_set(
    server: Server, request: FhirRequest, question: ValueSetCodes
) -> tuple[tuple[str, str], ...]:
    """Return the (system, code) pairs of a value set, by URL or as ValueSet/id; FhirError 400 when unknown."""
    name = question.url.removeprefix(request.base + "/")
    sets = server.code_sets
    if server.definitions.value_set(name) is None:
        stored = _Stored(server, request)
        value_set = (
            await _read(stored, name) if name.startswith("ValueSet/") else await stored.load("ValueSet", name)
        )
        if value_set is None:
            raise _unknown(question.parameter, f"the value set '{question.url}' is not known here")
        name = value_set.get("url", name)
        stored.resources["ValueSet", name] = value_set
        await stored.load_parts(value_set)
        sets = CodeSets(stored)
    found = sets.codes(name)
    if found is None or found.rule is not None:
        raise _unknown(question.parameter, f"not all codes of the value set '{question.url}' are known here")
    return tuple(_bounded(found.concepts, question.parameter))


async def _read(stored: _Stored, reference: str) -> dict[str, Any] | None:
    row = await stored.server.store.read(
        "ValueSet", reference.removeprefix("ValueSet/"), stored.request.access
    )
    return None if row is None or row.is_deleted else decode(row.body)


async def related_codes(server: Server, request: FhirRequest, question: RelatedCodes) -> tuple[str, ...]:
    """Return the codes above or below a code, itself included; FhirError 400 for an unknown code system."""
    sets = server.code_sets
    if server.definitions.code_system(question.system) is None:
        stored = _Stored(server, request)
        await stored.load("CodeSystem", question.system)
        sets = CodeSets(stored)
    found = sets.related(question.system, question.code, below=question.direction == "below")
    if found is None:
        raise _unknown(
            question.parameter,
            f"the hierarchy of the code system '{question.system}' is not known here as a whole",
        )
    return tuple(_bounded(found, question.parameter))


def _bounded(codes: Iterable[Any], parameter: str) -> list[Any]:
    found = sorted(codes)
    if len(found) > _MOST_CODES:
        raise error(
            "too-costly",
            f"Parameter '{parameter}' means {len(found)} codes; at most {_MOST_CODES} can be searched at once.",
            status=400,
        )
    return found


def _unknown(parameter: str, reason: str) -> FhirError:
    return error(
        "not-supported",
        f"Parameter '{parameter}': {reason}; store it on this server, or name the codes themselves.",
        status=400,
    )
