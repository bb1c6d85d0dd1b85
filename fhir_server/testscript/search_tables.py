"""Tables of searches: a few resources, and for each query those of them that it must find.

The resources are stored by a transaction, tagged with ``${UUID}``, and each query asks for this tag too, so that
tables can run beside each other and beside other data. ``row:a`` as a reference means the resource ``a``, and
``${id.a}`` is its id.
"""

from __future__ import annotations

import json
import uuid
from typing import Any

ROW = "urn:fhir-space-server:conformance:row"
RUN = "urn:fhir-space-server:conformance:run"
_MATCHES = "Bundle.entry.where(search.mode = 'match').resource"


def tests_of(table: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the ordinary tests that a table of searches stands for."""
    shared = bundle(table.get("data", {}))
    return [{**shared, **_test(search, shared)} for search in table.get("searches", [])]


def bundle(rows: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Return the part of a test that stores resources by their names, and clears them away."""
    return {
        "fixtures": {"data": {"content": "application/fhir+json", "text": _bundle(rows)}},
        "variables": {f"id.{name}": _id(number, row) for number, (name, row) in enumerate(rows.items())},
        "setup": [
            {"transaction": "data", "as": "stored"},
            {"status": 200},
            *([{"true": f"Bundle.entry.count() = {len(rows)}"}] if rows else []),
        ],
        "teardown": [
            {"delete": f"{row['resourceType']}/${{id.{name}}}"} for name, row in reversed(rows.items())
        ],
    }


def _test(search: dict[str, Any], shared: dict[str, Any]) -> dict[str, Any]:
    """Return the test of one row: ``find`` and ``matches`` (names of resources, "" for none), or its own ``steps``."""
    steps = [_tagged(step) for step in search.get("steps", [])]
    if "find" in search:
        steps = [*found(_with_tag(search["find"]), search["matches"].split()), *steps]
    said = search.get("says") or f"{search['find']} finds {search['matches'] or 'nothing'}."
    own = {name: value for name, value in search.items() if name not in {"find", "matches"}}
    merged: dict[str, Any] = {n: {**shared[n], **search[n]} for n in ("fixtures", "variables") if n in search}
    return {**own, **merged, "says": said, "steps": steps}


def found(query: str, names: list[str], more: dict[str, Any] | None = None) -> list[dict[str, Any]]:
    """Return the steps that search and compare what is found, in whatever order."""
    rows = f"{_MATCHES}.meta.tag.where(system = '{ROW}').code"
    steps: list[dict[str, Any]] = [
        {"search": query, **(more or {})},
        {"status": 200},
        {"expression": "Bundle.type", "equals": "searchset"},
        {"expression": f"{_MATCHES}.count()", "equals": str(len(names))},
    ]
    return [*steps, {"expression": rows, "in": ",".join(names)}] if names else steps


def _tagged(step: dict[str, Any]) -> dict[str, Any]:
    """Return a step with the tag in its query: ``find: Patient?...`` is a search of it, more goes with it."""
    if "find" not in step:
        return step
    return {"search": _with_tag(step["find"]), **{n: v for n, v in step.items() if n != "find"}}


def _with_tag(query: str) -> str:
    return f"{query}{'&' if '?' in query else '?'}_tag={RUN}|${{UUID}}"


def _id(number: int, row: dict[str, Any]) -> dict[str, Any]:
    path = f"Bundle.entry[{number}].response.location"
    pattern = f"^.*{row['resourceType']}/|/_history/.*$"
    return {"expression": f"{path}.replaceMatches('{pattern}', '')", "sourceId": "stored"}


def _bundle(rows: dict[str, dict[str, Any]]) -> str:
    """Return the transaction that stores the resources."""
    entries = []
    for name, row in rows.items():
        meta = dict(row.get("meta", {}))
        meta["tag"] = [
            {"system": RUN, "code": "${UUID}"},
            {"system": ROW, "code": name},
            *meta.get("tag", []),
        ]
        entries.append({
            "fullUrl": _urn(name),
            "resource": {**row, "meta": meta},
            "request": {"method": "POST", "url": row["resourceType"]},
        })  # fmt: skip
    text = json.dumps({"resourceType": "Bundle", "type": "transaction", "entry": entries}, ensure_ascii=False)
    for name in rows:
        text = text.replace(f'"row:{name}"', f'"{_urn(name)}"')
    return text


def _urn(name: str) -> str:
    return f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, ROW + name)}"
