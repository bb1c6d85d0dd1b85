"""From a caller, a type and a letter to the policy: the steps that never depend on anybody's Consent.

The letters are those of SMART scopes: create, read, update, delete, search. Every step narrows; none widens another.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from fhir_server.access.caller import Caller, Kind
from fhir_server.access.keys import LEVELS, RULES_VERSION
from fhir_server.access.policy import (
    EVERYTHING,
    NOTHING,
    AtMost,
    Clause,
    any_of,
    both,
    either,
    grants,
    none_of,
)
from fhir_server.access.rules import Rule, rule

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

    ``homes`` are the patients whose spaces the caller may look into at all (own space, care team, explicit consent,
    emergency grant); ``open_homes`` those of them whose space is open. ``clearance`` is the highest
    confidentiality that the caller may see.
    """

    homes: frozenset[str] = frozenset()
    clearance: int = LEVELS["N"]
    narrowed: Mapping[str, Clause] = field(default_factory=dict)


def is_allowed(caller: Caller, type_: str, letter: str) -> bool:
    """Tell whether the request alone allows it (a 403 otherwise): kind, law, purpose, scope, and the type's rule."""
    if letter in "rs" and not caller.may_read and rule(type_) is not Rule.CONFORMANCE:
        return False
    if not caller.scopes.covering(type_, letter, _SCOPE_LEVELS.get(caller.kind, ())):
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


def _may_touch(caller: Caller, type_: str, letter: str) -> bool:
    if caller.kind is Kind.PAYER_FEED:
        return type_ in PAYER_TYPES
    if letter in "cud" and type_ in PRIVILEGED:
        return caller.kind in (Kind.CITIZEN, Kind.REPRESENTATIVE, Kind.OPERATOR)
    return True


def visible(caller: Caller, type_: str, facts: Facts) -> Clause:
    """Return which documents of a type the caller may see; NOTHING when the request alone forbids it."""
    closed = rule(type_)
    if closed is Rule.CONFORMANCE or (closed is Rule.DIRECTORY and caller.may_read):
        return EVERYTHING
    if not caller.may_read:
        return NOTHING
    if caller.kind is Kind.OPERATOR:
        return EVERYTHING if closed is not Rule.PATIENT else any_of("_sec.ver", [RULES_VERSION])
    if closed is Rule.OPERATOR:
        return NOTHING
    if closed is Rule.AUDIT and caller.kind is Kind.AUDITOR:
        return any_of("_sec.ver", [RULES_VERSION])
    return grants(_of_homes(caller, type_, facts))


def _of_homes(caller: Caller, type_: str, facts: Facts) -> Clause:
    """Return the documents of the caller's patients, and those that the caller's organisation deposited."""
    home = any_of("_id" if type_ == "Patient" else "p", sorted(facts.homes))
    current = any_of("_sec.ver", [RULES_VERSION])
    own = both(home, current, AtMost("_sec.conf", facts.clearance), _unmasked(caller.kind))
    narrowed = both(own, facts.narrowed.get(type_, EVERYTHING))
    return either(narrowed, both(current, _deposited_by(caller)))


def _unmasked(kind: Kind) -> Clause:
    match kind:
        case Kind.CITIZEN:
            return none_of("_sec.hid", ["citizen"])
        case Kind.REPRESENTATIVE:
            return none_of("_sec.hid", ["representative", "citizen"])
        case Kind.PROFESSIONAL | Kind.SYSTEM:
            return none_of("_sec.mask", ["professional"])
        case _:
            return none_of("_sec.mask", ["professional", "third-party"])


def _deposited_by(caller: Caller) -> Clause:
    """Return what the caller's organisation deposited: it reads that back even when it is masked."""
    if caller.kind not in (Kind.PROFESSIONAL, Kind.SYSTEM) or caller.organization is None:
        return NOTHING
    return any_of("_sec.auth", [caller.organization])
