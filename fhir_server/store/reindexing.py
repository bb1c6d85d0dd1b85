"""New index entries for stored resources; their content and versions stay as they are.

A document is changed only while it has the version that its entries were made from: whoever writes a newer one
writes newer entries, too.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fhir_server.search.entries import IndexEntries
from fhir_server.store.connection import MAJORITY, Connection
from fhir_server.store.documents import Stored, order_key


async def replace_entries(
    connection: Connection, type_: str, made: Sequence[tuple[Stored, IndexEntries]]
) -> None:
    """Write the entries of documents of one type; raises Unavailable."""
    if not made:
        return
    updates = [{"q": {"_id": row.id, "v": row.version}, "u": _change(row, entries)} for row, entries in made]
    await connection.query({"update": type_, "updates": updates, "ordered": False, "writeConcern": MAJORITY})


def _change(row: Stored, entries: IndexEntries) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "i": entries.values,
        "x": entries.raw or None,
        "p": entries.patient,
        "cp": list(entries.other_compartments) or None,
        "s": None if entries.main_date is None else order_key(entries.main_date, row.id),
    }
    absent = dict.fromkeys((name for name, value in fields.items() if value is None), "")
    change: dict[str, Any] = {"$set": {name: value for name, value in fields.items() if value is not None}}
    if absent:
        change["$unset"] = absent
    return change
