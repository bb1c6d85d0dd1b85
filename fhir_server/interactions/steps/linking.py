"""Runs the inner searches of chains and ``_has``: each with its own plan, the caller's rights and a cap.

https://hl7.org/fhir/R4/search.html#chaining, https://hl7.org/fhir/R4/search.html#has
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from enum import Enum, auto
from typing import Any

from fhir_server.interactions.exchange import FhirRequest, Server
from fhir_server.outcome import FhirError, Issue
from fhir_server.search.combining import Never
from fhir_server.search.linked import URL_AND_VERSION, Answer, Linked
from fhir_server.search.plan import keys_plan

#: Most values that an inner search may hand to the outer one, and most URLs of a canonical reference.
MOST_KEYS = 10_000
MOST_CANONICALS = 200


#: A ``_has`` with more matches than this is first looked at from the side of the resources that have them.
FEW_MATCHES = 12


class Effort(Enum):
    """How much a ``_has`` may read: a few of its matches, as many as values may be handed over, or all."""

    LITTLE = auto()
    SOME = auto()
    ALL = auto()

    @property
    def most(self) -> int:
        """Most matches that are read; 0: no limit."""
        return {Effort.LITTLE: FEW_MATCHES + 1, Effort.SOME: MOST_KEYS + 1, Effort.ALL: 0}[self]


class Unselective(FhirError):  # noqa: N818 (the name says what the inner search is)
    """An inner search finds too much to be handed to the outer one."""


async def linked(
    server: Server, request: FhirRequest, question: Linked, effort: Effort = Effort.ALL
) -> Answer:
    """Return what a closed inner search finds; raises Unselective when that is too much.

    With less than all effort that is said of a ``_has`` already when its matches, and not only the resources that they
    refer to, are too many to be read.
    """
    inside = question.inside
    asked = [_values(server, request, question, effort)]
    if inside is not None:
        criterion = inside.criterion(question.type, question.expression)
        holders_of = Linked(question.clause, inside.holder, criterion, "_id")
        asked.append(_values(server, request, holders_of))
    values, *holders = await asyncio.gather(*asked)
    return Answer(values, *holders)


async def _values(
    server: Server, request: FhirRequest, question: Linked, effort: Effort = Effort.ALL
) -> tuple[Any, ...]:
    if isinstance(question.expression, Never) or question.among == ():
        return ()
    type_, field = question.type, question.field
    most = MOST_CANONICALS if question.is_canonical else MOST_KEYS
    plan = keys_plan(type_, question.criterion, server.registry, most + 1)
    most_read = 0 if question.back is None else effort.most
    found: tuple[Any, ...] | None
    if field == URL_AND_VERSION:
        page = await server.store.search(replace(plan, projection=("i",), keys_only=True), request.access)
        found = tuple(_url_and_version(row.fields["i"]) for row in page.rows if "url" in row.fields["i"])
    else:
        found = await server.store.values(
            plan, field, request.access, whole=question.is_canonical, most=most_read
        )
    if found is None or len(found) > most:
        raise _unselective(question.clause, type_, most)
    return found


def _url_and_version(entries: dict[str, Any]) -> tuple[str, str]:
    return entries["url"], entries.get("version", "|").rpartition("|")[0]


def _unselective(clause: str, type_: str, most: int) -> Unselective:
    text = (
        f"Parameter '{clause}' leads through more than {most} resources ({type_}). Narrow it with a more selective "
        "value, or start the search from the other side."
    )
    return Unselective(Issue("error", "too-costly", text))
