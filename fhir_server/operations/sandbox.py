"""$reset, $snapshot and $fault: what only a sandbox has; see docs/sandbox.md.

``[base]/$reset``, ``[base]/$snapshot``, ``[base]/$fault``.
"""

from __future__ import annotations

from typing import Any

from fhir_server.interactions.exchange import FhirRequest, FhirResponse, Server, Target
from fhir_server.interactions.sandbox import START, Fault, Sandbox, checked
from fhir_server.operations.inputs import answered, inputs, missing
from fhir_server.outcome import error
from fhir_server.store.snapshots import NAME

_MOST_TIMES = 10_000


async def reset(server: Server, request: FhirRequest, target: Target) -> FhirResponse:  # noqa: ARG001
    """Return 200 when all data are those of a snapshot again (``to``; without it, of the start)."""
    name = inputs(request, {"to": "text"}).text("to") or START
    await _known(server, name)
    count = await server.store.snapshots.restore(name)
    await _sandbox(server).reset()
    return answered([{"name": "snapshot", "valueString": name}, {"name": "documents", "valueInteger": count}])


async def snapshot(server: Server, request: FhirRequest, target: Target) -> FhirResponse:  # noqa: ARG001
    """Return 200 with the snapshots (GET), or when one is made (``name``, of another one with ``from``) or dropped."""
    if request.method == "GET":
        inputs(request, {})
        return answered(
            [{"name": "snapshot", "valueString": name} for name in await server.store.snapshots.names()]
        )
    given = inputs(request, {"name": "text", "from": "text", "drop": "boolean"})
    name = given.text("name")
    if not name:
        raise missing("$snapshot needs a name.")
    if not NAME.fullmatch(name):
        raise error("value", f'"{name}" can\'t be the name of a snapshot: up to 20 letters, digits and "_".')
    if given.flag("drop"):
        await _known(server, name)
        await server.store.snapshots.drop(name)
        return answered([])
    if source := given.text("from"):
        await _known(server, source)
        if source == name:
            raise error("value", "A snapshot can't be made from itself.")
    count = await server.store.snapshots.take(name, source)
    return answered([{"name": "snapshot", "valueString": name}, {"name": "documents", "valueInteger": count}])


async def fault(server: Server, request: FhirRequest, target: Target) -> FhirResponse:  # noqa: ARG001
    """Return 200 with the faults that wait; POST adds one (``fault``), or takes all back (``fault`` is ``none``)."""
    sandbox = _sandbox(server)
    if request.method == "POST":
        table = {"fault": "text", "seconds": "integer", "times": "integer", "method": "text", "type": "text"}
        given = inputs(request, table)
        if given.text("fault") == "none":
            sandbox.faults.clear()
        else:
            seconds, times = given.number("seconds"), given.number("times")
            wanted = Fault(
                given.text("fault"),
                1 if seconds is None else seconds,
                1 if times is None else times,
                given.text("method"),
                given.text("type"),
            )
            if not 1 <= wanted.times <= _MOST_TIMES:
                raise error("value", f"times is between 1 and {_MOST_TIMES}.")
            sandbox.faults.append(checked(wanted))
    return answered([_row(one) for one in sandbox.faults])


def _row(fault: Fault) -> dict[str, Any]:
    parts: list[dict[str, Any]] = [
        {"name": "fault", "valueString": fault.kind},
        {"name": "seconds", "valueInteger": fault.seconds},
        {"name": "times", "valueInteger": fault.times},
    ]
    named = (("method", fault.method), ("type", fault.type))
    parts += [{"name": name, "valueString": value} for name, value in named if value]
    return {"name": "waiting", "part": parts}


def _sandbox(server: Server) -> Sandbox:
    assert server.sandbox is not None, "the catalogue offers these operations in a sandbox only"
    return server.sandbox


async def _known(server: Server, name: str) -> None:
    names = await server.store.snapshots.names()
    if name not in names:
        raise error("not-found", f'There is no snapshot "{name}"; there are {", ".join(names) or "none"}.')
