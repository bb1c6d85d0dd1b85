"""$expunge: versions removed for good, for operators of servers whose settings allow it.

``[type]/[id]/$expunge``, ``[type]/$expunge``, ``$expunge``; its definition is
profiles/OperationDefinition-expunge.json. A purge that was begun is finished, if not by the
process that began it then by another one.
"""

from __future__ import annotations

import asyncio
import logging
import time
from contextlib import suppress
from typing import Any

from fhir_server.datatypes.json_format import decode, encode
from fhir_server.interactions.exchange import FhirRequest, FhirResponse, Server, Target
from fhir_server.interactions.steps.assess import assess
from fhir_server.interactions.steps.dry_run import DRY_RUN, is_dry_run
from fhir_server.operations.parameters import of_body
from fhir_server.outcome import error
from fhir_server.store.documents import Unavailable
from fhir_server.store.purging import Purge, Row

_LOG = logging.getLogger("fhir_server")

#: Seconds after which the rest is left to the background.
_PATIENCE = 15.0
#: Seconds between two looks for purges that nobody works on.
_LOOK_EVERY = 10.0
_FLAGS = {
    "expungePreviousVersions": "previous",
    "expungeDeletedResources": "deleted",
    "expungeEverything": "everything",
}


async def expunge(server: Server, request: FhirRequest, target: Target) -> FhirResponse:
    """Return 200 when all is removed, 202 when the rest is removed in the background; a dry run removes nothing."""
    purge = _purge(server, request, target)
    if target.id and await server.store.read(target.type, target.id, request.access) is None:
        raise error("not-found", f"There is no {target.type} with this id.")
    if DRY_RUN in request.headers and is_dry_run(request):
        return _answer(200, await server.store.purges.count(purge), "dry-run")
    row = await server.store.purges.begin(purge, server.clock())
    deadline = time.monotonic() + _PATIENCE
    while row["state"] == "running" and time.monotonic() < deadline:
        row = await server.store.purges.step(row, server.clock())
    is_done = row["state"] == "done"
    return _answer(200 if is_done else 202, row["removed"], "done" if is_done else "running", row["_id"])


async def follow(server: Server) -> None:
    """Finish the purges that others had to leave, for ever; an outage of the database only delays it."""
    while True:
        await asyncio.sleep(_LOOK_EVERY)
        with suppress(Unavailable):
            row: Row | None = await server.store.purges.take(server.clock())
            while row is not None and row["state"] == "running":
                row = await server.store.purges.step(row, server.clock())
            if row is not None:
                _LOG.info("purge %s is %s: %d versions", row["_id"], row["state"], row["removed"])


def _purge(server: Server, request: FhirRequest, target: Target) -> Purge:
    """Return what the request asks for; raise FhirError 400, or 403 for what this caller or this server may not do."""
    if not request.access.sees_all:
        raise error("forbidden", "$expunge is for callers who may see everything.")
    body = decode(request.body)
    if body.get("resourceType") != "Parameters":
        raise error("structure", "The body of an operation is a Parameters resource.")
    assess(server, body)
    given = of_body(body)
    unknown = given.keys() - {"reason", *_FLAGS}
    if unknown or any(len(values) > 1 for values in given.values()):
        names = ", ".join(("reason", *_FLAGS))
        raise error("value", f"$expunge takes {names}, each once.", expression="Parameters.parameter")
    flags = {field: _flag(given, name) for name, field in _FLAGS.items()}
    reason = given.get("reason", [""])[0]
    if not isinstance(reason, str) or not reason.strip():
        raise error(
            "required", "$expunge needs a reason (valueString), which is kept.", expression="Parameters"
        )
    if not any(flags.values()):
        raise error("required", f"Say what is to go: {', '.join(_FLAGS)}.", expression="Parameters")
    if flags["everything"] and (target.type or server.policy.expunge != "everything"):
        raise error(
            "forbidden",
            "expungeEverything is for test servers: POST [base]/$expunge where expunge.allow is everything.",
        )
    return Purge(
        request.access.actor,
        reason,
        target.type,
        target.id,
        flags["previous"],
        flags["deleted"],
        flags["everything"],
    )


def _flag(given: dict[str, list[Any]], name: str) -> bool:
    value = given.get(name, [False])[0]
    if not isinstance(value, bool):
        raise error("value", f"{name} is a valueBoolean.", expression="Parameters.parameter")
    return value


def _answer(status: int, count: int, state: str, record: str = "") -> FhirResponse:
    rows: list[dict[str, Any]] = [
        {"name": "count", "valueInteger": count},
        {"name": "state", "valueCode": state},
    ]
    if record:
        rows.append({"name": "record", "valueString": record})
    return FhirResponse(status, (), (encode({"resourceType": "Parameters", "parameter": rows}),))
