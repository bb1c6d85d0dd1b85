"""The first version of a resource, as it is committed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fhir_server.interactions.exchange import FhirRequest, Server
from fhir_server.interactions.steps.guard import secured
from fhir_server.interactions.steps.integrity import kept_references
from fhir_server.interactions.steps.prepare import stamped
from fhir_server.search import IndexEntries
from fhir_server.store.content import Content
from fhir_server.store.documents import Change, Method


def first_version(
    server: Server,
    request: FhirRequest,
    resource: dict[str, Any],
    *,
    id_: str,
    entries: IndexEntries,
    now: int,
    claim: str | None = None,
    large: Sequence[Content] = (),
) -> Change:
    """Return the change that creates a resource at ``now``; FhirError 403 when the caller may not write it.

    ``claim`` is the criterion of a conditional create, ``large`` the contents that are kept in chunks.
    """
    type_ = resource["resourceType"]
    return Change(
        Method.POST,
        type_,
        id_,
        0,
        now,
        stamped(resource, type_, id_, 1, now),
        entries,
        claim=claim,
        security=secured(request, resource, entries),
        references=kept_references(server, resource, request.base),
        large=tuple(large),
    )
