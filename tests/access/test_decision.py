"""From a caller, a type and a letter to what is reached: each step narrows. Checklist C07, C10, C14, C15, L57, L60."""

from __future__ import annotations

from typing import Any

import pytest

from fhir_server.access.caller import ANONYMOUS, Caller, Kind
from fhir_server.access.context import REFER, AccessContext
from fhir_server.access.decision import (
    LETTERS,
    PAYER_TYPES,
    PRIVILEGED,
    Facts,
    bounds,
    clearance,
    is_allowed,
    policy_of,
    visible,
)
from fhir_server.access.keys import RULES_VERSION
from fhir_server.access.policy import EVERYTHING, NOTHING, any_of, none_of
from fhir_server.access.rules import RULES, Rule, rule
from fhir_server.access.scopes import parse

TYPES = (*RULES, "Basic")
NO_FACTS = Facts()
HIDE_T = none_of("_id", ["t"])


def caller(kind: Kind, scope: str = "user/*.cruds patient/*.cruds system/*.cruds", **more: Any) -> Caller:
    subject = {Kind.CITIZEN: "Patient/a", Kind.APP: "Device/app", Kind.REPRESENTATIVE: "RelatedPerson/r"}
    return Caller(
        kind, more.pop("subject", subject.get(kind, "Practitioner/x")), scopes=parse(scope, TYPES), **more
    )


def context(who: Caller, facts: Facts = NO_FACTS) -> AccessContext:
    def condition(_type: str, scope: Any) -> Any:
        return any_of("i.code", [dict(scope.conditions)["code"]])

    return AccessContext("x", policy_of(who, facts, condition), caller=who)


def document(home: str | None = "a", id_: str = "d", **keys: Any) -> dict[str, Any]:
    made = {"cls": ["Observation"], "conf": 3, "ver": RULES_VERSION, **keys}
    return {"_id": id_, "_sec": made, **({} if home is None else {"p": home}), "i": {"code": "c"}}


CITIZEN = caller(Kind.CITIZEN, patient="a")
OWN = Facts({"a": EVERYTHING}, own=frozenset({"a"}))
TREATS = Facts({"a": EVERYTHING, "b": HIDE_T})
DOCTOR = caller(Kind.PROFESSIONAL, organization="Organization/o")
APP = caller(Kind.APP, patient="a")
LAB = caller(Kind.SYSTEM, subject="Device/lab", organization="Organization/lab")
PAYER = caller(Kind.PAYER_FEED, subject="Device/payer")
PARENT = caller(Kind.REPRESENTATIVE)
OPERATOR = caller(Kind.OPERATOR)
AUDITOR = caller(Kind.AUDITOR)

#: Who asks, the facts, what of an Observation is seen: the documents by name.
DOCUMENTS = {
    "own": document(),
    "other's": document("b"),
    "t of b": document("b", "t"),
    "stranger's": document("z"),
    "homeless": document(None, auth=["Organization/o"]),
    "homeless own": document(None, auth=["Patient/a", "Device/app"]),
    "restricted": document(conf=4),
    "very restricted": document(conf=5),
    "low": document(conf=0),
    "masked": document(mask=["professional"]),
    "masked to others": document(mask=["third-party"]),
    "delayed": document(hid=["citizen"]),
    "secret": document(hid=["representative"]),
    "deposited": document("z", auth=["Organization/o", "Practitioner/x"], conf=5, mask=["professional"]),
    "by the lab": document("z", auth=["Organization/lab"]),
    "by the person": document("z", auth=["Practitioner/x"]),
    "of two": document(also=["Patient/b"]),
    "old keys": document(ver=RULES_VERSION - 1),
    "no keys": {"_id": "d", "p": "a"},
    "no confidentiality": {"_id": "d", "p": "a", "_sec": {"ver": RULES_VERSION}},
}
SEEN = [
    ("citizen", CITIZEN, OWN, "own restricted|very restricted|low|masked|masked to others|secret|homeless own"),
    ("representative", PARENT, OWN, "own restricted|very restricted|low|masked|masked to others"),
    ("app", APP, Facts({"a": EVERYTHING}), "own low|masked|secret|homeless own"),
    ("app of nobody", APP, Facts(), "homeless own"),
    ("doctor", DOCTOR, TREATS, "own other's|low|masked to others|delayed|secret|deposited|by the person|homeless"),
    ("stranger", DOCTOR, Facts(), "deposited|by the person|homeless"),
    ("cleared", caller(Kind.PROFESSIONAL, roles=frozenset({"clearance-R"})), Facts({"a": EVERYTHING}),
     "own low|restricted|masked to others|delayed|secret|deposited|by the person"),
    ("in an emergency", DOCTOR, Facts({"a": EVERYTHING}, emergency="BTG"),
     "own low|restricted|masked to others|delayed|secret|deposited|by the person|homeless"),
    ("in an emergency, masks opened", DOCTOR, Facts({"a": EVERYTHING}, emergency="BTG", masked_in_emergency=True),
     "own low|restricted|masked|masked to others|delayed|secret|deposited|by the person|homeless"),
    ("masks stay without one", DOCTOR, Facts({"a": EVERYTHING}, masked_in_emergency=True),
     "own low|masked to others|delayed|secret|deposited|by the person|homeless"),
    ("laboratory", LAB, Facts(), "by the lab"),
    ("payer", PAYER, Facts({"a": EVERYTHING}), ""),
    ("insurer", caller(Kind.INSURER), Facts({"a": EVERYTHING}), ""),
    ("doctor for an insurer", caller(Kind.PROFESSIONAL, purpose="COVERAGE"), TREATS, ""),
    ("doctor for marketing", caller(Kind.PROFESSIONAL, purpose="HMARKT"), TREATS, ""),
    ("auditor", AUDITOR, Facts({"a": EVERYTHING}), ""),
    ("nobody", ANONYMOUS, Facts({"a": EVERYTHING}), ""),
]  # fmt: skip


@pytest.mark.parametrize(("who", "facts", "names"), [row[1:] for row in SEEN], ids=[row[0] for row in SEEN])
@pytest.mark.parametrize("letter", ["r", "s"])
def test_c10_c14_what_each_sees(who, facts, names, letter):
    expected = set(names.replace("own ", "own|", 1).split("|")) - {""}
    seen = {name for name, one in DOCUMENTS.items() if context(who, facts).admits("Observation", letter, one)}
    assert seen == expected


def test_the_operator_sees_all_that_has_keys():
    seen = {name for name, one in DOCUMENTS.items() if context(OPERATOR).admits("Observation", "r", one)}
    assert seen == set(DOCUMENTS) - {"old keys", "no keys"}
    assert context(OPERATOR).admits("Basic", "r", document())


def test_c07_the_matrix_bounds_professionals_only():
    facts = Facts({"a": EVERYTHING}, matrix=none_of("_sec.cls", ["Observation"]), own=frozenset({"a"}))
    assert not context(DOCTOR, facts).admits("Observation", "r", document())
    assert context(DOCTOR, facts).admits("Observation", "r", document(auth=["Organization/o"]))
    assert context(APP, facts).admits("Observation", "r", document())
    assert context(CITIZEN, facts).admits("Observation", "r", document())
    assert bounds(DOCTOR, facts)["profession"] == facts.matrix
    assert bounds(APP, facts)["profession"] == EVERYTHING


@pytest.mark.parametrize(
    ("kind", "roles", "emergency", "level"),
    [
        (Kind.CITIZEN, [], "", 5), (Kind.REPRESENTATIVE, [], "", 5), (Kind.PROFESSIONAL, [], "", 3),
        (Kind.PROFESSIONAL, ["clearance-R"], "", 4), (Kind.PROFESSIONAL, ["clearance-V", "clearance-R"], "", 5),
        (Kind.PROFESSIONAL, ["clearance-L"], "", 3), (Kind.PROFESSIONAL, [], "BTG", 4),
        (Kind.PROFESSIONAL, ["clearance-V"], "BTG", 5), (Kind.APP, [], "", 3),
    ],
)  # fmt: skip
def test_c07_clearance(kind, roles, emergency, level):
    assert clearance(caller(kind, roles=frozenset(roles)), Facts(emergency=emergency)) == level


#: Kind, type, letters that the request alone may have.
ALLOWED = [
    (CITIZEN, "Observation", "cruds"), (CITIZEN, "Patient", "rs"), (CITIZEN, "Consent", "cruds"),
    (CITIZEN, "Practitioner", "rs"), (CITIZEN, "ValueSet", "rs"), (CITIZEN, "Group", ""), (CITIZEN, "Basic", ""),
    (CITIZEN, "AuditEvent", "rs"), (CITIZEN, "Appointment", "cruds"), (PARENT, "AuditEvent", "rs"),
    (PARENT, "CareTeam", "cruds"), (DOCTOR, "Observation", "cruds"), (DOCTOR, "Consent", "rs"), (DOCTOR, "CareTeam", "rs"),
    (DOCTOR, "List", "rs"), (DOCTOR, "AuditEvent", ""), (DOCTOR, "Practitioner", "rs"), (DOCTOR, "Patient", "rs"),
    (APP, "Observation", "cruds"), (APP, "Consent", "rs"), (APP, "AuditEvent", ""), (LAB, "Observation", "cruds"),
    (LAB, "Patient", "crs"), (LAB, "Organization", "cruds"), (LAB, "Provenance", "rs"), (LAB, "ValueSet", "rs"),
    (PAYER, "ExplanationOfBenefit", "c"), (PAYER, "Claim", "c"), (PAYER, "Observation", ""), (PAYER, "Practitioner", ""),
    (PAYER, "ValueSet", "rs"), (caller(Kind.INSURER), "Observation", ""), (caller(Kind.INSURER), "Practitioner", ""),
    (caller(Kind.PROFESSIONAL, purpose="ELIGVER"), "Observation", "cud"), (AUDITOR, "AuditEvent", "rs"),
    (AUDITOR, "Observation", ""), (OPERATOR, "Observation", "cruds"), (OPERATOR, "Patient", "cruds"),
    (OPERATOR, "ValueSet", "cruds"), (OPERATOR, "Group", "cruds"), (OPERATOR, "Basic", "cruds"), (OPERATOR, "AuditEvent", ""),
    (OPERATOR, "Consent", "cruds"), (ANONYMOUS, "ValueSet", "rs"), (ANONYMOUS, "Observation", ""),
    (ANONYMOUS, "Practitioner", ""), (caller(Kind.APP), "Observation", ""), (caller(Kind.APP), "Practitioner", "rs"),
    (caller(Kind.CITIZEN, "patient/Observation.rs", patient="a"), "Observation", "rs"),
    (caller(Kind.CITIZEN, "patient/Observation.rs", patient="a"), "Condition", ""),
    (caller(Kind.CITIZEN, "system/*.cruds", patient="a"), "Observation", ""),
    (caller(Kind.PROFESSIONAL, "system/*.cruds"), "Observation", ""),
    (caller(Kind.SYSTEM, "user/*.cruds"), "Observation", ""), (caller(Kind.APP, "user/*.cruds", patient="a"), "Observation", ""),
    (caller(Kind.OPERATOR, "user/*.rs"), "Observation", "rs"),
]  # fmt: skip


@pytest.mark.parametrize(("who", "type_", "letters"), ALLOWED, ids=[f"{w.kind} {t}" for w, t, _ in ALLOWED])
def test_c15_l60_what_the_request_alone_allows(who, type_, letters):
    assert "".join(letter for letter in "cruds" if is_allowed(who, type_, letter)) == letters
    reached = [letter for letter in "cruds" if context(who, OWN).filter_for(type_, letter) is not None]
    assert set(reached) <= set(letters)


def test_each_kind_has_letters_and_each_rule_is_told():
    assert set(LETTERS) == set(Kind)
    assert PAYER_TYPES <= set(RULES) >= PRIVILEGED
    assert {rule(type_) for type_ in TYPES} == set(Rule)


def admits_new(who: Caller, facts: Facts, type_: str = "Observation", **keys: Any) -> bool:
    home = keys.pop("home", "a")
    return context(who, facts).admits(type_, "c", document(home, **keys))


def test_c11_who_may_create_where():
    assert admits_new(CITIZEN, OWN)
    assert not admits_new(CITIZEN, OWN, home="b")
    assert admits_new(CITIZEN, OWN, home=None, auth=["Patient/a"])
    assert not admits_new(CITIZEN, OWN, home=None, auth=["Patient/b"])
    assert admits_new(DOCTOR, Facts(), auth=["Practitioner/x"])
    assert not admits_new(DOCTOR, TREATS, auth=["Organization/o"])
    assert admits_new(LAB, Facts(), home="z", auth=["Device/lab"])
    assert admits_new(PAYER, Facts(), "Claim", auth=["Device/payer"])
    assert not admits_new(PAYER, Facts(), auth=["Device/payer"])
    assert admits_new(APP, Facts({"a": EVERYTHING}))
    assert not admits_new(APP, Facts({"a": HIDE_T}), id_="t")
    assert admits_new(OPERATOR, Facts(), home="q")
    assert context(LAB).admits("Organization", "c", document(None))
    assert context(OPERATOR).admits("ValueSet", "c", document(None))


def test_c17_who_represents_in_part_writes_what_is_allowed():
    part = Facts({"a": HIDE_T}, {"c": {"a": any_of("_id", ["new"])}, "u": {}})
    assert admits_new(PARENT, part, id_="new")
    assert not admits_new(PARENT, part, id_="other")
    assert not context(PARENT, part).admits("Observation", "u", document())
    assert not context(PARENT, part).admits("Observation", "d", document())
    assert context(PARENT, part).admits("Observation", "r", document())
    changing = Facts({"a": EVERYTHING}, {"u": {"a": any_of("_id", ["d"])}})
    for letter in "ud":
        assert context(PARENT, changing).admits("Observation", letter, document())
        assert not context(PARENT, changing).admits("Observation", letter, document(id_="e"))
    homeless = document(None, auth=["RelatedPerson/r"])
    assert context(PARENT, part).admits("Observation", "u", homeless)


@pytest.mark.parametrize("type_", sorted(PRIVILEGED - {"AuditEvent", "Group"}))
def test_c16_c31_the_machinery_of_access_is_for_who_decides(type_):
    part = Facts({"a": EVERYTHING})
    for letter in "cud":
        assert not context(PARENT, part).admits(type_, letter, document(auth=["RelatedPerson/r"]))
        assert context(PARENT, OWN).admits(type_, letter, document())
        assert context(CITIZEN, OWN).admits(type_, letter, document())
        assert not context(APP, part).admits(type_, letter, document())


def test_l56_scopes_with_parameters():
    narrow = caller(Kind.APP, "patient/Observation.rs?code=c", patient="a")
    facts = Facts({"a": EVERYTHING, "b": EVERYTHING})
    assert context(narrow, facts).admits("Observation", "r", document())
    assert not context(narrow, facts).admits("Observation", "r", {**document(), "i": {"code": "x"}})
    assert context(narrow, facts).needs_entries
    assert not context(APP, facts).needs_entries
    assert not context(narrow, facts).admits("Observation", "r", document("b"))
    user = caller(Kind.PROFESSIONAL, "user/Observation.rs")
    assert context(user, facts).admits("Observation", "r", document("b"))


def test_what_may_be_referred_to():
    patient = document("q")
    for who in (DOCTOR, LAB, PAYER):
        assert context(who).admits("Patient", REFER, patient)
        assert not context(who).admits("Patient", REFER, document("q", ver=RULES_VERSION - 1))
    assert not context(CITIZEN, OWN).admits("Patient", REFER, patient)
    assert context(CITIZEN, OWN).admits("Patient", REFER, document("a"))
    assert not context(DOCTOR).admits("Observation", REFER, document("q"))
    assert context(caller(Kind.CITIZEN, "", patient="a"), OWN).admits("Observation", REFER, document())


def test_who_decides_for_a_patient():
    assert context(OPERATOR).decides_for("a")
    assert AccessContext("x", lambda *_: NOTHING).decides_for("a")
    assert AccessContext("x", lambda *_: NOTHING, caller=CITIZEN, own=frozenset({"a"})).decides_for("a")
    assert not context(CITIZEN).decides_for("a")


def test_events_are_the_persons_and_the_auditors():
    event = document()
    assert context(AUDITOR).admits("AuditEvent", "r", event)
    assert context(CITIZEN, OWN).admits("AuditEvent", "r", event)
    assert not context(CITIZEN, OWN).admits("AuditEvent", "r", document("b"))
    assert not context(PARENT, Facts({"a": EVERYTHING})).admits("AuditEvent", "r", event)
    assert visible(DOCTOR, "Group", TREATS) == NOTHING
    assert visible(PAYER, "Practitioner", Facts()) == NOTHING
    assert visible(PAYER, "ValueSet", Facts()) == EVERYTHING


def test_names_of_others_hide_all_but_what_names_others_by_nature():
    two = document(also=["Patient/b"])
    assert not context(CITIZEN, OWN).admits("Observation", "r", two)
    assert context(CITIZEN, OWN).admits("Coverage", "r", two)


def test_a_policy_is_made_once():
    policy = policy_of(CITIZEN, OWN, lambda *_: NOTHING)
    assert policy("Observation", "r") is policy("Observation", "r")
    assert policy("Observation", "r") is not policy("Observation", "c")
