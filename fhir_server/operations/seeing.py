"""What somebody would see of a patient's space, and why: shared by $explain and $who-can-see.

Nobody has to sign in for that: a caller is made up, the same code decides, and what is left is counted.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from fhir_server.access import OPEN, AccessContext
from fhir_server.access.caller import Caller, Kind
from fhir_server.access.decision import Facts, bounds, policy_of
from fhir_server.access.policy import EVERYTHING, HOME, NOTHING, Clause, any_of, both
from fhir_server.access.rules import Rule, rule
from fhir_server.access.scopes import parse
from fhir_server.interactions.exchange import Server
from fhir_server.interactions.steps.admit import Admitted, admitted
from fhir_server.interactions.steps.consents import Judged
from fhir_server.interactions.steps.emergency import Emergency
from fhir_server.search import SearchPlan

#: What somebody is by the type of the reference that names them.
_KINDS = {
    "Patient": Kind.CITIZEN,
    "RelatedPerson": Kind.REPRESENTATIVE,
    "Practitioner": Kind.PROFESSIONAL,
    "PractitionerRole": Kind.PROFESSIONAL,
    "Organization": Kind.PROFESSIONAL,
    "Device": Kind.APP,
}
_LINKS = {
    "own": "It is the person's own space.",
    "represented": "A parent of a minor, or a guardian, acts for the person.",
    "team": "Member of the care team.",
    "consent": "Not in the care team: sees only what a Consent permits by name.",
    "app": "The person connected this app; its scopes narrow that.",
    "emergency": "An emergency grant stands in for the care team.",
}


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a decision: its name, what it leaves, in words, and the Consent that it comes from."""

    name: str
    clause: Clause
    text: str
    consent: str = ""
    denies: bool = False


@dataclass(frozen=True, slots=True)
class Told:
    """What somebody sees: of each type how many of how many, and the steps to that."""

    caller: Caller
    steps: tuple[Step, ...]
    types: tuple[tuple[str, int, int], ...]
    context: AccessContext

    @property
    def extent(self) -> str:
        """The whole of it: all, part or nothing."""
        seen, there = sum(row[1] for row in self.types), sum(row[2] for row in self.types)
        return "nothing" if seen == 0 else "all" if seen == there else "part"


def supposed(
    server: Server,
    actor: str,
    patient: str,
    *,
    organization: str = "",
    profession: str = "",
    purpose: str = "",
    roles: frozenset[str] = frozenset(),
) -> Caller:
    """Return the caller that somebody would be, with all scopes of their kind."""
    kind = _KINDS.get(actor.partition("/")[0], Kind.PROFESSIONAL)
    scopes = parse("patient/*.rs user/*.rs", server.definitions.types.resource_type_names)
    if actor.startswith("Organization/"):
        organization = actor
    of_patient = patient if kind in (Kind.CITIZEN, Kind.APP) else None
    return Caller(
        kind, actor, "explained", scopes, of_patient, organization or None, profession or None, roles, purpose
    )


async def told(server: Server, caller: Caller, patient: str, mode: str = "") -> Told:
    """Return what a caller sees of a patient's space; ``mode`` is that of an emergency grant."""
    emergency = Emergency(mode, patient) if mode else None
    found = await admitted(server, caller, emergency, patient)
    context = _context(found)
    steps = tuple(_steps(found, patient))
    home = both(any_of(HOME, [patient]))
    rows = []
    for type_ in await server.store.types():
        if rule(type_) not in (Rule.PATIENT, Rule.SHARED):
            continue
        plan = SearchPlan(type_, home.as_filter() or {})
        there = await server.store.count(plan, OPEN)
        if there:
            rows.append((type_, await server.store.count(plan, context), there))
    return Told(found.caller, steps, tuple(rows), context)


def _context(found: Admitted) -> AccessContext:
    return AccessContext("explained", policy_of(found.caller, found.facts, lambda _type, _scope: NOTHING))


async def holds(server: Server, clause: Clause, reference: str) -> bool:
    """Tell whether a clause holds for a current resource."""
    type_, _, id_ = reference.partition("/")
    context = AccessContext("explained", lambda _type, _letter: clause)
    return await server.store.count(SearchPlan(type_, {"_id": id_}), context) > 0


def _steps(found: Admitted, patient: str) -> Iterator[Step]:
    """Yield the steps in the order of the decision."""
    caller, judged = found.caller, found.judged.get(patient)
    if not caller.may_read:
        text = "The law: insurers, payers and employers read no health space, whatever anybody permits."
        yield Step("law", NOTHING, text)
        return
    if judged is None:
        yield Step("link", NOTHING, "Nothing joins them: no care team, no Consent that names them.")
    else:
        yield from _of_space(judged)
        yield from _of_bounds(caller, found.facts)
    if caller.kind is Kind.PROFESSIONAL:
        own = any_of("_sec.auth", [name for name in (caller.organization, caller.subject) if name])
        yield Step("author", own, "What they or their organization deposited they see whatever else holds.")


def _of_space(judged: Judged) -> Iterator[Step]:
    if not judged.is_open:
        yield Step("space", NOTHING, "The person's space is not open.")
        return
    yield Step("link", judged.link.base, _LINKS[judged.link.reason])
    if judged.base != judged.link.base:
        text = (
            "A base policy of the person's Consents (break-glass-only, deny) closes what no provision opens."
        )
        yield Step("policy", judged.base, text)
    for consent, verdict in judged.verdicts:
        name = f"Consent/{consent['id']}"
        if verdict.permitted != NOTHING:
            part = "everything" if verdict.permitted == EVERYTHING else "a part"
            yield Step("consent", verdict.permitted, f"This Consent permits {part}.", name)
        if verdict.denied != NOTHING:
            part = "everything" if verdict.denied == EVERYTHING else "a part"
            yield Step("consent", verdict.denied, f"This Consent denies {part}.", name, denies=True)


_BOUNDS = {
    "profession": "The matrix of professions and types of documents.",
    "confidentiality": "Confidentiality: what is labelled above the clearance stays hidden.",
    "mask": "What the person masked, or what is yet to be explained, stays hidden.",
}


def _of_bounds(caller: Caller, facts: Facts) -> Iterator[Step]:
    for name, clause in bounds(caller, facts).items():
        if clause != EVERYTHING:
            yield Step(name, clause, _BOUNDS[name])


def seen_of(found: Told, type_: str) -> Clause:
    """Return what of a type is seen."""
    return found.context.policy(type_, "r")
