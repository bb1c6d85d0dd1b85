"""Entries of Bundles.

https://hl7.org/fhir/R4/bundle.html#bundle-unique
"""

from __future__ import annotations

import re
from typing import Any

from fhir_server.datatypes.references import parse
from fhir_server.validation.report import Findings, Run

_absolute = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]*:\S+").fullmatch


def searchset(bundle: dict[str, Any], run: Run) -> Findings | None:
    """Check that what was found has an id, and that an entry of mode outcome is an OperationOutcome."""
    if bundle.get("type") != "searchset":
        return None
    found: Findings = []
    for index, entry in enumerate(bundle["entry"]):
        resource = entry.get("resource")
        if resource is None:
            continue
        place = f".entry[{index}].resource"
        is_outcome = resource["resourceType"] == "OperationOutcome"
        if entry.get("search", {}).get("mode") == "outcome" and not is_outcome:
            text = "An entry whose search mode is outcome must be an OperationOutcome."
            found += run.error("invalid", text, "searchset", place)
        elif "id" not in resource and not is_outcome and resource["resourceType"] != "Parameters":
            text = "A resource that a search found must have an id."
            found += run.error("invalid", text, "searchset", place)
    return found or None


def full_url(entry: dict[str, Any], run: Run) -> Findings | None:
    """Check that an entry's fullUrl is absolute and doesn't disagree with the id of its resource."""
    url = entry.get("fullUrl")
    if url is None:
        return None
    if not _absolute(url):
        text = "The fullUrl must be absolute: the server's base URL before Type/id, or a urn:uuid:."
        return run.error("value", text, "full-url@", ".fullUrl")
    resource = entry.get("resource", {})
    target = parse(url)
    if target is None or not target.type or not resource:
        return None
    if "id" not in resource:
        text = "The fullUrl is that of a resource on a server, so the resource must have its id."
        return run.error("value", text, "full-url@") if target.kind == "absolute" else None
    if target.type != resource["resourceType"]:
        return None
    if target.id != resource["id"]:
        text = "The fullUrl must end with the id of the resource, or be a urn:uuid:."
        # Official examples break this rule, so it stays a warning.
        return run.warning("value", text, "full-url@", ".fullUrl")
    return None
