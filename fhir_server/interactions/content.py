"""Stores what comes with the server: the health space's own definitions, and the examples.

Both go through the interactions like any client's resources, so that they are validated, searchable and take effect
in every worker. https://hl7.org/fhir/R4/conformance-module.html
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection, Iterable, Iterator
from itertools import groupby

from fhir_server.access import OPEN
from fhir_server.datatypes.json_format import decode, encode
from fhir_server.definitions.content import examples_that_pass, own_definitions, turn
from fhir_server.interactions.exchange import FhirRequest, Operation, Server
from fhir_server.interactions.router import dispatch

_LOG = logging.getLogger("fhir_server")


async def store_definitions(server: Server, operations: Iterable[Operation] = ()) -> int:
    """Store the definitions of ``profiles/`` and ``terminology/``, and R4's of these operations.

    Only those that are absent, or there in another version.
    Returns how many were written. What an operator stored under the same id and version stays as it is.
    """
    rows = (*own_definitions(), *_of_r4(server, {operation.definition for operation in operations}))
    return sum(await asyncio.gather(*(_renew(server, *row) for row in rows)))


def _of_r4(server: Server, urls: Collection[str]) -> Iterator[tuple[str, str, bytes]]:
    """Yield R4's OperationDefinitions with these URLs."""
    for definition in server.definitions.operations():
        if definition["url"] in urls:
            yield definition["resourceType"], definition["id"], encode(definition)


async def store_examples(server: Server) -> None:
    """Store the examples that the server does not hold yet, those of a turn together."""
    for _, rows in groupby(examples_that_pass(), key=lambda row: turn(row[0], row[2])):
        await asyncio.gather(*(_put(server, *row, "*") for row in rows))


async def _renew(server: Server, type_: str, id_: str, body: bytes) -> bool:
    stored = await server.store.read(type_, id_, OPEN)
    if stored is None:
        return await _put(server, type_, id_, body, "*")
    if stored.is_deleted or decode(stored.body).get("version") == decode(body).get("version"):
        return False  # an operator who deleted one meant it
    return await _put(server, type_, id_, body)


async def _put(server: Server, type_: str, id_: str, body: bytes, unless: str = "") -> bool:
    """Put one resource; one that is refused is a defect of ours and is logged."""
    headers = {"prefer": "return=minimal", **({"if-none-match": unless} if unless else {})}
    response = await dispatch(
        server, FhirRequest("PUT", (type_, id_), headers=headers, body=body, access=OPEN)
    )
    if response.status not in (200, 201, 412):
        _LOG.error("%s/%s was refused: %s", type_, id_, b"".join(response.body).decode())
    return response.status in (200, 201)
