"""What a Consent says to a caller: nested exceptions, deny wins, lists that resolve to nobody. Checklist C01-C06, C09."""

from __future__ import annotations

from typing import Any

import pytest

from fhir_server.access.consent import Asking, Verdict, joined, verdict
from fhir_server.access.policy import EVERYTHING, NOTHING, any_of

CONFIDENTIALITY = "http://terminology.hl7.org/CodeSystem/v3-Confidentiality"
DOCUMENTS = {
    "report": {
        "_id": "r1",
        "p": "a",
        "_sec": {"cls": ["DocumentReference", "DocumentReference#11488-4"], "conf": 3},
    },
    "psychiatry": {"_id": "r2", "p": "a", "_sec": {"cls": ["DocumentReference"], "conf": 4, "lab": ["PSY"]}},
    "pulse": {
        "_id": "o1",
        "p": "a",
        "_sec": {"cls": ["Observation"], "conf": 3, "auth": ["Organization/lab"]},
    },
}
GP = Asking(
    frozenset({"Practitioner/gp", "Organization/practice"}),
    frozenset({"TREAT", "PurposeOfUse"}),
    "r",
    "2026-03-10",
)


def consent(provision: dict[str, Any] | None, **more: Any) -> dict[str, Any]:
    base = {"status": "active", "scope": {"coding": [{"code": "patient-privacy"}]}}
    return {**base, **({} if provision is None else {"provision": provision}), **more}


def actor(reference: str) -> dict[str, Any]:
    return {"reference": {"reference": reference}}


def shown(found: Verdict, base: Any) -> set[str]:
    clause = found.over(base)
    return {name for name, document in DOCUMENTS.items() if clause.admits(document)}


ALL = set(DOCUMENTS)
#: name: provision, what is shown when nothing is shown otherwise, what is shown when all is.
CASES: dict[str, tuple[dict[str, Any], set[str], set[str]]] = {
    "permit": ({"type": "permit"}, ALL, ALL),
    "deny": ({"type": "deny"}, set(), set()),
    "no type": ({}, set(), ALL),
    "permit an actor": ({"type": "permit", "actor": [actor("Practitioner/gp")]}, ALL, ALL),
    "permit another": ({"type": "permit", "actor": [actor("Practitioner/x")]}, set(), ALL),
    "deny the organisation": ({"type": "deny", "actor": [actor("Organization/practice")]}, set(), set()),
    "permit but deny an actor": (
        {"type": "permit", "provision": [{"type": "deny", "actor": [actor("Practitioner/gp")]}]},
        set(),
        set(),
    ),
    "deny but permit a purpose": (
        {"type": "deny", "provision": [{"type": "permit", "purpose": [{"code": "TREAT"}]}]},
        ALL,
        ALL,
    ),
    "three levels": (
        {
            "type": "permit",
            "provision": [
                {
                    "type": "deny",
                    "class": [{"system": "http://hl7.org/fhir/resource-types", "code": "DocumentReference"}],
                    "provision": [
                        {"type": "permit", "class": [{"system": "http://loinc.org", "code": "11488-4"}]}
                    ],
                }
            ],
        },
        {"report", "pulse"},
        {"report", "pulse"},
    ),
    "sibling permit and deny": (
        {"provision": [{"type": "permit"}, {"type": "deny", "securityLabel": [{"code": "PSY"}]}]},
        {"report", "pulse"},
        {"report", "pulse"},
    ),
    "deny from a confidentiality on": (
        {"type": "deny", "securityLabel": [{"system": CONFIDENTIALITY, "code": "R"}]},
        set(),
        {"report", "pulse"},
    ),
    "permit up to a confidentiality": (
        {"type": "permit", "securityLabel": [{"system": CONFIDENTIALITY, "code": "N"}]},
        {"report", "pulse"},
        ALL,
    ),
    "one resource": (
        {"type": "deny", "data": [{"meaning": "instance", "reference": {"reference": "Observation/o1"}}]},
        set(),
        {"report", "psychiatry"},
    ),
    "of an author": (
        {
            "type": "permit",
            "data": [{"meaning": "authoredby", "reference": {"reference": "Organization/lab"}}],
        },
        {"pulse"},
        ALL,
    ),
    "an empty group permits nobody": ({"type": "permit", "actor": [actor("Group/g")]}, set(), ALL),
    "an empty group denies everybody": ({"type": "deny", "actor": [actor("Group/g")]}, set(), set()),
    "another action": ({"type": "deny", "action": [{"coding": [{"code": "collect"}]}]}, set(), ALL),
    "before its period": ({"type": "deny", "period": {"start": "2026-03-11"}}, set(), ALL),
    "on its last day": ({"type": "deny", "period": {"end": "2026-03-10"}}, set(), set()),
    "after its period": ({"type": "deny", "period": {"end": "2026-02"}}, set(), ALL),
}


@pytest.mark.parametrize(("provision", "of_nothing", "of_all"), CASES.values(), ids=CASES)
def test_a_provision_permits_and_denies_what_it_says(provision, of_nothing, of_all):
    found = verdict(consent(provision), GP)
    assert shown(found, NOTHING) == of_nothing
    assert shown(found, EVERYTHING) == of_all


@pytest.mark.parametrize("status", ["draft", "proposed", "inactive", "rejected", "entered-in-error"])
def test_a_consent_that_is_not_active_says_nothing(status):
    assert verdict(consent({"type": "deny"}, status=status), GP) == Verdict()


def test_the_organ_donation_wish_never_changes_access():
    wish = consent({"type": "deny"}, scope={"coding": [{"code": "adr"}]})
    assert verdict(wish, GP) == Verdict()


def test_among_several_consents_deny_wins():
    permit, deny = consent({"type": "permit"}), consent({"type": "deny", "securityLabel": [{"code": "PSY"}]})
    for order in ([permit, deny], [deny, permit]):
        found = joined(verdict(each, GP) for each in order)
        assert shown(found, NOTHING) == {"report", "pulse"}


def test_a_consent_never_widens_what_is_asked_of_both_sides():
    found = verdict(consent({"type": "permit"}), GP)
    assert (
        found.over(any_of("p", ["a"])) == EVERYTHING
    )  # the caller of ``over`` intersects with law and labels
