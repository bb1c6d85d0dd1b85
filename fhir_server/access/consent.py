"""The citizen's Consents, compiled for one caller to what they permit and what they deny.

A provision's criteria on the caller (period, actor, purpose, action) are decided here and now; those on the data
(labels, classes, codes, single resources, authors) become clauses, so that the decision is part of every query.
https://hl7.org/fhir/R4/consent.html, https://profiles.ihe.net/ITI/PCF/
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from fhir_server.access.keys import CONFIDENTIALITY, LEVELS
from fhir_server.access.policy import EVERYTHING, NOTHING, AtMost, Clause, any_of, both, either, unless

#: Scope of the Consents that decide about data; all others (the organ donation wish is ``adr``) are only records.
PRIVACY = "patient-privacy"
_RESOURCE_TYPES = "http://hl7.org/fhir/resource-types"


@dataclass(frozen=True, slots=True)
class Asking:
    """What of a caller a provision may ask for, at one moment.

    ``identities`` are the references that name the caller: self, organisation, roles. ``groups`` are the members
    of each CareTeam and Group that the Consents name. ``purposes`` are the purpose of use and all above it in
    v3-ActReason; ``letter`` is what the caller does; ``now`` milliseconds UTC.
    """

    identities: frozenset[str]
    purposes: frozenset[str]
    letter: str
    now: str
    groups: Mapping[str, frozenset[str]] = field(default_factory=dict)


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


#: Base policies of IHE PCF, from the most restrictive on; each says who sees what no provision decides.
PCF = "https://profiles.ihe.net/ITI/PCF/Policy-"
BASE_POLICIES = ("basic-normal", "all-normal", "break-glass-only", "deny")
_EMERGENCY = frozenset({"ETREAT", "BTG"})
#: v3-ActReason: what is above a purpose of use.
_ABOVE = {"ETREAT": "TREAT", "BTG": "TREAT", "CAREMGT": "TREAT", "CLINTRCH": "HRESCH", "DSRCH": "HRESCH"}


def above(purpose: str) -> frozenset[str]:
    """Return a purpose of use with all that are above it."""
    found = {purpose, "PurposeOfUse"}
    while (purpose := _ABOVE.get(purpose, "")) != "":
        found.add(purpose)
    return frozenset(found)


def base_policy(consents: Iterable[Mapping[str, Any]], asking: Asking, base: Clause) -> Clause:
    """Return what may be seen where no provision decides: ``base``, unless a Consent in force names less or more."""
    named = {
        uri.removeprefix(PCF)
        for consent in consents
        if is_in_force(consent)
        for uri in (
            *(policy.get("uri", "") for policy in consent.get("policy", ())),
            *(coding.get("code", "") for coding in consent.get("policyRule", {}).get("coding", ())),
        )
    }
    if "deny" in named:
        return NOTHING
    if "break-glass-only" in named:
        return base if asking.purposes & _EMERGENCY else NOTHING
    return base


def is_in_force(consent: Mapping[str, Any]) -> bool:
    """Tell whether a Consent is active and about data; all others change nothing."""
    scope = {coding.get("code") for coding in consent.get("scope", {}).get("coding", ())}
    return consent.get("status") == "active" and PRIVACY in scope


def verdict(consent: Mapping[str, Any], asking: Asking) -> Verdict:
    """Return what an active Consent of scope ``patient-privacy`` says to a caller; nothing if it isn't in force."""
    if not is_in_force(consent):
        return Verdict()
    root = consent.get("provision")
    return Verdict() if root is None else _walk(root, asking)


def _walk(provision: Mapping[str, Any], asking: Asking) -> Verdict:
    """Return the verdict of one provision: its nested ones are exceptions to it, and a deny among them wins."""
    kind = provision.get("type")
    if not _concerns(provision, asking, is_deny=kind == "deny"):
        return Verdict()
    matching = _data(provision, is_deny=kind == "deny")
    inner = [_walk(nested, asking) for nested in provision.get("provision", ())]
    denied = either(*(v.denied for v in inner))
    permitted = both(either(*(v.permitted for v in inner)), unless(denied))
    if kind == "deny":
        denied = either(denied, unless(permitted))
    elif kind == "permit":
        permitted = both(EVERYTHING, unless(denied))
    return Verdict(both(matching, permitted), both(matching, denied))


def _concerns(provision: Mapping[str, Any], asking: Asking, *, is_deny: bool) -> bool:
    """Tell whether a provision is about this caller now; an absent criterion is about everybody."""
    period = provision.get("period", {})
    # Dates are compared as text to the precision that they have: an end of 2026-03 holds until March is over.
    if asking.now[: len(period.get("start", ""))] < period.get("start", ""):
        return False
    end = period.get("end")
    if end is not None and asking.now[: len(end)] > end:
        return False
    actors = [a.get("reference", {}).get("reference", "") for a in provision.get("actor", ())]
    if actors and not any(_is_actor(actor, asking, is_deny=is_deny) for actor in actors):
        return False
    purposes = {p.get("code") for p in provision.get("purpose", ())}
    if purposes and not purposes & asking.purposes:
        return False
    actions = {c.get("code") for a in provision.get("action", ()) for c in a.get("coding", ())}
    return not actions or bool(actions & _ACTIONS[asking.letter])


#: Consent actions (http://terminology.hl7.org/CodeSystem/consentaction) that a letter is.
_ACTIONS: Mapping[str, frozenset[str]] = {
    "c": frozenset({"collect"}),
    "r": frozenset({"access", "use", "disclose"}),
    "u": frozenset({"correct"}),
    "d": frozenset({"correct"}),
    "s": frozenset({"access", "use", "disclose"}),
}


#: All that a provision may name.
ACTION_CODES = frozenset[str]().union(*_ACTIONS.values())


def _is_actor(actor: str, asking: Asking, *, is_deny: bool) -> bool:
    if actor.startswith(("Group/", "CareTeam/")):
        members = asking.groups.get(actor, frozenset())
        # A list that resolves to nobody permits nobody and denies everybody.
        return bool(members & asking.identities) if members else is_deny
    return actor in asking.identities


def _data(provision: Mapping[str, Any], *, is_deny: bool) -> Clause:
    """Return the condition that the criteria on data are: AND between criteria, OR within one."""
    parts: list[Clause] = [EVERYTHING]
    labels = provision.get("securityLabel", ())
    if labels:
        parts.append(either(*(_label(label, is_deny=is_deny) for label in labels)))
    classes = [_class(coding) for coding in provision.get("class", ())]
    if classes:
        parts.append(any_of("_sec.cls", classes))
    data = provision.get("data", ())
    if data:
        parts.append(either(*(_datum(datum) for datum in data)))
    return both(*parts)


def _label(label: Mapping[str, Any], *, is_deny: bool) -> Clause:
    """Return the condition of a label; confidentiality is ordered: permit up to it, deny from it on."""
    code = label.get("code", "")
    if label.get("system") == CONFIDENTIALITY and code in LEVELS:
        level = LEVELS[code]
        return unless(AtMost("_sec.conf", level - 1)) if is_deny else AtMost("_sec.conf", level)
    return any_of("_sec.lab", [code])


def _class(coding: Mapping[str, Any]) -> str:
    code = str(coding.get("code", ""))
    return code if coding.get("system") == _RESOURCE_TYPES else f"DocumentReference#{code}"


def _datum(datum: Mapping[str, Any]) -> Clause:
    reference = str(datum.get("reference", {}).get("reference", ""))
    if datum.get("meaning") == "authoredby":
        return any_of("_sec.auth", [reference])
    type_, _, id_ = reference.partition("/")
    return both(any_of("_id", [id_]), any_of("_sec.cls", [type_]))
