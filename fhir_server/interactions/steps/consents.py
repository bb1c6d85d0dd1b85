"""What the Consents of patients say to a caller: who is meant by them is looked up, then they are compiled.

https://hl7.org/fhir/R4/consent.html
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

from fhir_server.access import OPEN
from fhir_server.access.caller import Caller, Kind
from fhir_server.access.clinical_time import period
from fhir_server.access.consent import (
    ACTIONS,
    COLLECTIVES,
    Asking,
    Verdict,
    base_policy,
    counting,
    has_actions,
    joined,
    provisions,
    verdict,
)
from fhir_server.access.keys import PROFESSIONS, actor_names
from fhir_server.access.mentions import references
from fhir_server.access.policy import NOTHING, Clause
from fhir_server.access.purposes import above
from fhir_server.datatypes.json_format import decode
from fhir_server.interactions.exchange import Server
from fhir_server.store.facts import Fact

Resource = Mapping[str, Any]
_NOBODY: frozenset[str] = frozenset()
_OPEN = b"open"


@dataclass(frozen=True, slots=True)
class Link:
    """What joins a caller to a patient before any Consent is asked.

    ``reason`` is one of own, represented, team, consent, app, emergency; ``base`` what is seen by that; ``unnamed``
    which provisions count that name nobody (see ``Asking``).
    """

    reason: str
    base: Clause
    unnamed: frozenset[str] = frozenset({"permit", "deny"})


@dataclass(frozen=True, slots=True)
class Judged:
    """What a caller sees of one space and why: the link, what its base policy leaves, and each Consent's verdict."""

    link: Link
    base: Clause
    verdicts: tuple[tuple[Resource, Verdict], ...]
    is_open: bool = True

    @property
    def clause(self) -> Clause:
        """What of the space is left to be seen."""
        return joined(found for _, found in self.verdicts).over(self.base) if self.is_open else NOTHING


def names_of(caller: Caller) -> frozenset[str]:
    """Return by what an actor of a Consent can mean a caller: the person, the organisation, the profession."""
    profession = f"{PROFESSIONS}|{caller.profession}" if caller.profession else ""
    return frozenset(name for name in (caller.subject, caller.organization, profession) if name)


async def judge(
    server: Server, caller: Caller, links: Mapping[str, Link], facts: Sequence[Fact], letter: str = "r"
) -> dict[str, Judged]:
    """Return what the caller may do by a letter (r, c, u) in each of the spaces; raises Unavailable."""
    consents = counted(server, facts, links)
    asking = Asking(
        names_of(caller),
        above(caller.purpose_of_use),
        letter,
        server.clock(),
        caller.profession,
        await _members(server, facts, consents),
        await _related(server, consents),
    )
    closed = closed_spaces(server, facts, links) if caller.kind is not Kind.CITIZEN else _NOBODY
    judged = {}
    for home, link in links.items():
        own = [consent for of, consent in consents if of == home]
        told = replace(asking, unnamed=link.unnamed)
        base = link.base if link.reason == "represented" else base_policy(own, asking, link.base)
        verdicts = tuple((consent, verdict(consent, told)) for consent in own)
        judged[home] = Judged(link, base, verdicts, home not in closed or link.reason == "represented")
    return judged


def counted(server: Server, facts: Iterable[Fact], homes: Iterable[str]) -> list[tuple[str, Resource]]:
    """Return the Consents that count, each with its patient."""
    found: dict[str, list[Resource]] = {home: [] for home in homes}
    for fact in facts:
        if fact.type == "Consent" and fact.home in found:
            found[fact.home].append(read(fact))
    verified = server.policy.consents_verified
    return [(home, one) for home, all_ in found.items() for one in counting(all_, verified=verified)]


def differ_by_action(server: Server, facts: Iterable[Fact], homes: Iterable[str]) -> bool:
    """Tell whether the Consents say different things about reading and writing."""
    return has_actions([consent for _, consent in counted(server, facts, homes)])


def closed_spaces(server: Server, facts: Iterable[Fact], homes: Iterable[str]) -> frozenset[str]:
    """Return the patients whose space isn't open; one that was never spoken of is open unless spaces are enforced."""
    states = {fact.home: fact.body for fact in facts if fact.type == "spaces"}
    default = b"" if server.policy.enforce_spaces else _OPEN
    return frozenset(home for home in homes if states.get(home, default) != _OPEN)


async def _members(
    server: Server, facts: Iterable[Fact], consents: Iterable[tuple[str, Resource]]
) -> dict[str, frozenset[str]]:
    """Return who each team, group and role stands for that the Consents name."""
    now = server.clock()
    known = {f"{fact.type}/{fact.id}": read(fact) for fact in facts if f"{fact.type}/" in COLLECTIVES}
    named = {
        name
        for _, consent in consents
        for provision in provisions(consent)
        for actor in provision.get("actor", ())
        for name in actor_names(actor)
        if name.startswith(COLLECTIVES)
    }
    found = {}
    for name in named:
        resource = known.get(name) or await resource_of(server, name)
        found[name] = members(resource, now) if resource is not None else _NOBODY
    return found


async def _related(
    server: Server, consents: Iterable[tuple[str, Resource]]
) -> dict[str, frozenset[str] | None]:
    """Return what the resources refer to that the Consents name with all that they refer to."""
    named = {
        datum["reference"]["reference"]
        for _, consent in consents
        for provision in provisions(consent)
        for datum in provision.get("data", ())
        if datum.get("meaning") == "related"
    }
    found: dict[str, frozenset[str] | None] = {}
    for name in named:
        resource = await resource_of(server, name)
        found[name] = None if resource is None else references(resource) - _patients(resource)
    return found


def _patients(resource: Resource) -> frozenset[str]:
    """Return the patient of a resource: the person is not what the person's data refer to."""
    return frozenset(name for name in references(resource) if name.startswith("Patient/"))


async def resource_of(server: Server, name: str) -> Resource | None:
    """Return a resource by its reference, None if there is none; nobody's rights are asked."""
    type_, _, id_ = name.partition("/")
    stored = await server.store.read(type_, id_, OPEN)
    return decode(stored.body) if stored is not None and not stored.is_deleted else None


def members(resource: Resource, now: int) -> frozenset[str]:
    """Return the references of who is in a care team or group now, or has a role: nobody in one that isn't active."""
    match resource["resourceType"]:
        case "CareTeam" if resource.get("status") == "active" and is_now(resource, now):
            named = [
                row.get(name, {})
                for row in resource.get("participant", ())
                if is_now(row, now)
                for name in ("member", "onBehalfOf")
            ]
        case "Group" if resource.get("active", True) and resource.get("actual"):
            rows = resource.get("member", ())
            named = [r.get("entity", {}) for r in rows if is_now(r, now) and not r.get("inactive")]
        case "PractitionerRole" if resource.get("active", True) and is_now(resource, now):
            named = [resource.get("practitioner", {}), {"reference": f"PractitionerRole/{resource['id']}"}]
        case _:
            named = []
    return frozenset(row["reference"] for row in named if "reference" in row)


def is_now(holder: Resource, now: int) -> bool:
    """Tell whether a moment lies in an element's period."""
    start, end = period(holder.get("period", {}))
    return start <= now <= end


def read(fact: Fact) -> Resource:
    """Return the resource of a fact."""
    return _decoded(fact.body)


@lru_cache(maxsize=4096)
def _decoded(body: bytes) -> Resource:
    return decode(body)


#: The letters whose decisions differ when a Consent names actions.
WRITING = tuple(letter for letter in ACTIONS if letter != "r")
