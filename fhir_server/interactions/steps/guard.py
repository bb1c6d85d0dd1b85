"""The write guard: every version that is stored gets its access keys here, if its caller may store it at all.

https://hl7.org/fhir/R4/security.html
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fhir_server.access.enforceable import unenforceable
from fhir_server.access.keys import keys
from fhir_server.access.writing import check_change, check_consent, check_home, forbidden
from fhir_server.interactions.exchange import FhirRequest
from fhir_server.outcome import FhirError
from fhir_server.search import IndexEntries
from fhir_server.store.documents import Stored


def secured(
    request: FhirRequest,
    resource: Mapping[str, Any],
    entries: IndexEntries,
    current: Stored | None = None,
    *,
    labels_only: bool = False,
) -> dict[str, Any]:
    """Return the access keys of a version that replaces ``current`` (None: nothing).

    Raises FhirError 403 or 422 when the caller may not store it; ``labels_only`` tells that all else stays.
    """
    access, before = request.access, _source(current)
    former = before["_sec"].get("auth", ()) if before is not None and "_sec" in before else ()
    made = keys(
        resource, authors=(*former, *access.authors), others=entries.other_compartments, base=request.base
    )
    if access.caller is not None:
        after = _document(resource, entries, made)
        type_ = resource["resourceType"]
        check_home(access.caller, type_, after)
        if type_ == "Consent":
            if issues := unenforceable(resource):
                raise FhirError(*issues)
            check_consent(access.caller, made)
        if before is not None:
            check_change(access.caller, before, after, labels_only=labels_only)
        if not access.admits(type_, "c" if before is None else "u", after):
            raise forbidden(f"You may not store this {type_}.")
    return made


def check_deletion(request: FhirRequest, current: Stored) -> None:
    """Raise FhirError 403 when the caller may not delete a version that the caller sees."""
    access, before = request.access, _source(current)
    if access.caller is not None and before is not None:
        check_change(access.caller, before, None, labels_only=False)
        if not access.admits(current.type, "d", before):
            raise forbidden(f"You may not delete this {current.type}.")


def _source(current: Stored | None) -> Mapping[str, Any] | None:
    if current is None or (current.is_deleted and not (current.source or {}).get("_sec")):
        return None
    assert current.source is not None, "a version that is replaced was read with its access keys"
    return current.source


def _document(resource: Mapping[str, Any], entries: IndexEntries, made: dict[str, Any]) -> dict[str, Any]:
    document: dict[str, Any] = {
        "_id": resource.get("id"),
        "_sec": made,
        "i": entries.values,
        "x": entries.raw,
    }
    if entries.patient is not None:
        document["p"] = entries.patient
    if entries.other_compartments:
        document["cp"] = entries.other_compartments
    return document
