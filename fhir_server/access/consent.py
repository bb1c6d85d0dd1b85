"""The citizen's Consents, compiled for one caller to what they permit and what they deny.

A provision's criteria on the caller (period, actor, purpose, action) are decided here and now; those on the data
(labels, classes, codes, periods, resources, authors) become clauses, so that the decision is part of every query.
https://hl7.org/fhir/R4/consent.html, https://profiles.ihe.net/ITI/PCF/
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from fhir_server.access.clinical_time import period
from fhir_server.access.data_criteria import data_clause
from fhir_server.access.keys import PROFESSIONS, actor_names
from fhir_server.access.policy import NOTHING, Clause, both, either, unless
from fhir_server.access.purposes import EMERGENCIES

#: Scope of the Consents that decide about data; all others (the organ donation wish is ``adr``) are only records.
PRIVACY = "patient-privacy"
#: Base policies of IHE PCF; each says who sees what no provision decides.
PCF = "https://profiles.ihe.net/ITI/PCF/Policy-"
BASE_POLICIES = ("basic-normal", "all-normal", "break-glass-only", "deny")
#: Codes of Consent.policyRule that are base policies, too: opted out, with exceptions or without.
_OPTED_OUT = frozenset({"OPTOUT", "OPTOUTE"})

#: Consent actions (http://terminology.hl7.org/CodeSystem/consentaction) by what a caller does: read, create, change.
ACTIONS: Mapping[str, frozenset[str]] = {
    "r": frozenset({"access", "use", "disclose"}),
    "c": frozenset({"collect"}),
    "u": frozenset({"correct"}),
}
#: All that a provision may name.
ACTION_CODES = frozenset[str]().union(*ACTIONS.values())
#: Actors that stand for others; who that is, is looked up.
COLLECTIVES = ("Group/", "CareTeam/", "PractitionerRole/")


@dataclass(frozen=True, slots=True)
class Asking:
    """What of a caller a provision may ask for, at one moment.

    ``identities`` are the references that name the caller (self, organisation); ``profession`` a code of TRE_G15.
    ``purposes`` are the purpose of use and all above it; ``letter`` is what the caller does: r, c or u; ``now``
    milliseconds UTC. ``members`` are the references of who each Group, CareTeam and PractitionerRole stands for;
    ``related`` what each resource refers to that a provision names with its relations (None: it can't be told).
    ``unnamed`` says which types of provisions count that name nobody: a permit to everybody brings in nobody who has no
    business here, and a parent is stopped only by a deny that names the parent.
    """

    identities: frozenset[str]
    purposes: frozenset[str]
    letter: str
    now: int
    profession: str | None = None
    members: Mapping[str, frozenset[str]] = field(default_factory=dict)
    related: Mapping[str, frozenset[str] | None] = field(default_factory=dict)
    unnamed: frozenset[str] = frozenset({"permit", "deny"})


@dataclass(frozen=True, slots=True)
class Verdict:
    """Which documents are permitted and which are denied; the others are left to whoever decides above."""

    permitted: Clause = NOTHING
    denied: Clause = NOTHING

    def over(self, base: Clause) -> Clause:
        """Return what may be seen when ``base`` is what could be seen without a Consent: deny wins."""
        return both(either(base, self.permitted), unless(self.denied))


def joined(verdicts: Iterable[Verdict]) -> Verdict:
    """Return the verdict of several Consents."""
    known = tuple(verdicts)
    denied = either(*(v.denied for v in known))
    return Verdict(both(either(*(v.permitted for v in known)), unless(denied)), denied)


def is_in_force(consent: Mapping[str, Any]) -> bool:
    """Tell whether a Consent is active and about data; all others change nothing."""
    scope = {coding.get("code") for coding in consent.get("scope", {}).get("coding", ())}
    return consent.get("status") == "active" and PRIVACY in scope


def counting(consents: Iterable[Mapping[str, Any]], *, verified: bool = False) -> list[Mapping[str, Any]]:
    """Return the Consents that count: in force, and of those with the same identifier the one written last.

    ``verified`` leaves out those that nobody verified (Consent.verification).
    """
    chosen: list[Mapping[str, Any]] = []
    taken: set[tuple[str, str]] = set()
    for consent in sorted(consents, key=_written, reverse=True):
        if not is_in_force(consent) or (verified and not _is_verified(consent)):
            continue
        names = {(i.get("system", ""), i["value"]) for i in consent.get("identifier", ()) if "value" in i}
        if not names & taken:
            chosen.append(consent)
        taken |= names
    return chosen


def _written(consent: Mapping[str, Any]) -> str:
    return str(consent.get("meta", {}).get("lastUpdated", ""))


def _is_verified(consent: Mapping[str, Any]) -> bool:
    return any(row.get("verified") is True for row in consent.get("verification", ()))


def named_policies(consent: Mapping[str, Any]) -> set[str]:
    """Return the base policies that a Consent names, by IHE PCF's names."""
    found = {policy.get("uri", "").removeprefix(PCF) for policy in consent.get("policy", ())}
    for coding in consent.get("policyRule", {}).get("coding", ()):
        code = coding.get("code", "")
        found.add("deny" if code in _OPTED_OUT else code)
    return found & set(BASE_POLICIES)


def base_policy(consents: Iterable[Mapping[str, Any]], asking: Asking, base: Clause) -> Clause:
    """Return what may be seen where no provision decides: the most restrictive of what the Consents name.

    ``base`` is what the caller sees of a space without any: in the care team, or in an emergency.
    """
    named = set[str]().union(*(named_policies(consent) for consent in consents))
    if "deny" in named or ("break-glass-only" in named and not asking.purposes & EMERGENCIES):
        return NOTHING
    return base


def verdict(consent: Mapping[str, Any], asking: Asking) -> Verdict:
    """Return what a Consent says to a caller; nothing if it isn't in force."""
    if not is_in_force(consent) or "provision" not in consent:
        return Verdict()
    return _walk(consent["provision"], asking, is_named=False)


def _walk(provision: Mapping[str, Any], asking: Asking, *, is_named: bool) -> Verdict:
    """Return the verdict of one provision: its nested ones are exceptions to it, and a deny among them wins."""
    kind = provision.get("type")
    actors = provision.get("actor", ())
    if not _concerns(provision, asking, is_deny=kind == "deny"):
        return Verdict()
    is_named = is_named or bool(actors)
    matching = data_clause(provision, asking.related, is_deny=kind == "deny")
    inner = joined(_walk(nested, asking, is_named=is_named) for nested in provision.get("provision", ()))
    permitted, denied = inner.permitted, inner.denied
    if is_named or kind in asking.unnamed:
        if kind == "deny":
            denied = either(denied, unless(permitted))
        elif kind == "permit":
            permitted = unless(denied)
    return Verdict(both(matching, permitted), both(matching, denied))


def _concerns(provision: Mapping[str, Any], asking: Asking, *, is_deny: bool) -> bool:
    """Tell whether a provision is about this caller now; an absent criterion is about everybody."""
    start, end = period(provision.get("period", {}))
    if not start <= asking.now <= end:
        return False
    actors = provision.get("actor", ())
    if actors and not any(_is_actor(actor, asking, is_deny=is_deny) for actor in actors):
        return False
    purposes = {p.get("code") for p in provision.get("purpose", ())}
    if purposes and not purposes & asking.purposes:
        return False
    actions = {c.get("code") for a in provision.get("action", ()) for c in a.get("coding", ())}
    return not actions or bool(actions & ACTIONS[asking.letter])


def _is_actor(actor: Mapping[str, Any], asking: Asking, *, is_deny: bool) -> bool:
    return any(_is_name(name, asking, is_deny=is_deny) for name in actor_names(actor))


def _is_name(name: str, asking: Asking, *, is_deny: bool) -> bool:
    if name.startswith(COLLECTIVES):
        members = asking.members.get(name, frozenset())
        # A list that resolves to nobody permits nobody and denies everybody.
        return bool(members & asking.identities) if members else is_deny
    if name.startswith(f"{PROFESSIONS}|"):
        return asking.profession == name.removeprefix(f"{PROFESSIONS}|")
    return name in asking.identities


def provisions(consent: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Yield all provisions of a Consent, the root first."""
    waiting: list[Mapping[str, Any]] = [consent["provision"]] if "provision" in consent else []
    while waiting:
        provision = waiting.pop()
        yield provision
        waiting.extend(provision.get("provision", ()))


def has_actions(consents: Sequence[Mapping[str, Any]]) -> bool:
    """Tell whether Consents say different things about reading and writing."""
    return any("action" in provision for consent in consents for provision in provisions(consent))
