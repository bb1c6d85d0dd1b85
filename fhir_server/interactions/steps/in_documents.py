"""Documents of a space as their rules want them: replaced in one transaction, withdrawn by who deposited them.

https://profiles.ihe.net/ITI/MHD/; docs/space.md.
"""

from __future__ import annotations

from typing import Any

from fhir_server.access import OPEN
from fhir_server.datatypes.json_format import decode
from fhir_server.interactions.exchange import FhirRequest, Server
from fhir_server.outcome import FhirError, Issue
from fhir_server.space import documents
from fhir_server.store.documents import Change, Method, Stored


async def check_document(
    server: Server, request: FhirRequest, document: dict[str, Any], change: Change
) -> list[str]:
    """Return the documents that this one replaces from now on, ``Type/id``.

    Raises FhirError 403, 405 or 422 for what a document of a space may not become.
    """
    last = change.replaces
    before = {} if last is None or last.is_deleted else decode(await server.store.contents.filled(last))
    if before:
        _check_change(request, before, document, change)
    known = {reference for reference, _ in documents.replaced(before)}
    issues: list[Issue] = []
    found: list[str] = []
    for reference, place in documents.replaced(document):
        if reference in known:
            continue
        if await _is_replaceable(server, request, reference, document, change):
            found.append(reference)
        else:
            issues.append(documents.not_replaceable(place))
    if issues:
        raise FhirError(*issues)
    return found


def _check_change(
    request: FhirRequest, before: dict[str, Any], after: dict[str, Any], change: Change
) -> None:
    if change.method is Method.PATCH and (others := documents.patched_otherwise(before, after)):
        text = (
            f"A PATCH of a document changes status, securityLabel and whether it is archived, not {', '.join(others)}; "
            "put another document in its place (relatesTo replaces)."
        )
        raise FhirError(
            Issue("error", "business-rule", text, "DocumentReference", "hs-b-doc-patch"),
            status=405,
            headers={"Allow": "GET, PUT, DELETE"},
        )
    is_withdrawn = after.get("status") == documents.WITHDRAWN and before.get("status") != documents.WITHDRAWN
    if is_withdrawn and not _is_depositor(request, change.replaces):
        text = "Only who deposited a document withdraws it (entered-in-error)."
        raise FhirError(Issue("error", "forbidden", text, "DocumentReference.status", "hs-b-doc-author"))


def _is_depositor(request: FhirRequest, stored: Stored | None) -> bool:
    """Tell whether the caller, or the organisation that the caller acts for, deposited a version."""
    if request.access.sees_all:
        return True
    source = stored.source if stored is not None else None
    return bool(set((source or {}).get("_sec", {}).get("auth", ())) & set(request.access.authors))


async def _is_replaceable(
    server: Server, request: FhirRequest, reference: str, document: dict[str, Any], change: Change
) -> bool:
    type_, _, id_ = reference.partition("/")
    if type_ != "DocumentReference" or "/" in id_:
        return False
    stored = await server.store.read(type_, id_, OPEN)
    if stored is None or stored.is_deleted or not _is_depositor(request, stored):
        return False
    target = decode(stored.body)
    # Records are brought over with their ids and their past: what was replaced is superseded there already.
    is_brought = request.access.sees_all and change.method is Method.PUT
    allowed = ("current", "superseded") if is_brought else ("current",)
    return target.get("status") in allowed and target.get("subject") == document.get("subject")
