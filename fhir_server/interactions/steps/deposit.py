"""A simple deposit (ITI-105): one DocumentReference with its content inside becomes a document and a Binary.

https://profiles.ihe.net/ITI/MHD/ITI-105.html. Both are committed together, with what follows from a replacement.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from typing import Any

from fhir_server.datatypes.json_format import decode
from fhir_server.interactions.exchange import FhirRequest, FhirResponse, Server
from fhir_server.interactions.steps.assess import assess
from fhir_server.interactions.steps.first_version import first_version
from fhir_server.interactions.steps.in_space import commit
from fhir_server.interactions.steps.integrity import check_references
from fhir_server.interactions.steps.prepare import instant
from fhir_server.interactions.steps.representation import written
from fhir_server.outcome import error
from fhir_server.space import documents
from fhir_server.store.content import Content
from fhir_server.store.documents import Change

_UNKNOWN_SECTOR = "SA43"


async def deposit(server: Server, request: FhirRequest, sent: dict[str, Any]) -> FhirResponse:
    """Return 201 with the document when it and its content are durable."""
    if "if-none-exist" in request.headers:
        raise error(
            "not-supported", "A deposit takes no If-None-Exist: its masterIdentifier makes it unique."
        )
    assess(server, sent)
    await check_references(server, request, sent)
    home = server.indexer.entries(sent, request.base).patient
    document_id, binary_id = server.new_id(home), server.new_id(home)
    now = server.clock()
    size, sha1 = _measures(sent["content"][0]["attachment"]["data"], request.large)
    custodian = _custodian(request, sent)
    made = documents.completed(
        sent,
        f"Binary/{binary_id}",
        (size, sha1),
        now=instant(now),
        custodian=custodian,
        sector=await _sector(server, request, custodian),
    )
    content = documents.content_of(sent, f"DocumentReference/{document_id}")
    assess(server, content)
    assessed = assess(server, made)
    binary = _change(server, request, content, binary_id, now, large=request.large)
    change = _change(server, request, made, document_id, now)
    await commit(server, request, made, change, (binary,))
    return written(request, change, assessed)


def _change(
    server: Server,
    request: FhirRequest,
    resource: dict[str, Any],
    id_: str,
    now: int,
    *,
    large: Sequence[Content] = (),
) -> Change:
    entries = server.indexer.entries(resource, request.base)
    return first_version(server, request, resource, id_=id_, entries=entries, now=now, large=large)


def _measures(text: str, large: Sequence[Content]) -> tuple[int, str]:
    """Return size and SHA-1 (base64) of a content."""
    for content in large:
        if content.token == text:
            return content.size, base64.b64encode(content.sha1).decode()
    data = base64.b64decode(text)
    return len(data), base64.b64encode(hashlib.sha1(data, usedforsecurity=False).digest()).decode()


def _custodian(request: FhirRequest, sent: dict[str, Any]) -> dict[str, Any]:
    """Return who keeps the document: the caller's organisation, an author that is one, or the operator."""
    caller = request.access.caller
    if caller is not None and caller.organization:
        return {"reference": caller.organization}
    authors = (author for author in sent["author"] if "Organization/" in str(author.get("reference")))
    return next(authors, {"display": "Health space"})


async def _sector(server: Server, request: FhirRequest, custodian: dict[str, Any]) -> str:
    """Return the sector of activity of the organisation that keeps the document."""
    *_, type_, id_ = ("", *str(custodian.get("reference", "")).rsplit("/", 2))
    stored = await server.store.read("Organization", id_, request.access) if type_ == "Organization" else None
    if stored is not None and not stored.is_deleted:
        for concept in decode(stored.body).get("type", ()):
            for coding in concept.get("coding", ()):
                if coding.get("system") == documents.SECTOR:
                    return str(coding["code"])
    return _UNKNOWN_SECTOR
