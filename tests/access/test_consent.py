"""What a Consent says to a caller: nested exceptions, deny wins, lists that resolve to nobody. Checklist C01-C06, C09."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from fhir_server.access.consent import Asking, Verdict, base_policy, counting, has_actions, joined, verdict
from fhir_server.access.keys import PROFESSIONS
from fhir_server.access.mentions import number_of
from fhir_server.access.policy import EVERYTHING, NOTHING, any_of

CONFIDENTIALITY = "http://terminology.hl7.org/CodeSystem/v3-Confidentiality"
ACT = "http://terminology.hl7.org/CodeSystem/v3-ActCode"
DOCUMENTS = {
    "report": {
        "_id": "r1",
        "p": "a",
        "_sec": {
            "cls": ["DocumentReference", "http://loinc.org|11488-4"],
            "conf": 3,
            "from": 1577836800000,
            "to": 1577923199999,
            "has": [number_of("Observation/o1")],
        },
    },
    "psychiatry": {
        "_id": "r2",
        "p": "a",
        "_sec": {"cls": ["DocumentReference"], "conf": 4, "lab": [f"{ACT}|PSY"]},
    },
    "pulse": {
        "_id": "o1",
        "p": "a",
        "_sec": {
            "cls": ["Observation"],
            "conf": 3,
            "auth": ["Organization/lab"],
            "from": 1609459200000,
            "to": 1609545599999,
            "has": [number_of("http://loinc.org|8867-4")],
        },
    },
}
GP = Asking(
    frozenset({"Practitioner/gp", "Organization/practice"}),
    frozenset({"TREAT", "PurposeOfUse"}),
    "r",
    1_773_144_000_000,  # 2026-03-10T12:00Z
    "10",
    {"Group/full": frozenset({"Practitioner/gp"}), "Group/others": frozenset({"Practitioner/z"})},
    {"DocumentReference/r1": frozenset({"Observation/o1"}), "DocumentReference/gone": None},
)


def consent(provision: dict[str, Any] | None, **more: Any) -> dict[str, Any]:
    base = {"status": "active", "scope": {"coding": [{"code": "patient-privacy"}]}}
    return {**base, **({} if provision is None else {"provision": provision}), **more}


def actor(reference: str) -> dict[str, Any]:
    return {"reference": {"reference": reference}}


def datum(meaning: str, reference: str) -> dict[str, Any]:
    return {"meaning": meaning, "reference": {"reference": reference}}


def profession(code: str) -> dict[str, Any]:
    return {"role": {"coding": [{"system": PROFESSIONS, "code": code}]}}


RESOURCES = "http://hl7.org/fhir/resource-types"


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
        {
            "provision": [
                {"type": "permit"},
                {"type": "deny", "securityLabel": [{"system": ACT, "code": "PSY"}]},
            ]
        },
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
    "one resource with what it refers to": (
        {"type": "deny", "data": [datum("related", "DocumentReference/r1")]},
        set(),
        {"psychiatry"},
    ),
    "permit one with what it refers to": (
        {"type": "permit", "data": [datum("related", "DocumentReference/r1")]},
        {"report", "pulse"},
        ALL,
    ),
    "deny what one referred to that is gone": (
        {"type": "deny", "data": [datum("related", "DocumentReference/gone")]},
        set(),
        set(),
    ),
    "permit what one referred to that is gone": (
        {"type": "permit", "data": [datum("related", "DocumentReference/gone")]},
        set(),
        ALL,
    ),
    "one resource with what refers to it": (
        {"type": "deny", "data": [datum("dependents", "Observation/o1")]},
        set(),
        {"psychiatry"},
    ),
    "two data": (
        {
            "type": "deny",
            "data": [datum("instance", "Observation/o1"), datum("instance", "DocumentReference/r2")],
        },
        set(),
        {"report"},
    ),
    "another type with this id": ({"type": "deny", "data": [datum("instance", "Condition/o1")]}, set(), ALL),
    "a code": (
        {"type": "deny", "code": [{"coding": [{"system": "http://loinc.org", "code": "8867-4"}]}]},
        set(),
        {"report", "psychiatry"},
    ),
    "one of two codes": (
        {
            "type": "permit",
            "code": [
                {"coding": [{"system": "http://loinc.org", "code": "8867-4"}]},
                {"coding": [{"system": "http://loinc.org", "code": "x"}]},
            ],
        },
        {"pulse"},
        ALL,
    ),
    "a code of another system": (
        {"type": "deny", "code": [{"coding": [{"system": "urn:x", "code": "8867-4"}]}]},
        set(),
        ALL,
    ),
    "denied data of a period, and those without date": (
        {"type": "deny", "dataPeriod": {"start": "2020-01-01", "end": "2020-12-31"}},
        set(),
        {"pulse"},
    ),
    "denied until a day": ({"type": "deny", "dataPeriod": {"end": "2020-01-01"}}, set(), {"pulse"}),
    "denied until the day before": (
        {"type": "deny", "dataPeriod": {"end": "2019-12-31"}},
        set(),
        {"report", "pulse"},
    ),
    "denied from a day": ({"type": "deny", "dataPeriod": {"start": "2021-01-01"}}, set(), {"report"}),
    "denied from the day after": (
        {"type": "deny", "dataPeriod": {"start": "2021-01-02"}},
        set(),
        {"report", "pulse"},
    ),
    "permitted data of a period": (
        {"type": "permit", "dataPeriod": {"start": "2020", "end": "2020"}},
        {"report"},
        ALL,
    ),
    "permitted data that begin before": (
        {"type": "permit", "dataPeriod": {"start": "2020-01-02"}},
        {"pulse"},
        ALL,
    ),
    "permitted data that end after": ({"type": "permit", "dataPeriod": {"end": "2020"}}, {"report"}, ALL),
    "criteria of two kinds": (
        {
            "type": "deny",
            "dataPeriod": {"start": "2021"},
            "class": [{"system": RESOURCES, "code": "DocumentReference"}],
        },
        set(),
        {"report", "pulse"},
    ),
    "a member of a group": ({"type": "permit", "actor": [actor("Group/full")]}, ALL, ALL),
    "no member of a group": ({"type": "permit", "actor": [actor("Group/others")]}, set(), ALL),
    "deny a group of others": ({"type": "deny", "actor": [actor("Group/others")]}, set(), ALL),
    "one of two actors": (
        {"type": "deny", "actor": [actor("Group/others"), actor("Practitioner/gp")]},
        set(),
        set(),
    ),
    "a profession": ({"type": "permit", "actor": [profession("10")]}, ALL, ALL),
    "another profession": ({"type": "permit", "actor": [profession("60")]}, set(), ALL),
    "a reading action": ({"type": "deny", "action": [{"coding": [{"code": "access"}]}]}, set(), set()),
    "another purpose": ({"type": "deny", "purpose": [{"code": "HRESCH"}]}, set(), ALL),
    "on its first day": ({"type": "deny", "period": {"start": "2026-03-10"}}, set(), set()),
    "until an hour before": ({"type": "deny", "period": {"end": "2026-03-10T12:30:00+01:00"}}, set(), ALL),
    "from an hour later": ({"type": "deny", "period": {"start": "2026-03-10T12:30:00Z"}}, set(), ALL),
    "deny from very restricted on": (
        {"type": "deny", "securityLabel": [{"system": CONFIDENTIALITY, "code": "V"}]},
        set(),
        ALL,
    ),
    "a code that looks like a confidentiality": (
        {"type": "deny", "securityLabel": [{"system": ACT, "code": "R"}]},
        set(),
        ALL,
    ),
    "nested without type under deny": (
        {
            "type": "deny",
            "provision": [
                {"provision": [{"type": "permit", "securityLabel": [{"system": ACT, "code": "PSY"}]}]}
            ],
        },
        {"psychiatry"},
        {"psychiatry"},
    ),
    "the exception of another caller": (
        {"type": "deny", "provision": [{"type": "permit", "actor": [actor("Practitioner/z")]}]},
        set(),
        set(),
    ),
    "a permit within a permit is nothing more": (
        {
            "type": "permit",
            "class": [{"system": RESOURCES, "code": "Observation"}],
            "provision": [{"type": "permit"}],
        },
        {"pulse"},
        ALL,
    ),
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
    permit, deny = (
        consent({"type": "permit"}),
        consent({"type": "deny", "securityLabel": [{"system": ACT, "code": "PSY"}]}),
    )
    for order in ([permit, deny], [deny, permit]):
        found = joined(verdict(each, GP) for each in order)
        assert shown(found, NOTHING) == {"report", "pulse"}


def test_a_consent_never_widens_what_is_asked_of_both_sides():
    found = verdict(consent({"type": "permit"}), GP)
    assert (
        found.over(any_of("p", ["a"])) == EVERYTHING
    )  # the caller of ``over`` intersects with law and labels


def test_c03_who_has_no_business_there_is_brought_in_by_name_only():
    stranger = replace(GP, unnamed=frozenset({"deny"}))
    everybody = consent(
        {"type": "permit", "provision": [{"type": "deny", "actor": [actor("Practitioner/z")]}]}
    )
    assert shown(verdict(everybody, GP), NOTHING) == ALL
    assert shown(verdict(everybody, stranger), NOTHING) == set()
    named = consent(
        {"type": "permit", "actor": [actor("Practitioner/gp")], "provision": [{"type": "deny", "code": []}]}
    )
    assert shown(verdict(named, stranger), NOTHING) == set()
    inner = consent({"actor": [actor("Practitioner/gp")], "provision": [{"type": "permit"}]})
    assert shown(verdict(inner, stranger), NOTHING) == ALL
    assert shown(verdict(consent({"type": "deny"}), stranger), EVERYTHING) == set()


def test_a_representative_is_stopped_only_by_name():
    parent = replace(GP, unnamed=frozenset())
    assert shown(verdict(consent({"type": "deny"}), parent), EVERYTHING) == ALL
    assert (
        shown(verdict(consent({"type": "deny", "actor": [actor("Practitioner/gp")]}), parent), EVERYTHING)
        == set()
    )


@pytest.mark.parametrize(
    ("letter", "code", "is_denied"),
    [("r", "use", True), ("r", "disclose", True), ("r", "correct", False), ("c", "collect", True), ("c", "access", False),
     ("u", "correct", True), ("u", "collect", False)],
)  # fmt: skip
def test_an_action_is_one_of_the_letters(letter, code, is_denied):
    one = consent({"type": "deny", "action": [{"coding": [{"code": code}]}]})
    assert has_actions([one])
    found = shown(verdict(one, replace(GP, letter=letter)), EVERYTHING)
    assert found == (set() if is_denied else ALL)


def test_consents_without_actions_say_the_same_of_all():
    assert not has_actions([consent(None), consent({"provision": [{"type": "deny"}]})])
    assert has_actions([consent({"provision": [{"provision": [{"action": []}]}]})])


def written(at: str, name: str | None, **more: Any) -> dict[str, Any]:
    names = {"identifier": [{"system": "urn:x", "value": name}]} if name else {}
    return consent(None, meta={"lastUpdated": at}, **names, **more)


def test_the_last_of_one_name_counts():
    first, last, other = written("2026-01-01", "a"), written("2026-01-02", "a"), written("2025-01-01", "b")
    withdrawn, nameless = written("2026-01-03", "a", status="inactive"), written("2024-01-01", None)
    assert counting([first, last, other, withdrawn, nameless]) == [last, other, nameless]
    assert counting([nameless, nameless]) == [nameless, nameless]


def test_names_are_of_a_system_and_all_that_are_taken_count():
    other = consent(None, identifier=[{"system": "urn:y", "value": "a"}], meta={"lastUpdated": "2020"})
    nowhere = consent(None, identifier=[{"value": "a"}, {"system": "urn:x"}], meta={"lastUpdated": "2019"})
    first, second, old = written("2026-01-03", "a"), written("2026-01-02", "b"), written("2026-01-01", "a")
    assert counting([first, second, old, other, nowhere]) == [first, second, other, nowhere]
    assert counting([consent(None), first]) == [first, consent(None)]


def test_c02_unverified_consents_count_only_where_nobody_asks():
    verified = consent(None, verification=[{"verified": False}, {"verified": True}])
    unverified = consent(None, verification=[{"verified": False}])
    assert counting([verified, unverified, consent(None)], verified=True) == [verified]
    assert len(counting([verified, unverified, consent(None)])) == 3


PCF = "https://profiles.ihe.net/ITI/PCF/Policy-"


@pytest.mark.parametrize(
    ("policies", "purpose", "is_open"),
    [
        ([], "TREAT", True), (["basic-normal"], "TREAT", True), (["all-normal"], "TREAT", True),
        (["break-glass-only"], "TREAT", False), (["break-glass-only"], "BTG", True), (["break-glass-only"], "ETREAT", True),
        (["deny"], "BTG", False), (["basic-normal", "deny"], "TREAT", False), (["unheard"], "TREAT", True),
    ],
)  # fmt: skip
def test_the_most_restrictive_base_policy_holds(policies, purpose, is_open):
    asking = replace(GP, purposes=frozenset({purpose}))
    named = [consent(None, policy=[{"uri": f"{PCF}{name}"}]) for name in policies]
    assert (base_policy(named, asking, EVERYTHING) == EVERYTHING) is is_open
    ruled = [consent(None, policyRule={"coding": [{"code": name}]}) for name in policies]
    assert (base_policy(ruled, asking, EVERYTHING) == EVERYTHING) is is_open
    assert base_policy(named, asking, NOTHING) == NOTHING


def test_policies_without_uri_and_rules_without_code_say_nothing():
    assert base_policy([consent(None, policy=[{"authority": "x"}])], GP, EVERYTHING) == EVERYTHING
    assert (
        base_policy([consent(None, policyRule={"coding": [{"display": "x"}], "text": "x"})], GP, EVERYTHING)
        == EVERYTHING
    )
    assert base_policy([consent(None, policyRule={"text": "x"})], GP, EVERYTHING) == EVERYTHING


def test_c09_a_patient_is_of_no_time():
    found = verdict(consent({"type": "deny", "dataPeriod": {"start": "2020"}}), GP).over(EVERYTHING)
    assert found.admits({"_id": "a", "p": "a", "_sec": {"cls": ["Patient"], "conf": 3}})
    assert not found.admits({"_id": "a", "p": "a", "_sec": {"cls": ["Observation"], "conf": 3}})


def test_c09_a_copy_in_the_history_is_the_same_resource():
    one = consent({"type": "deny", "data": [datum("instance", "Observation/o1")]})
    found = verdict(one, GP).over(EVERYTHING)
    copy = {"_id": "Observation/o1/00000001", "p": "a", "_sec": {"cls": ["Observation"]}}
    assert not found.admits({**copy, "id": "o1"})
    assert found.admits({**copy, "id": "o2"})


@pytest.mark.parametrize(("code", "is_open"), [("OPTOUT", False), ("OPTOUTE", False), ("OPTIN", True)])
def test_opting_out_is_a_base_policy(code, is_open):
    one = consent(None, policyRule={"coding": [{"code": code}]})
    assert (base_policy([one], GP, EVERYTHING) == EVERYTHING) is is_open
