"""From a caller, a type and a letter to the policy: the steps that never depend on anybody's Consent.

The letters are those of SMART scopes: create, read, update, delete, search. Every step narrows; none widens another.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from fhir_server.access.caller import Caller, Kind
from fhir_server.access.context import REFER, Policy
from fhir_server.access.keys import LEVELS, RULES_VERSION
from fhir_server.access.policy import (
    EVERYTHING,
    HOME,
    NOTHING,
    AtMost,
    Clause,
    Missing,
    any_of,
    both,
    either,
    grants,
    none_of,
)
from fhir_server.access.rules import Rule, rule
from fhir_server.access.scopes import Scope
from fhir_server.access.writing import NAME_OTHERS

#: What each kind may do to personal data at all, before scopes and consent are asked.
LETTERS: Mapping[Kind, str] = {
    Kind.CITIZEN: "cruds",
    Kind.REPRESENTATIVE: "cruds",
    Kind.PROFESSIONAL: "cruds",
    Kind.APP: "cruds",
    Kind.PAYER_FEED: "c",
    Kind.INSURER: "",
    Kind.SYSTEM: "cruds",
    Kind.AUDITOR: "",
    Kind.OPERATOR: "cruds",
    Kind.ANONYMOUS: "",
}
#: The types that the payer's feed delivers.
PAYER_TYPES = frozenset({"ExplanationOfBenefit", "Claim", "Coverage"})
#: The machinery of access: writing it is a privilege, not covered by a wildcard scope of an app.
PRIVILEGED = frozenset(
    {
        "Consent",
        "CareTeam",
        "Group",
        "List",
        "RelatedPerson",
        "Person",
        "Provenance",
        "AuditEvent",
        "Subscription",
    }
)
#: Scope levels that count for a kind.
_SCOPE_LEVELS: Mapping[Kind, tuple[str, ...]] = {
    Kind.CITIZEN: ("patient", "user"),
    Kind.REPRESENTATIVE: ("patient", "user"),
    Kind.PROFESSIONAL: ("patient", "user"),
    Kind.APP: ("patient",),
    Kind.PAYER_FEED: ("system",),
    Kind.SYSTEM: ("system",),
    Kind.AUDITOR: ("user", "system"),
    Kind.OPERATOR: ("user", "system"),
}


@dataclass(frozen=True, slots=True)
class Facts:
    """What the store knows about caller and patients, read anew for each request.

    ``spaces`` are the patients whose spaces the caller may look into at all (own space, care team, explicit consent),
    each with what of it their Consents leave; ``writing`` has that for creating (c) and changing (u) where they say
    something else about it. ``own`` are the patients for whom the caller decides: the person, or who represents the
    person in everything. ``matrix`` is what the caller's profession may see at most.
    """

    spaces: Mapping[str, Clause] = field(default_factory=dict)
    writing: Mapping[str, Mapping[str, Clause]] = field(default_factory=dict)
    own: frozenset[str] = frozenset()
    matrix: Clause = EVERYTHING
    emergency: str = ""
    masked_in_emergency: bool = False

    def spaces_for(self, letter: str) -> Mapping[str, Clause]:
        """Return the spaces for a letter."""
        return self.writing.get("u" if letter == "d" else letter, self.spaces)


Condition = Callable[[str, Scope], Clause]
"""Returns what the search parameters of a scope leave of a type."""


def policy_of(caller: Caller, facts: Facts, condition: Condition) -> Policy:
    """Return the caller's policy; each clause is made when it is first asked for."""
    known: dict[tuple[str, str], Clause] = {}

    def policy(type_: str, letter: str) -> Clause:
        clause = known.get((type_, letter))
        if clause is None:
            clause = known[type_, letter] = _reachable(caller, type_, letter, facts, condition)
        return clause

    return policy


def _reachable(caller: Caller, type_: str, letter: str, facts: Facts, condition: Condition) -> Clause:
    if letter == REFER:
        return _referable(caller, type_, facts)
    if not is_allowed(caller, type_, letter):
        return NOTHING
    if letter in "rs" and rule(type_) is Rule.CONFORMANCE:
        return EVERYTHING
    within = either(*(_granted(caller, type_, s, condition) for s in _scopes(caller, type_, letter)))
    if letter == "c":
        return both(within, _writable(caller, type_, facts))
    seen = visible(caller, type_, facts)
    if letter in "ud" and caller.kind in (Kind.REPRESENTATIVE, Kind.APP):
        seen = both(seen, _changeable(type_, letter, facts))
    return both(within, seen)


def _changeable(type_: str, letter: str, facts: Facts) -> Clause:
    """Return what of the spaces the caller may change, which is a part of what the caller sees."""
    if type_ in PRIVILEGED:
        return any_of(HOME, sorted(facts.own))
    return either(Missing(HOME), _of_homes(facts.spaces_for(letter)))


def _granted(caller: Caller, type_: str, scope: Scope, condition: Condition) -> Clause:
    """Return what one scope grants: of the patient in context or of all, what its parameters leave."""
    matching = condition(type_, scope) if scope.conditions else EVERYTHING
    if scope.level != "patient" or rule(type_) in (Rule.DIRECTORY, Rule.CONFORMANCE):
        return matching
    return both(matching, either(any_of(HOME, [caller.patient]), Missing(HOME)))


def _referable(caller: Caller, type_: str, facts: Facts) -> Clause:
    """Return what a reference may lead to: what the caller sees, and for who deposits any patient and the directory."""
    if type_ == "Patient" and caller.kind in _DEPOSITORS:
        return any_of("_sec.ver", [RULES_VERSION])
    if rule(type_) is Rule.DIRECTORY and caller.kind in _DEPOSITORS:
        return EVERYTHING
    return visible(caller, type_, facts)


_DEPOSITORS = (Kind.PROFESSIONAL, Kind.SYSTEM, Kind.PAYER_FEED)


def _writable(caller: Caller, type_: str, facts: Facts) -> Clause:
    """Return what a new document must be: at home with the caller's patients, or a deposit."""
    if caller.kind is Kind.OPERATOR or rule(type_) in (Rule.DIRECTORY, Rule.CONFORMANCE):
        return EVERYTHING
    deposited = any_of("_sec.auth", [caller.subject])
    if caller.kind in _DEPOSITORS:
        return deposited
    if type_ in PRIVILEGED:
        return any_of(HOME, sorted(facts.own))
    return either(_of_homes(facts.spaces_for("c")), both(deposited, Missing(HOME)))


def is_allowed(caller: Caller, type_: str, letter: str) -> bool:
    """Tell whether the request alone allows it (a 403 otherwise): kind, law, purpose, scope, and the type's rule."""
    if letter in "rs" and rule(type_) is Rule.CONFORMANCE:
        return True
    if (letter in "rs" and not caller.may_read) or not _scopes(caller, type_, letter):
        return False
    match rule(type_):
        case Rule.CONFORMANCE:
            return letter in "rs" or caller.kind is Kind.OPERATOR
        case Rule.DIRECTORY:
            return letter in "rs" or caller.kind in (Kind.OPERATOR, Kind.SYSTEM)
        case Rule.OPERATOR:
            return caller.kind is Kind.OPERATOR
        case Rule.AUDIT:
            return letter in "rs" and caller.kind in (Kind.CITIZEN, Kind.REPRESENTATIVE, Kind.AUDITOR)
        case Rule.PATIENT | Rule.SHARED:
            return letter in LETTERS[caller.kind] and _may_touch(caller, type_, letter)


def _scopes(caller: Caller, type_: str, letter: str) -> tuple[Scope, ...]:
    """Return the scopes for a type and a letter; those of a patient need one in the token for a patient's data."""
    found = caller.scopes.covering(type_, letter, _SCOPE_LEVELS.get(caller.kind, ()))
    if caller.patient is not None or rule(type_) in (Rule.DIRECTORY, Rule.CONFORMANCE):
        return found
    return tuple(scope for scope in found if scope.level != "patient")


def is_in_scope(caller: Caller, type_: str, letter: str) -> bool:
    """Tell whether the scopes alone cover it."""
    return bool(_scopes(caller, type_, letter))


def _may_touch(caller: Caller, type_: str, letter: str) -> bool:
    if caller.kind is Kind.PAYER_FEED:
        return type_ in PAYER_TYPES
    if type_ == "Patient" and letter in "cud":
        return caller.kind is Kind.OPERATOR or (letter == "c" and caller.kind is Kind.SYSTEM)
    if letter in "cud" and type_ in PRIVILEGED:
        return caller.kind in (Kind.CITIZEN, Kind.REPRESENTATIVE, Kind.OPERATOR)
    return True


def visible(caller: Caller, type_: str, facts: Facts) -> Clause:
    """Return which documents of a type the caller may see, whatever the scopes; NOTHING when the law forbids it."""
    closed = rule(type_)
    if closed is Rule.CONFORMANCE or (closed is Rule.DIRECTORY and caller.may_read):
        return EVERYTHING
    if not caller.may_read:
        return NOTHING
    current = any_of("_sec.ver", [RULES_VERSION])
    if caller.kind is Kind.OPERATOR:
        return current
    if closed is Rule.OPERATOR:
        return NOTHING
    if closed is Rule.AUDIT:
        return current if caller.kind is Kind.AUDITOR else both(current, any_of(HOME, sorted(facts.own)))
    alone = EVERYTHING if type_ in NAME_OTHERS else Missing("_sec.also")
    seen = either(_of_spaces(caller, facts), _deposited_by(caller))
    return NOTHING if seen == NOTHING else grants(both(seen, current, alone))


def _of_spaces(caller: Caller, facts: Facts) -> Clause:
    """Return what is to be seen of the caller's patients; those whose Consents say the same stand together."""
    return both(_of_homes(facts.spaces), *bounds(caller, facts).values())


def _of_homes(homes: Mapping[str, Clause]) -> Clause:
    alike: dict[Clause, list[str]] = {}
    for home, clause in homes.items():
        alike.setdefault(clause, []).append(home)
    return either(*(both(any_of(HOME, sorted(named)), clause) for clause, named in alike.items()))


def bounds(caller: Caller, facts: Facts) -> dict[str, Clause]:
    """Return what no Consent lifts, by its name: the matrix of professions, confidentiality, masks and delays."""
    return {
        "profession": facts.matrix if caller.kind is Kind.PROFESSIONAL else EVERYTHING,
        "confidentiality": AtMost("_sec.conf", clearance(caller, facts)),
        "mask": EVERYTHING if facts.emergency and facts.masked_in_emergency else _unmasked(caller.kind),
    }


def clearance(caller: Caller, facts: Facts) -> int:
    """Return the highest confidentiality that the caller sees; a role ``clearance-R`` raises a professional's.

    In an emergency what is restricted is seen, too; what is very restricted is not.
    """
    if caller.kind in (Kind.CITIZEN, Kind.REPRESENTATIVE):
        return LEVELS["V"]
    least = LEVELS["R" if facts.emergency else "N"]
    return max(
        (level for code, level in LEVELS.items() if f"clearance-{code}" in caller.roles and level > least),
        default=least,
    )


def _unmasked(kind: Kind) -> Clause:
    match kind:
        case Kind.CITIZEN:
            return none_of("_sec.hid", ["citizen"])
        case Kind.REPRESENTATIVE:
            return none_of("_sec.hid", ["representative", "citizen"])
        case Kind.APP:
            return both(none_of("_sec.mask", ["third-party"]), none_of("_sec.hid", ["citizen"]))
        case _:
            return none_of("_sec.mask", ["professional"])


def _deposited_by(caller: Caller) -> Clause:
    """Return what the caller's organisation or client deposited: it reads that back even when it is masked."""
    if caller.kind not in (Kind.PROFESSIONAL, Kind.SYSTEM):
        return both(any_of("_sec.auth", [caller.subject]), Missing(HOME))
    return any_of("_sec.auth", [name for name in (caller.organization, caller.subject) if name])
