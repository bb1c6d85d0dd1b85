"""Composition/[id]/$document: the document that a Composition is the first page of.

What the Composition refers to must be there; what these refer to goes along. ``document_bundle`` makes the Bundle of
every operation that returns a document. https://hl7.org/fhir/R4/composition-operation-document.html
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from uuid import uuid4

from fhir_server.datatypes.json_format import decode_own, encode
from fhir_server.interactions.create import create
from fhir_server.interactions.exchange import FhirRequest, FhirResponse, Server, Target
from fhir_server.interactions.read import current
from fhir_server.interactions.steps.prepare import instant
from fhir_server.interactions.steps.searchset import large_of
from fhir_server.operations.following import followed, referred
from fhir_server.operations.inputs import inputs, missing
from fhir_server.outcome import FhirError, Issue, error
from fhir_server.search.parameters.reference import local
from fhir_server.store.documents import Stored

_INPUTS = {"id": "text", "persist": "boolean", "graph": "text"}


async def document(server: Server, request: FhirRequest, target: Target) -> FhirResponse:
    """Return 200 with the document Bundle; with ``persist`` it was stored, and Location tells where.

    FhirError 404 or 410 without the Composition, 422 where a resource that it refers to is missing.
    """
    given = inputs(request, _INPUTS)
    if given.has("graph"):
        raise error(
            "not-supported", "The parameter graph is not supported: a document is what its links lead to."
        )
    composition = await current(server, request, _named(request, target, given.text("id")))
    direct, told = await followed(server, request, [composition], patient=None, levels=1)
    _check_complete(server, request, composition, direct)
    patient = server.indexer.entries(decode_own(composition.body), request.base).patient
    further, more = await followed(server, request, [composition, *direct], patient=patient or "")
    if told or more:
        raise FhirError(*(Issue("error", "too-costly", issue.diagnostics) for issue in (*told, *more)))
    rows = [composition, *direct, *further]
    if given.flag("persist"):
        return await _stored(server, request, rows)
    body = document_bundle(instant(server.clock()), (entry_of(request.base, row) for row in rows))
    return FhirResponse(200, (), (body,), large=large_of(rows))


def _named(request: FhirRequest, target: Target, text: str) -> Target:
    """Return the Composition that is meant; FhirError 400 if it is named twice, not at all, or elsewhere."""
    if target.id and text:
        raise error("invalid", "The address names the Composition: leave out the parameter id.")
    if target.id:
        return target
    if not text:
        raise missing("Name the Composition: Composition/[id]/$document, or the parameter id.")
    name = local(text, request.base) or ""
    id_ = name.removeprefix("Composition/")
    if "/" in id_ or ":" in id_ or not id_:
        raise error("not-supported", "Documents are made of Compositions of this server only.")
    return Target("Composition", id_)


def _check_complete(
    server: Server, request: FhirRequest, composition: Stored, direct: Sequence[Stored]
) -> None:
    """Raise FhirError 422 for what the Composition refers to and is not there: a document SHALL hold it."""
    there = {(row.type, row.id) for row in (composition, *direct)}
    absent = [
        f"{type_}/{id_}"
        for type_, id_ in referred([composition], request.base)
        if (type_, id_) not in there and type_ in server.definitions.types.resource_type_names
    ]
    if absent:
        text = "The Composition refers to {}, which is not there; a document without it would be incomplete."
        issues = (Issue("error", "incomplete", text.format(name), "Composition") for name in absent)
        raise FhirError(*issues, status=422)


async def _stored(server: Server, request: FhirRequest, rows: Sequence[Stored]) -> FhirResponse:
    """Store the document, with its large contents; return it with its Location."""
    filled = [await server.store.contents.filled(row) for row in rows]
    entries = (entry_of(request.base, row, body) for row, body in zip(rows, filled, strict=True))
    body = document_bundle(instant(server.clock()), entries)
    sent = FhirRequest("POST", ("Bundle",), body=body, base=request.base, access=request.access)
    made = await create(server, sent, Target("Bundle"))
    return FhirResponse(200, made.headers, made.body, large=made.large)


def entry_of(base: str, row: Stored, body: bytes | None = None) -> bytes:
    """Return the entry of a stored resource."""
    full_url = f"{base}/{row.type}/{row.id}".encode()
    return b'{"fullUrl":"%b","resource":%b}' % (full_url, row.body if body is None else body)


def document_bundle(timestamp: str, entries: Iterable[bytes], profile: str = "") -> bytes:
    """Return a Bundle of type document with an identifier of its own; its first entry is the Composition."""
    head = {
        "resourceType": "Bundle",
        **({"meta": {"profile": [profile]}} if profile else {}),
        "identifier": {"system": "urn:ietf:rfc:3986", "value": f"urn:uuid:{uuid4()}"},
        "type": "document",
        "timestamp": timestamp,
    }
    return encode(head)[:-1] + b',"entry":[%b]}' % b",".join(entries)
