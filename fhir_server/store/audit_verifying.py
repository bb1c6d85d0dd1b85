"""Whether the audit is what was written: every event, every link of the chains, every checkpoint.

docs/audit.md
"""

from __future__ import annotations

from collections.abc import Iterable

from fhir_server.access.audit import fields_of
from fhir_server.access.audit_chain import ChainVerifier, Checkpoint, verified_checkpoints
from fhir_server.datatypes.json_format import decode
from fhir_server.outcome import FhirError
from fhir_server.store.audit_reading import AuditReader, Row
from fhir_server.store.connection import Connection
from fhir_server.store.documents import history_id

_WRITES = ("create", "update", "patch", "delete")


async def verified(
    connection: Connection, outside: Iterable[Checkpoint], public_keys: Iterable[bytes]
) -> tuple[int, list[str]]:
    """Return the number of events and what is wrong, in sentences that name the position.

    ``outside`` are the checkpoints kept elsewhere. Raises Unavailable.
    """
    reader = AuditReader(connection)
    # Read first: events that come in meanwhile make chains longer than their checkpoints, never shorter.
    checkpoints = await reader.checkpoints()
    outside = list(outside)
    faults = list(verified_checkpoints(checkpoints, outside, public_keys))
    chains = ChainVerifier([*checkpoints, *outside])
    async for row in reader.all():
        id_, fault = _judged(row)
        faults += chains.add(row.chain, row.position, row.root, row.body, id_)
        if fault:
            faults.append(fault)
    faults += chains.end()
    return chains.count, faults


def _judged(row: Row) -> tuple[str, str]:
    """Return the id in an event, and a sentence if the fields beside it are not its own."""
    place = f"{row.chain} position {row.position}"
    try:
        resource = decode(row.body)
        id_ = str(resource["id"])
        if fields_of(resource) != row.fields or id_ != row.id:
            return id_, f"{place}: edited; what the event is found by is not what it says."
    except (FhirError, LookupError, TypeError, ValueError):
        return row.id, f"{place}: edited; the event is no AuditEvent."
    return id_, ""


async def unfinished(connection: Connection) -> list[str]:
    """Return the events of changes that are not in the database: never made, or purged since; raises Unavailable."""
    faults = []
    async for row in AuditReader(connection).all():
        if row.fields["o"] != "0" or row.fields["k"] not in _WRITES:
            continue
        entities = [e["what"].get("reference", "") for e in decode(row.body)["entity"] if "what" in e]
        for type_, id_, _, version in (e.split("/") for e in entities if "/_history/" in e):
            current = {"find": type_, "filter": {"_id": id_, "v": {"$gte": int(version)}}, "limit": 1}
            old = {"find": "history", "filter": {"_id": history_id(type_, id_, int(version))}, "limit": 1}
            if not (await connection.find(current) or await connection.find(old)):
                faults.append(
                    f"{row.chain} position {row.position}: unfinished; {type_}/{id_} has no version {version}."
                )
    return faults
