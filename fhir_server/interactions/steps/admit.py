"""From a verified caller to the AccessContext of a request: the facts are read, the policy is compiled once.

https://hl7.org/fhir/smart-app-launch/STU2.2/scopes-and-launch-context.html, https://hl7.org/fhir/R4/consent.html
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any

from fhir_server.access import OPEN, AccessContext
from fhir_server.access.caller import Caller, Kind
from fhir_server.access.consent import Asking, above, base_policy, joined, verdict
from fhir_server.access.decision import Facts, policy_of
from fhir_server.access.policy import EVERYTHING, NOTHING, Clause, Matching
from fhir_server.access.representing import may_represent
from fhir_server.access.scopes import Scope
from fhir_server.datatypes.json_format import decode
from fhir_server.interactions.exchange import Server
from fhir_server.interactions.steps.in_space import is_accessible
from fhir_server.interactions.steps.prepare import instant
from fhir_server.outcome import FhirError, error
from fhir_server.search import count_plan, parse
from fhir_server.search.lookups import questions
from fhir_server.store.facts import Fact

#: Patients of a professional that one query may be about.
MOST_SPACES = 300


async def admit(server: Server, caller: Caller, base: str = "") -> AccessContext:
    """Return the context of a caller's request; raises FhirError 422 where it would be about too many patients."""
    facts = Facts(await _spaces(server, caller))

    def condition(type_: str, scope: Scope) -> Clause:
        return _condition(server, type_, scope, base)

    authors = tuple(name for name in (caller.organization, caller.subject) if name)
    return AccessContext(
        f"{caller.client}|{caller.subject}", policy_of(caller, facts, condition), authors, caller
    )


async def _spaces(server: Server, caller: Caller) -> dict[str, Clause]:
    """Return the patients whose spaces the caller may look into, each with what their Consents leave."""
    match caller.kind:
        case Kind.CITIZEN:
            own = caller.subject.removeprefix("Patient/")
            return {own: EVERYTHING} if caller.patient in (None, own) else {}
        case Kind.REPRESENTATIVE:
            return await _represented(server, caller)
        case Kind.APP:
            homes: dict[str, Clause] = {caller.patient: EVERYTHING} if caller.patient else {}
        case Kind.PROFESSIONAL:
            homes = await _treated(server, caller)
        case _:
            return {}
    return await _consented(server, caller, await _open(server, homes))


async def _open(server: Server, homes: Mapping[str, Clause]) -> Mapping[str, Clause]:
    """Return the patients whose spaces are open: nobody but the citizen sees into the others."""
    if not homes:
        return homes
    spaces = await server.store.spaces.all(homes)
    return {home: clause for home, clause in homes.items() if is_accessible(server, spaces.get(home))}


async def _represented(server: Server, caller: Caller) -> dict[str, Clause]:
    """Return the patient for whom the caller acts by a RelatedPerson that is in force, if there is one."""
    related = await _resource(server, caller.subject)
    patient = related.get("patient", {}).get("reference", "")
    person = await _resource(server, patient) if related else {}
    is_in_force = bool(person) and may_represent(related, person, instant(server.clock())[:10])
    home = patient.removeprefix("Patient/")
    return {home: EVERYTHING} if is_in_force and caller.patient in (None, home) else {}


async def _resource(server: Server, reference: str) -> Mapping[str, Any]:
    type_, _, id_ = reference.partition("/")
    stored = await server.store.read(type_, id_, OPEN) if type_ in ("Patient", "RelatedPerson") else None
    return decode(stored.body) if stored is not None and not stored.is_deleted else {}


async def _treated(server: Server, caller: Caller) -> dict[str, Clause]:
    """Return the patients whose care team the caller is in (all to be seen) or whose Consents name the caller."""
    facts = await server.store.facts.naming(_names(caller))
    now = instant(server.clock())
    homes: dict[str, Clause] = {}
    for fact in facts:
        if caller.patient is not None and fact.home != caller.patient:
            continue
        in_team = fact.type == "CareTeam" and bool(_members(_read(fact), now) & _names(caller))
        if in_team or fact.home not in homes:
            homes[fact.home] = EVERYTHING if in_team else homes.get(fact.home, NOTHING)
    if len(homes) > MOST_SPACES:
        raise error(
            "too-costly",
            f"You treat more than {MOST_SPACES} patients; sign in with a patient in context.",
        )
    return homes


async def _consented(server: Server, caller: Caller, homes: Mapping[str, Clause]) -> dict[str, Clause]:
    facts = await server.store.facts.of(homes)
    now = instant(server.clock())
    groups = {f"CareTeam/{fact.id}": _members(_read(fact), now) for fact in facts if fact.type == "CareTeam"}
    asking = Asking(_names(caller), above(caller.purpose_of_use), "r", now, groups)
    spaces: dict[str, Clause] = {}
    for home, base in homes.items():
        consents = [_read(fact) for fact in facts if fact.type == "Consent" and fact.home == home]
        base = base_policy(consents, asking, base)  # noqa: PLW2901 (narrowed)
        clause = joined(verdict(consent, asking) for consent in consents).over(base)
        if clause != NOTHING:
            spaces[home] = clause
    return spaces


def _names(caller: Caller) -> frozenset[str]:
    return frozenset(name for name in (caller.subject, caller.organization) if name)


def _members(team: Mapping[str, Any], now: str) -> frozenset[str]:
    """Return the references of who is in an active care team now."""
    if team.get("status") != "active" or not _is_in(team.get("period", {}), now):
        return frozenset()
    members: Iterable[Mapping[str, Any]] = team.get("participant", ())
    return frozenset(
        member.get(name, {}).get("reference", "")
        for member in members
        if _is_in(member.get("period", {}), now)
        for name in ("member", "onBehalfOf")
    ) - {""}


def _is_in(period: Mapping[str, Any], now: str) -> bool:
    start, end = period.get("start", ""), period.get("end")
    return now[: len(start)] >= start and (end is None or now[: len(end)] <= end)


def _read(fact: Fact) -> Mapping[str, Any]:
    return _decoded(fact.body)


@lru_cache(maxsize=4096)
def _decoded(body: bytes) -> Mapping[str, Any]:
    return decode(body)


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
