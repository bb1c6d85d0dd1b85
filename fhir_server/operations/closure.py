"""$closure: a table of who subsumes whom among the concepts that a client uses.

https://hl7.org/fhir/R4/conceptmap-operation-closure.html, https://hl7.org/fhir/R4/terminology-service.html#closure
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import Any

from fhir_server.datatypes.json_format import encode
from fhir_server.interactions.exchange import FhirRequest, FhirResponse, Server, Target
from fhir_server.interactions.steps.prepare import instant
from fhir_server.interactions.steps.terminology import with_answers
from fhir_server.operations.inputs import inputs, missing
from fhir_server.outcome import error
from fhir_server.store.closure_tables import ClosureTable, Pair
from fhir_server.terminology.subsumption import closure as closed

_TABLE = {"name": "text", "concept": "object*", "version": "text"}
#: Concepts of one table.
_MOST_CONCEPTS = 5_000
_ATTEMPTS = 10


async def closure(server: Server, request: FhirRequest, target: Target) -> FhirResponse:  # noqa: ARG001
    """Return 200 with a ConceptMap of new pairs, or of those since a version; 404 for an unknown table.

    A name alone makes the table empty.
    """
    given = inputs(request, _TABLE)
    name = given.text("name")
    if not name:
        raise missing("$closure needs the name of the table.")
    concepts = [_concept(coding) for coding in given.all("concept")]
    version = given.text("version")
    if version and concepts:
        raise error("invalid", "Send concepts to add, or the version to go on from, not both.")
    tables = server.store.closure_tables
    if not version and not concepts:
        await tables.reset(name)
        return _answer(server, name, 0, ())
    for _ in range(_ATTEMPTS):
        table = await tables.read(name)
        if table is None:
            raise error("not-found", "There is no closure table of this name: make it with its name alone.")
        if version:
            return _answer(server, name, table.version, _since(table, version))
        added = [concept for concept in dict.fromkeys(concepts) if concept not in table.concepts]
        if len(table.concepts) + len(added) > _MOST_CONCEPTS:
            raise error("too-costly", f"A closure table holds {_MOST_CONCEPTS} concepts at most.")
        found = await with_answers(server, partial(closed, known=table.concepts, added=added))
        pairs = [(below[0], below[1], above[1]) for below, above in found]
        if not added or await tables.replace(table, added, pairs):
            return _answer(server, name, table.version + bool(added), pairs)
    raise error("conflict", "The closure table is being changed by others; try again.")


def _concept(coding: dict[str, Any]) -> tuple[str, str]:
    system, code = coding.get("system"), coding.get("code")
    if not isinstance(system, str) or not isinstance(code, str):
        raise error("value", "Each concept of a closure table has a system and a code.")
    return system, code


def _since(table: ClosureTable, version: str) -> list[Pair]:
    if not version.isdigit():
        raise error("value", "The version of a closure table is the one that the server returned: a number.")
    return [pair for pair, added in table.pairs if added > int(version)]


def _answer(server: Server, name: str, version: int, pairs: Iterable[Pair]) -> FhirResponse:
    moment = instant(server.clock())
    made: dict[str, Any] = {
        "resourceType": "ConceptMap",
        "version": str(version),
        "name": name,
        "status": "active",
        "experimental": True,
        "date": moment,
    }
    groups: dict[str, dict[str, list[str]]] = {}
    for system, below, above in pairs:
        groups.setdefault(system, {}).setdefault(below, []).append(above)
    if groups:
        made["group"] = [
            {
                "source": system,
                "target": system,
                "element": [
                    {"code": code, "target": [{"code": one, "equivalence": "subsumes"} for one in above]}
                    for code, above in elements.items()
                ],
            }
            for system, elements in groups.items()
        ]
    return FhirResponse(200, (), (encode(made),))
