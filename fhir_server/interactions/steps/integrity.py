"""Referential integrity, where the settings ask for it: references lead to resources, and those stay.

https://hl7.org/fhir/R4/http.html#delete, https://hl7.org/fhir/R4/references.html. Literal references to this server are
checked, in bulk; others are none of its business. The check and the write are two steps: it keeps senders from mistakes
and is no lock against those who write at the same moment.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from typing import Any

from fhir_server.datatypes.references import parse
from fhir_server.interactions.exchange import FhirRequest, Server
from fhir_server.interactions.steps.attachments import DOCUMENT, check_attachments
from fhir_server.interactions.steps.links import place_of
from fhir_server.outcome import FhirError, Issue, error
from fhir_server.store.documents import Stored

#: So many resources that refer to one that is to be deleted are named.
_NAMED = 5


def targets(references: Iterable[dict[str, Any]], base: str) -> dict[str, list[dict[str, Any]]]:
    """Return the References to resources of this server by ``Type/id``."""
    found: defaultdict[str, list[dict[str, Any]]] = defaultdict(list)
    for reference in references:
        target = parse(reference["reference"])
        if target is not None and target.id and target.type and target.base in ("", base):
            found[f"{target.type}/{target.id}"].append(reference)
    return dict(found)


def kept_references(server: Server, resource: dict[str, Any], base: str) -> tuple[str, ...]:
    """Return the ``Type/id`` that the stored document remembers so that deletions can be refused."""
    if not server.policy.check_references_on_delete:
        return ()
    return tuple(targets(server.links.references(resource), base))


async def check_references(server: Server, request: FhirRequest, resource: dict[str, Any]) -> None:
    """Raise FhirError 422 when a reference of a resource leads to nothing that the caller may see.

    So it does when a document is not what its reference says of it.
    """
    if resource["resourceType"] == DOCUMENT:
        await check_attachments(server, request, resource)
    if not server.policy.check_references_on_write:
        return
    wanted = targets(server.links.references(resource), request.base)
    own = {f"{resource['resourceType']}/{resource['id']}"} if "id" in resource else set()
    missing = await missing_of(server, request, wanted.keys() - own)
    issues = [issue for name in wanted if name in missing for issue in dangling(resource, wanted[name])]
    if issues:
        raise FhirError(*issues)


async def check_not_referred_to(server: Server, request: FhirRequest, deleted: Sequence[Stored]) -> None:
    """Raise FhirError 409 when other resources refer to some that are to be deleted."""
    names = {f"{stored.type}/{stored.id}" for stored in deleted}
    if server.policy.check_references_on_delete and names:
        referrers = await server.store.referrers(names, names, request.access)
        if referrers:
            raise referred_to(referrers)


async def missing_of(server: Server, request: FhirRequest, names: Collection[str]) -> set[str]:
    """Return those of the ``Type/id`` that the caller finds nothing under, by one query per type."""
    by_type: defaultdict[str, list[str]] = defaultdict(list)
    for name in names:
        type_, _, id_ = name.partition("/")
        by_type[type_].append(id_)
    missing: set[str] = set()
    for type_, ids in by_type.items():
        living = await server.store.living(type_, ids, request.access)
        missing |= {f"{type_}/{id_}" for id_ in ids if id_ not in living}
    return missing


def dangling(resource: dict[str, Any], references: Iterable[dict[str, Any]]) -> list[Issue]:
    """Return the issues of References that lead to nothing."""
    text = "The reference leads to no resource of this server; store that first, or in the same transaction."
    return [
        Issue(
            "error",
            "business-rule",
            text,
            f"{place_of(resource, reference, resource['resourceType'])}.reference",
            "reference-exists",
        )
        for reference in references
    ]


def referred_to(referrers: Sequence[str]) -> FhirError:
    """Return the 409 of a deletion that would leave references to nothing."""
    visible = [name for name in referrers if name]
    shown = ", ".join(visible[:_NAMED]) or "Other resources"
    more = " and others" if visible and len(referrers) > _NAMED else ""
    return error("conflict", f"{shown}{more} refer to what is to be deleted: delete or change them first.")
