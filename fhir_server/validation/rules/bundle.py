"""Entries of Bundles.

https://hl7.org/fhir/R4/bundle.html#bundle-unique
"""

from __future__ import annotations

import re
from typing import Any

from fhir_server.datatypes.references import parse
from fhir_server.validation.report import Findings, Run

_absolute = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]*:\S+").fullmatch


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
    if target is None or not target.type or "id" not in resource or target.type != resource["resourceType"]:
        return None
    if target.id != resource["id"]:
        text = "The fullUrl must end with the id of the resource, or be a urn:uuid:."
        # Official examples break this rule, so it stays a warning.
        return run.warning("value", text, "full-url@", ".fullUrl")
    return None
