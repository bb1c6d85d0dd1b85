"""Entries and links of Bundles.

https://hl7.org/fhir/R4/bundle.html#bundle-unique, https://hl7.org/fhir/R4/bundle-definitions.html#Bundle.entry.fullUrl
"""

from __future__ import annotations

import re
from typing import Any

from fhir_server.datatypes.references import parse
from fhir_server.messages import alternatives, say
from fhir_server.validation.report import Findings, Run

_absolute = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]*:\S+").fullmatch
#: Types of Bundles whose entries need no fullUrl.
_EXCHANGES = frozenset({"transaction", "transaction-response", "batch", "batch-response"})
_PAGING = frozenset({"first", "previous", "next", "last"})


def entries(bundle: dict[str, Any], run: Run) -> Findings | None:
    """Check that entries have a fullUrl where the type of the Bundle asks for it."""
    if bundle["type"] in _EXCHANGES:
        return None
    found: Findings = []
    for index, entry in enumerate(bundle["entry"]):
        if "fullUrl" not in entry and "_fullUrl" not in entry:
            text = "Every entry needs a fullUrl, except in transactions and batches: its URL, or a urn:uuid:."
            found += run.judged("invalid", text, "full-url", f".entry[{index}]")
    return found or None


def links(bundle: dict[str, Any], run: Run) -> Findings | None:
    """Check that links for paging are those of searches and histories, and that none is there twice."""
    found: Findings = []
    is_paged = bundle["type"] in {"searchset", "history"}
    seen = set()
    for index, link in enumerate(bundle["link"]):
        relation = link.get("relation")
        if relation in _PAGING and not is_paged:
            text = say(
                "A Bundle of type {type} has no pages: leave out the link {relation}.",
                type=bundle["type"],
                relation=relation,
            )
            found += run.judged("invalid", text, "link", f".link[{index}].relation")
        elif relation in seen and (relation == "self" or relation in _PAGING):
            text = say("There must be only one link {relation}.", relation=relation)
            found += run.judged("invalid", text, "link", f".link[{index}].relation")
        seen.add(relation)
    return found or None


def searchset(types: frozenset[str], bundle: dict[str, Any], run: Run) -> Findings | None:
    """Check that what was found has an id and is of a type that was asked for, and what an outcome is."""
    if bundle.get("type") != "searchset":
        return None
    found: Findings = []
    asked = _asked_types(bundle, types)
    for index, entry in enumerate(bundle["entry"]):
        place = f".entry[{index}].resource"
        resource = entry.get("resource")
        mode = entry.get("search", {}).get("mode")
        if resource is None:
            continue
        type_ = resource["resourceType"]
        text = ""
        if mode == "outcome" and type_ != "OperationOutcome":
            text = "An entry whose search mode is outcome must be an OperationOutcome."
        elif mode in {"match", "include"} and "id" not in resource:
            text = "A resource that a search found must have an id."
        elif mode == "match" and asked and type_ not in asked:
            text = say(
                "The search was for {asked}, so a match can't be a {type}.",
                asked=alternatives(sorted(asked)),
                type=type_,
            )
        if text:
            found += run.error("invalid", text, "searchset", place)
        elif "id" not in resource and type_ not in {"OperationOutcome", "Parameters"}:
            text = "A resource that a search found should have an id."
            found += run.warning("invalid", text, "searchset", place)
    return found or None


def _asked_types(bundle: dict[str, Any], types: frozenset[str]) -> set[str]:
    """Return the resource types in the self link of a search; none if it doesn't tell."""
    url = next((link.get("url", "") for link in bundle.get("link", ()) if link.get("relation") == "self"), "")
    path, _, query = url.partition("?")
    last = path.rstrip("/").rpartition("/")[2]
    if last in types:
        return {last}
    named = [p[6:] for p in query.split("&") if p.startswith("_type=")]
    return {name for part in named for name in re.split(r",|%2C", part)}


def full_url(types: frozenset[str], entry: dict[str, Any], run: Run) -> Findings | None:
    """Check that an entry's fullUrl is absolute and doesn't disagree with the type and id of its resource."""
    url = entry.get("fullUrl")
    if url is None:
        return None
    if not _absolute(url):
        text = "The fullUrl must be absolute: the server's base URL before Type/id, or a urn:uuid:."
        return run.error("value", text, "full-url@", ".fullUrl")
    resource = entry.get("resource", {})
    target = parse(url)
    if target is None or target.type not in types or not resource:
        return None
    if "id" not in resource:
        text = "The fullUrl is that of a resource on a server, so the resource must have its id."
        return run.error("value", text, "full-url@") if target.kind == "absolute" else None
    if target.type != resource["resourceType"] or target.id != resource["id"]:
        text = "The fullUrl must end with the type and id of the resource, or be a urn:uuid:."
        return run.judged("value", text, "full-url@", ".fullUrl")
    return None
