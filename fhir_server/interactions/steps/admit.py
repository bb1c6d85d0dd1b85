"""From a verified caller to the AccessContext of a request: the facts are read, the policy is compiled once.

https://hl7.org/fhir/smart-app-launch/STU2.2/scopes-and-launch-context.html, https://hl7.org/fhir/R4/consent.html
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from fhir_server.access import AccessContext
from fhir_server.access.caller import Caller, Kind
from fhir_server.access.decision import Facts, policy_of
from fhir_server.access.insurers import is_insurer
from fhir_server.access.policy import EVERYTHING, NOTHING, Clause, Matching
from fhir_server.access.representing import is_in_force, may_represent
from fhir_server.access.scopes import Scope
from fhir_server.interactions.exchange import Server
from fhir_server.interactions.steps.consents import (
    WRITING,
    Judged,
    Link,
    differ_by_action,
    judge,
    members,
    names_of,
    read,
    resource_of,
)
from fhir_server.interactions.steps.emergency import Emergency
from fhir_server.interactions.steps.prepare import instant
from fhir_server.outcome import FhirError, error
from fhir_server.search import count_plan, parse
from fhir_server.search.lookups import questions

#: Patients of a professional that one query may be about.
MOST_SPACES = 300
#: A represented person's Consents: only those that name the representative say anything.
_NAMED_ONLY: frozenset[str] = frozenset()
#: Who has no business in a space gets in by being named, and is kept out by any deny.
_DENY_ONLY = frozenset({"deny"})


@dataclass(frozen=True, slots=True)
class Admitted:
    """A caller's facts, and how they came about: by patient, what is seen and why."""

    caller: Caller
    facts: Facts
    judged: Mapping[str, Judged]


async def admit(
    server: Server, caller: Caller, base: str = "", emergency: Emergency | None = None
) -> AccessContext:
    """Return the context of a caller's request, ``emergency`` is the grant that it carries.

    Raises FhirError 422 where the request would be about too many patients, and Unavailable.
    """
    found = await admitted(server, caller, emergency)
    caller = found.caller

    def condition(type_: str, scope: Scope) -> Clause:
        return _condition(server, type_, scope, base)

    authors = tuple(name for name in (caller.organization, caller.subject) if name)
    policy = policy_of(caller, found.facts, condition)
    return AccessContext(f"{caller.client}|{caller.subject}", policy, authors, caller, found.facts.own)


async def admitted(
    server: Server, caller: Caller, emergency: Emergency | None = None, patient: str = ""
) -> Admitted:
    """Return what the server knows about a caller; of one ``patient`` only, if one is named."""
    if caller.kind in (Kind.PROFESSIONAL, Kind.SYSTEM) and caller.organization is not None:
        organization = await resource_of(server, caller.organization)
        if organization is not None and is_insurer(organization):
            caller = replace(caller, kind=Kind.INSURER)
    if emergency is not None:
        caller = replace(caller, purpose=emergency.purpose, patient=emergency.patient)
    links = await _links(server, caller, emergency, patient)
    if caller.kind is Kind.CITIZEN:
        facts = Facts(dict.fromkeys(links, EVERYTHING), own=frozenset(links))
        return Admitted(caller, facts, {home: Judged(link, EVERYTHING, ()) for home, link in links.items()})
    if not links:
        return Admitted(caller, Facts(matrix=_matrix(server, caller)), {})
    rows = await server.store.facts.of(links)
    judged = await judge(server, caller, links, rows)
    writing: dict[str, Mapping[str, Clause]] = {}
    if caller.kind in (Kind.APP, Kind.REPRESENTATIVE) and differ_by_action(server, rows, links):
        for letter in WRITING:
            writing[letter] = _seen(await judge(server, caller, links, rows, letter))
    own = frozenset(home for home, link in links.items() if link.reason == "represented")
    facts = Facts(
        _seen(judged),
        writing,
        own,
        _matrix(server, caller),
        emergency.purpose if emergency is not None else "",
        server.policy.masked_in_emergency,
    )
    return Admitted(caller, facts, judged)


def _seen(judged: Mapping[str, Judged]) -> dict[str, Clause]:
    found = {home: one.clause for home, one in judged.items()}
    return {home: clause for home, clause in found.items() if clause != NOTHING}


def _matrix(server: Server, caller: Caller) -> Clause:
    if caller.kind is not Kind.PROFESSIONAL:
        return EVERYTHING
    return server.policy.professions.seen_by(caller.profession)


async def _links(
    server: Server, caller: Caller, emergency: Emergency | None, patient: str
) -> dict[str, Link]:
    """Return the patients whose spaces the caller may look into if their Consents let it."""
    match caller.kind:
        case Kind.CITIZEN:
            own = caller.subject.removeprefix("Patient/")
            return {own: Link("own", EVERYTHING)} if caller.patient in (None, own) else {}
        case Kind.REPRESENTATIVE:
            return await _represented(server, caller)
        case Kind.APP:
            return {caller.patient: Link("app", EVERYTHING)} if caller.patient else {}
        case Kind.PROFESSIONAL if emergency is not None:
            return {emergency.patient: Link("emergency", EVERYTHING)}
        case Kind.PROFESSIONAL:
            return await _treated(server, caller, patient)
        case _:
            return {}


async def _represented(server: Server, caller: Caller) -> dict[str, Link]:
    """Return the patient of the RelatedPerson that the caller is: all of it, or as far as Consents name the caller."""
    related = await resource_of(server, caller.subject)
    reference = (related or {}).get("patient", {}).get("reference", "")
    person = await resource_of(server, reference) if reference.startswith("Patient/") else None
    if related is None or person is None:
        return {}
    home, today = reference.removeprefix("Patient/"), instant(server.clock())[:10]
    if caller.patient not in (None, home) or not is_in_force(related, today):
        return {}
    if may_represent(related, person, today):
        return {home: Link("represented", EVERYTHING, _NAMED_ONLY)}
    return {home: Link("consent", NOTHING, _DENY_ONLY)}


async def _treated(server: Server, caller: Caller, patient: str) -> dict[str, Link]:
    """Return the patients whose care team the caller is in (all to be seen) or whose Consents name the caller."""
    names, now = names_of(caller), server.clock()
    only = patient or caller.patient
    rows = await server.store.facts.naming(names)
    if collectives := {f"{row.type}/{row.id}" for row in rows if row.type != "Consent"}:
        rows = (*rows, *await server.store.facts.naming(collectives))
    links: dict[str, Link] = {}
    for row in rows:
        if row.type not in ("CareTeam", "Consent") or (only is not None and only not in ("", row.home)):
            continue
        if row.type == "CareTeam" and members(read(row), now) & names:
            links[row.home] = Link("team", EVERYTHING)
        else:
            links.setdefault(row.home, Link("consent", NOTHING, _DENY_ONLY))
    if len(links) > MOST_SPACES:
        raise error(
            "too-costly",
            f"You treat more than {MOST_SPACES} patients; sign in with a patient in context.",
        )
    return links


def _condition(server: Server, type_: str, scope: Scope, base: str) -> Clause:
    """Return what the search parameters of a scope leave; what can't be enforced grants nothing."""
    try:
        query = parse(scope.conditions, type_, server.registry, base=base, now=server.clock())
    except FhirError:
        return NOTHING
    if questions(query.expression):
        return NOTHING
    plan = count_plan(query, server.registry)
    return NOTHING if plan.never else Matching(str(scope.conditions), plan.filter, query.expression.matches)
