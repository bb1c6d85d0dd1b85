"""Which Consents this server can enforce: one that it would only partly obey is refused with the reason.

https://hl7.org/fhir/R4/consent.html
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from fhir_server.access.consent import (
    ACTION_CODES,
    ACTIONS,
    BASE_POLICIES,
    PCF,
    is_in_force,
)
from fhir_server.access.data_criteria import MEANINGS, RESOURCE_TYPES
from fhir_server.access.keys import CONFIDENTIALITY, LEVELS, PROFESSIONS, actor_names
from fhir_server.access.mentions import relative
from fhir_server.access.purposes import FORBIDDEN, is_known
from fhir_server.access.rules import RULES, Rule
from fhir_server.outcome import Issue

#: Whom a provision may name.
_ACTORS = (
    "Practitioner/", "PractitionerRole/", "Organization/", "CareTeam/", "Group/", "Device/", "RelatedPerson/",
    "Patient/",
)  # fmt: skip
#: Roles of an actor that say "who gets to see it"; of who else is meant a server can't stop anybody.
_RECIPIENTS = frozenset({"IRCP", "PRCP", "GRANTEE", "DELEGATEE"})
#: Whose writing a Consent can allow or forbid. A professional deposits whatever it says (R1111-47).
_WRITERS = ("Device/", "RelatedPerson/")


def unenforceable(consent: Mapping[str, Any]) -> list[Issue]:
    """Return why a Consent can't be enforced, an issue for each place; none for one that decides nothing."""
    if not is_in_force(consent):
        return []
    issues = [
        _issue(f"policy[{n}].uri", f"It is none of {', '.join(BASE_POLICIES)}.")
        for n, policy in enumerate(consent.get("policy", ()))
        if policy.get("uri", "").startswith(PCF) and policy["uri"].removeprefix(PCF) not in BASE_POLICIES
    ]
    if "modifierExtension" in consent:
        issues.append(_issue("modifierExtension", "Leave it out: its meaning is not known here."))
    if "provision" in consent:
        patient = consent.get("patient", {}).get("reference", "")
        issues += _of(consent["provision"], "provision", patient)
    return issues


def _of(provision: Mapping[str, Any], place: str, patient: str) -> Iterator[Issue]:
    if "modifierExtension" in provision:
        yield _issue(f"{place}.modifierExtension", "Leave it out: its meaning is not known here.")
    is_permit = provision.get("type") == "permit"
    for n, actor in enumerate(provision.get("actor", ())):
        yield from _of_actor(actor, f"{place}.actor[{n}]", patient, is_permit=is_permit)
    yield from _of_actions(provision, place)
    yield from _of_purposes(provision, place, is_permit=is_permit)
    for n, coding in enumerate(provision.get("securityLabel", ())):
        if not _is_coded(coding):
            yield _issue(f"{place}.securityLabel[{n}]", "A label has a system and a code.")
        elif coding["system"] == CONFIDENTIALITY and coding["code"] not in LEVELS:
            yield _issue(f"{place}.securityLabel[{n}]", f"It is none of {', '.join(LEVELS)}.")
    for n, coding in enumerate(provision.get("class", ())):
        yield from _of_class(coding, f"{place}.class[{n}]")
    for n, concept in enumerate(provision.get("code", ())):
        codings = concept.get("coding", ())
        if not codings or not all(map(_is_coded, codings)):
            yield _issue(
                f"{place}.code[{n}]", "Give each code with its system; a text can't be found in data."
            )
    for n, datum in enumerate(provision.get("data", ())):
        yield from _of_datum(datum, f"{place}.data[{n}]")
    for n, nested in enumerate(provision.get("provision", ())):
        yield from _of(nested, f"{place}.provision[{n}]", patient)


def _of_actor(actor: Mapping[str, Any], place: str, patient: str, *, is_permit: bool) -> Iterator[Issue]:
    codings = actor.get("role", {}).get("coding", ())
    roles = {c.get("code") for c in codings if c.get("system") != PROFESSIONS}
    if not roles <= _RECIPIENTS:
        text = f"Its role can be one of {', '.join(sorted(_RECIPIENTS))}, or a profession of {PROFESSIONS}."
        yield _issue(f"{place}.role", text)
    reference = actor.get("reference", {}).get("reference")
    if reference is None:
        if not actor_names(actor):
            yield _issue(
                f"{place}.reference", f"Name the actor by a reference, or by a role of {PROFESSIONS}."
            )
        return
    if len(roles) < len(codings):
        yield _issue(
            f"{place}.role", "A person and a profession can't be named in one actor: use two provisions."
        )
    if relative(reference) != reference or not reference.startswith(_ACTORS):
        text = f"Name the actor by a reference to one of {', '.join(a[:-1] for a in _ACTORS)}."
        yield _issue(f"{place}.reference", text)
    elif reference == patient and not is_permit:
        yield _issue(f"{place}.reference", "Nobody can be denied their own health space.")
    elif reference.startswith("Patient/") and reference != patient and is_permit:
        text = "Another person reads as a representative: name a RelatedPerson."
        yield _issue(f"{place}.reference", text)


def _of_actions(provision: Mapping[str, Any], place: str) -> Iterator[Issue]:
    actors = [name for actor in provision.get("actor", ()) for name in actor_names(actor)]
    for n, action in enumerate(provision.get("action", ())):
        codes = {coding.get("code") for coding in action.get("coding", ())}
        if not codes or not codes <= ACTION_CODES:
            yield _issue(f"{place}.action[{n}]", f"It can be one of {', '.join(sorted(ACTION_CODES))}.")
        elif not codes <= ACTIONS["r"] and not (actors and all(name.startswith(_WRITERS) for name in actors)):
            text = "Professionals deposit whatever a Consent says: name Devices or RelatedPersons as actors."
            yield _issue(f"{place}.action[{n}]", text)


def _of_purposes(provision: Mapping[str, Any], place: str, *, is_permit: bool) -> Iterator[Issue]:
    purposes = {str(purpose.get("code")) for purpose in provision.get("purpose", ())}
    if is_permit and purposes & FORBIDDEN:
        text = "Nobody can allow insurers, employers or marketing to read a health space."
        yield _issue(f"{place}.purpose", text)
    if unknown := sorted(purpose for purpose in purposes if not is_known(purpose)):
        yield _issue(f"{place}.purpose", f"{', '.join(unknown)} is no purpose of use of v3-ActReason.")


def _of_class(coding: Mapping[str, Any], place: str) -> Iterator[Issue]:
    if not _is_coded(coding):
        yield _issue(place, "A class has a system and a code.")
    elif coding["system"] == RESOURCE_TYPES:
        if RULES.get(coding["code"]) not in (Rule.PATIENT, Rule.SHARED):
            yield _issue(place, "Of this type nothing stands in a health space.")
    elif coding["system"] == "urn:ietf:rfc:3986":
        yield _issue(place, "Name a resource type, or a type of documents with its code system.")


def _of_datum(datum: Mapping[str, Any], place: str) -> Iterator[Issue]:
    if datum.get("meaning") not in MEANINGS:
        yield _issue(f"{place}.meaning", f"It can be one of {', '.join(MEANINGS)}.")
    reference = datum.get("reference", {}).get("reference", "")
    if relative(reference) != reference:
        yield _issue(
            f"{place}.reference", "Name a resource of this server by a reference of the form Type/id."
        )


def _is_coded(coding: Mapping[str, Any]) -> bool:
    return bool(coding.get("system")) and bool(coding.get("code"))


def _issue(place: str, remedy: str) -> Issue:
    text = f"This can't be enforced here, so the Consent was not stored. {remedy}"
    return Issue("error", "business-rule", text, f"Consent.{place}", "consent-enforceable")
