"""Writes as the rules of the health space want them: refused, or committed together with what follows from them.

docs/space.md. Resources that claim none of our profiles are committed as they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from fhir_server.access import OPEN
from fhir_server.access.consent import is_in_force, provisions
from fhir_server.access.insurers import is_insurer
from fhir_server.datatypes.json_format import decode
from fhir_server.interactions.exchange import FhirRequest, Server
from fhir_server.interactions.steps.criteria import matches, read_criteria
from fhir_server.interactions.steps.guard import secured
from fhir_server.interactions.steps.in_documents import check_document
from fhir_server.interactions.steps.prepare import stamped
from fhir_server.interactions.steps.provenance import provenance
from fhir_server.outcome import FhirError, Issue
from fhir_server.space import documents, rules
from fhir_server.space.ingestion import is_measure, time_issues
from fhir_server.space.life import Space, State
from fhir_server.space.names import claims
from fhir_server.store.documents import Change, Method, NameTaken, VersionConflict
from fhir_server.store.names import HOLDERS

#: What a citizen writes about a space that is not open.
_ABOUT_SPACES = frozenset({"Patient", "Consent"})
_RULED = frozenset(
    {"Patient", "Consent", "DocumentReference", "RelatedPerson", "ExplanationOfBenefit", "Observation"}
)
#: How often a write is made anew when what follows from it was changed by others meanwhile.
_ATTEMPTS = 10
#: So many contacts of a citizen are looked at.
_MOST_CONTACTS = 200


@dataclass(frozen=True, slots=True)
class Consequences:
    """What is committed with a write: the names it holds, further versions, the control document of a space."""

    holds: tuple[str, ...] | None = None
    changes: tuple[Change, ...] = ()
    space: Space | None = None


async def commit(
    server: Server,
    request: FhirRequest,
    resource: dict[str, Any],
    change: Change,
    beside: tuple[Change, ...] = (),
) -> None:
    """Commit a write with its consequences, and what is written ``beside`` it.

    Raises FhirError 403, 405, 409 or 422, and what ``Store.commit`` raises.
    """
    told = await provenance(server, request, (change,))
    for attempt in range(_ATTEMPTS):
        made = await consequences(server, request, resource, change)
        if told is not None:
            made = replace(made, changes=(*made.changes, told))
        written = change if made.holds is None else replace(change, holds=made.holds)
        try:
            if made.space is None and not made.changes and not beside:
                await server.store.commit(written)
            else:
                spaces = () if made.space is None else (made.space,)
                await server.store.commit_many([written, *beside, *made.changes], spaces)
        except NameTaken as taken:
            # A wish that was stated at the same moment is superseded in the next round.
            if attempt == _ATTEMPTS - 1 or not taken.name.startswith("wish|"):
                raise name_taken(resource, taken) from None
        except VersionConflict:
            if attempt == _ATTEMPTS - 1 or change.previous or not made.changes:
                raise
        else:
            return


def name_taken(resource: dict[str, Any], taken: NameTaken) -> FhirError:
    """Return the 409 of a write whose name another resource holds."""
    rule = rules.held_names(resource).get(taken.name, "hs-b-unique")
    text = "Another resource of this server has this identity already; there can be one only."
    return FhirError(Issue("error", "duplicate", text, resource["resourceType"], rule))


async def consequences(
    server: Server, request: FhirRequest, resource: dict[str, Any], change: Change
) -> Consequences:
    """Return what follows from a write; raise FhirError for what may not be written."""
    home = change.entries.patient if change.entries is not None else None
    is_signed = not request.access.is_open
    if home and not _is_about_space(resource) and (server.policy.enforce_spaces or is_signed):
        await check_open(server, home)
    if is_signed and change.type == "Consent":
        await check_actors(server, resource)
    if change.type not in _RULED:
        return Consequences()
    issues = await _issues(server, request, resource, change)
    if issues:
        raise FhirError(*issues)
    names = rules.held_names(resource)
    holds = tuple(names) if names or (change.previous and change.type in HOLDERS) else None
    if rules.is_opposition(resource):
        return await _of_opposition(server, request, resource, change, holds)
    if change.type == "DocumentReference":
        return Consequences(holds, await _of_document(server, request, resource, change))
    return Consequences(holds, await _superseded(server, request, names, change))


async def _of_document(
    server: Server, request: FhirRequest, document: dict[str, Any], change: Change
) -> tuple[Change, ...]:
    """Return the changes that make superseded what a document replaces."""
    if not documents.is_ours(document):
        return ()
    names = await check_document(server, request, document, change)
    status = {"status": "superseded"}
    made = [await changed(server, request, name, status, change.last_updated) for name in names]
    return tuple(one for changes in made for one in changes)


async def check_open(server: Server, patient: str) -> None:
    """Raise FhirError 403 for a space that is not open; one that nobody spoke of is, where spaces are not enforced."""
    space = await server.store.spaces.read(patient)
    if not is_accessible(server, space):
        raise space_not_open()


def is_accessible(server: Server, space: Space | None) -> bool:
    """Tell whether others than the citizen may read and write a space with this control document."""
    if space is None:
        return not server.policy.enforce_spaces
    return space.state is State.OPEN


async def check_actors(server: Server, consent: dict[str, Any]) -> None:
    """Raise FhirError 422 when a Consent permits something to an insurer or an employer."""
    if not is_in_force(consent):
        return
    for provision in provisions(consent):
        for actor in provision.get("actor", ()) if provision.get("type") == "permit" else ():
            reference = actor.get("reference", {})
            is_one = reference.get("reference", "").startswith("Organization/")
            organization = await _resource(server, reference) if is_one else None
            if organization is not None and is_insurer(organization):
                text = "Nobody can allow an insurer or an employer to read a health space."
                raise FhirError(
                    Issue("error", "business-rule", text, "Consent.provision", "consent-enforceable")
                )


def _is_about_space(resource: dict[str, Any]) -> bool:
    """Tell whether it is what a citizen, or who acts for a newborn, writes before a space is open."""
    return resource["resourceType"] in _ABOUT_SPACES or rules.is_representative(resource)


def space_not_open() -> FhirError:
    """Return the 403 of who puts something into a space that is not open."""
    text = "The citizen's space is not open, so nothing can be put into it."
    return FhirError(Issue("error", "forbidden", text, rule="space-not-open"))


async def _issues(
    server: Server, request: FhirRequest, resource: dict[str, Any], change: Change
) -> list[Issue]:
    match change.type:
        case "Patient":
            issues = rules.identity_issues(resource) if server.policy.refuse_test_identities else []
            return issues + await _of_active(server, resource, change)
        case "Observation" if claims(resource, "hs-measure") or is_measure(resource):
            patient = await _resource(server, resource.get("subject"))
            return time_issues(resource, (patient or {}).get("birthDate"), server.clock())
        case "Consent" if claims(resource, rules.WISH) and resource.get("status") == "active":
            performers = resource.get("performer", ())
            related = [p for p in performers if "RelatedPerson/" in str(p.get("reference"))]
            patient = await _resource(server, resource.get("patient"))
            performer = await _resource(server, related[0]) if related else None
            return rules.wish_issues(
                resource, (patient or {}).get("birthDate"), (performer or {}) if related else None
            )
        case "RelatedPerson" if claims(resource, rules.CONTACT) and resource.get("active"):
            patient_of = resource.get("patient", {}).get("reference", "")
            query = f"patient={patient_of}&active=true"
            criteria = read_criteria(server, "RelatedPerson", query, request.base, "the rule of contacts")
            rows = await matches(server, replace(request, access=OPEN), criteria, _MOST_CONTACTS)
            others = [decode(row.body) for row in rows if row.id != change.id]
            return rules.contact_issues(resource, others, server.policy.contacts_max)
    return []


async def _of_active(server: Server, patient: dict[str, Any], change: Change) -> list[Issue]:
    """Return whether ``active`` contradicts the space: it is true exactly while that is open."""
    if not change.previous or not claims(patient, "hs-patient"):
        return []
    space = await server.store.spaces.read(change.id)
    if space is None or patient.get("active") is (space.state is State.OPEN):
        return []
    text = "Patient.active follows the space: $open-space and $close-space change it."
    return [Issue("error", "business-rule", text, "Patient.active", "hs-b-patient-active")]


async def _resource(server: Server, reference: Any) -> dict[str, Any] | None:
    text = reference.get("reference", "") if isinstance(reference, dict) else ""
    parts = str(text).split("/")
    if len(parts) < 2:
        return None
    stored = await server.store.read(parts[-2], parts[-1], OPEN)
    return None if stored is None or stored.is_deleted else decode(stored.body)


async def _superseded(
    server: Server, request: FhirRequest, names: dict[str, str], change: Change
) -> tuple[Change, ...]:
    """Return the change that makes the wish of before inactive."""
    found = []
    for name, rule in names.items():
        holder = await server.store.names.holder(name) if rule == "hs-b-wish-one" else None
        if holder is not None and holder != f"{change.type}/{change.id}":
            made = await changed(server, request, holder, {"status": "inactive"}, change.last_updated)
            found += [replace(one, holds=()) for one in made]
    return tuple(found)


async def changed(
    server: Server, request: FhirRequest, name: str, elements: dict[str, Any], now: int
) -> Sequence[Change]:
    """Return the change that sets elements of a resource, nothing when they are so already."""
    type_, _, id_ = name.partition("/")
    current = await server.store.read(type_, id_, OPEN)
    if current is None or current.is_deleted:
        return ()
    resource = decode(await server.store.contents.filled(current))
    if all(resource.get(element) == value for element, value in elements.items()):
        return ()
    resource |= elements
    at = max(now, current.last_updated + 1)
    body = stamped(resource, type_, id_, current.version + 1, at)
    entries = server.indexer.entries(resource, request.base)
    # What follows from a write is the server's doing, whatever the caller may do alone.
    made = secured(replace(request, access=OPEN), resource, entries, current)
    change = Change(
        Method.PUT, type_, id_, current.version, at, body, entries, replaces=current, security=made
    )
    return (change,)


async def _of_opposition(
    server: Server,
    request: FhirRequest,
    consent: dict[str, Any],
    change: Change,
    holds: tuple[str, ...] | None,
) -> Consequences:
    """Return the state that an opposition, or its withdrawal, brings with it."""
    patient = str(consent.get("patient", {}).get("reference", "")).rpartition("/")[2]
    before = await server.store.spaces.read(patient)
    was = before.state if before is not None else None
    if consent.get("status") == "active":
        state = State.OPPOSED
    elif was is State.OPPOSED:
        state = State.CLOSED  # open again on request only, never by the job
    else:
        return Consequences(holds)
    if was in (state, State.ERASED):
        return Consequences(holds)
    space = moved(before, patient, state, change.last_updated)
    changes = await changed(server, request, f"Patient/{patient}", {"active": False}, change.last_updated)
    return Consequences(holds, tuple(changes), space)


def moved(before: Space | None, patient: str, state: State, now: int) -> Space:
    """Return the control document in another state."""
    if before is None:
        return Space(patient, state, now, epoch=1)
    return replace(before, state=state, since=now, epoch=before.epoch + 1)
