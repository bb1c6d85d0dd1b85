"""Business rules ``hs-b-*``: what a profile can't say because it needs another resource, the clock or a setting.

Each holds for resources that claim our profiles only. Issues have the rule's key.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from typing import Any

from fhir_server.messages import say
from fhir_server.outcome import Issue
from fhir_server.space import documents
from fhir_server.space.names import PROFILE, claims

WISH, OPPOSITION, CONTACT = "hs-organ-donation-wish", "hs-space-opposition", "hs-emergency-contact"
_PRODUCTION = ("urn:oid:1.2.250.1.213.1.4.8", "urn:oid:1.2.250.1.213.1.4.9")
_TEST = ("urn:oid:1.2.250.1.213.1.4.10", "urn:oid:1.2.250.1.213.1.4.11")
#: From this age on a person states the wish alone.
WISH_AGE = 13
_REPRESENTATIVES = frozenset({"GUARD", "TUTEUR"})
_PRIORITY = f"{PROFILE}hs-contact-priority"


def held_names(resource: Mapping[str, Any]) -> dict[str, str]:
    """Return the names that no two resources of the server hold at once, each with the key of its rule."""
    type_ = resource["resourceType"]
    if type_ == "Patient" and claims(resource, "hs-patient"):
        return {
            f"ins|{one['system']}|{one.get('value')}": "hs-b-ins-unique"
            for one in resource.get("identifier", ())
            if one.get("use") == "official" and one.get("system") in (*_PRODUCTION, *_TEST)
        }
    if type_ == "Consent" and claims(resource, WISH) and resource.get("status") == "active":
        return {f"wish|{_patient(resource)}": "hs-b-wish-one"}
    if type_ == "ExplanationOfBenefit" and claims(resource, "hs-reimbursement"):
        insurer = resource.get("insurer", {}).get("reference")
        return {
            f"statement|{insurer}|{one.get('system')}|{one.get('value')}": "hs-b-eob-unique"
            for one in resource.get("identifier", ())
        }
    if type_ == "DocumentReference" and documents.is_ours(resource):
        return documents.held_names(resource)
    return {}


def _patient(resource: Mapping[str, Any]) -> str:
    return str(resource.get("patient", {}).get("reference", ""))


def is_opposition(resource: Mapping[str, Any]) -> bool:
    """Tell whether a resource is a citizen's opposition to the opening of the space, in force or not."""
    return resource["resourceType"] == "Consent" and claims(resource, OPPOSITION)


def identity_issues(patient: Mapping[str, Any]) -> list[Issue]:
    """Return what is wrong with a Patient where only real identities are taken."""
    if not claims(patient, "hs-patient"):
        return []
    text = "Test and demonstration identities (INS) are not taken here."
    return [
        _issue(text, f"Patient.identifier[{number}].system", "hs-b-test-ins")
        for number, one in enumerate(patient.get("identifier", ()))
        if one.get("system") in _TEST
    ]


def wish_issues(
    wish: Mapping[str, Any], birth_date: str | None, performer: Mapping[str, Any] | None
) -> list[Issue]:
    """Return whether somebody may state a wish; ``performer`` is the RelatedPerson who does, if one does."""
    place = "Consent.performer"
    if performer is not None:
        if is_representative(performer):
            return []
        return [
            _issue("Only a representative (GUARD, TUTEUR) states another's wish.", place, "hs-b-wish-age")
        ]
    age = _age(birth_date, str(wish.get("dateTime", "")))
    if age is None or age >= WISH_AGE:
        return []
    text = say(
        "A person states the wish alone from {years} years on; before, a representative does.", years=WISH_AGE
    )
    return [_issue(text, place, "hs-b-wish-age")]


def is_representative(person: Mapping[str, Any]) -> bool:
    """Tell whether a resource is a RelatedPerson who acts for the patient: GUARD, TUTEUR."""
    if person.get("resourceType") != "RelatedPerson":
        return False
    codes = {
        coding.get("code")
        for concept in person.get("relationship", ())
        for coding in concept.get("coding", ())
    }
    return bool(codes & _REPRESENTATIVES)


def _age(birth_date: str | None, at: str) -> int | None:
    try:
        born, day = date.fromisoformat(birth_date or ""), date.fromisoformat(at[:10])
    except ValueError:
        return None
    return day.year - born.year - ((day.month, day.day) < (born.month, born.day))


def contact_issues(contact: Mapping[str, Any], others: Iterable[Mapping[str, Any]], most: int) -> list[Issue]:
    """Return what is wrong with an emergency contact beside the patient's other active ones."""
    if not contact.get("active"):
        return []
    beside = [one for one in others if claims(one, CONTACT) and one.get("active")]
    found = []
    if len(beside) >= most:
        text = say(
            "A citizen has {most} active emergency contacts at most: end one first (active false).", most=most
        )
        found.append(_issue(text, "RelatedPerson.active", "hs-b-contacts-max"))
    own = _priority(contact)
    if own is not None and own in map(_priority, beside):
        text = "Another active contact of this citizen has the same priority."
        found.append(_issue(text, "RelatedPerson.extension", "hs-b-contact-priority"))
    return found


def _priority(contact: Mapping[str, Any]) -> Any:
    extensions: Sequence[Mapping[str, Any]] = contact.get("extension", ())
    return next((e.get("valuePositiveInt") for e in extensions if e.get("url") == _PRIORITY), None)


def _issue(text: str, place: str, rule: str) -> Issue:
    return Issue("error", "business-rule", text, place, rule)
