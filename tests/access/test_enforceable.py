"""Which Consents are refused, and where they say why. Checklist C09, C14."""

from __future__ import annotations

from typing import Any

import pytest

from fhir_server.access.enforceable import unenforceable
from fhir_server.access.keys import CONFIDENTIALITY, PROFESSIONS
from fhir_server.access.purposes import FORBIDDEN, above, is_known

RESOURCES = "http://hl7.org/fhir/resource-types"
LOINC = "http://loinc.org"


def consent(provision: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    base = {
        "status": "active",
        "scope": {"coding": [{"code": "patient-privacy"}]},
        "patient": {"reference": "Patient/a"},
    }
    return {**base, **({} if provision is None else {"provision": provision}), **more}


def actor(reference: str | None, *roles: tuple[str, str]) -> dict[str, Any]:
    named = {} if reference is None else {"reference": {"reference": reference}}
    return {**named, "role": {"coding": [{"system": system, "code": code} for system, code in roles]}}


def act(*codes: str) -> list[dict[str, Any]]:
    return [{"coding": [{"code": code} for code in codes]}]


PART = "http://terminology.hl7.org/CodeSystem/v3-ParticipationType"
CODED = {"system": LOINC, "code": "1-8"}
#: A provision and the places that are refused.
CASES: list[tuple[dict[str, Any], list[str]]] = [
    ({}, []),
    ({"type": "deny", "period": {"start": "2020"}, "dataPeriod": {"end": "2021"}}, []),
    ({"modifierExtension": []}, ["modifierExtension"]),
    *[({"actor": [actor(f"{kind}/x")]}, []) for kind in (
        "Practitioner", "PractitionerRole", "Organization", "CareTeam", "Group", "Device", "RelatedPerson")],
    ({"actor": [actor("Location/x")]}, ["actor[0].reference"]),
    ({"actor": [actor("Practitioner/x"), actor("urn:uuid:x")]}, ["actor[1].reference"]),
    ({"actor": [actor("Practitioner/x/_history/1")]}, ["actor[0].reference"]),
    ({"actor": [actor("https://elsewhere.example/Practitioner/x")]}, ["actor[0].reference"]),
    ({"type": "deny", "actor": [actor("Patient/a")]}, ["actor[0].reference"]),
    ({"type": "permit", "actor": [actor("Patient/a")]}, []),
    ({"type": "permit", "actor": [actor("Patient/b")]}, ["actor[0].reference"]),
    ({"type": "deny", "actor": [actor("Patient/b")]}, []),
    *[({"actor": [actor("Practitioner/x", (PART, role))]}, []) for role in ("IRCP", "PRCP", "GRANTEE", "DELEGATEE")],
    ({"actor": [actor("Practitioner/x", (PART, "CST"))]}, ["actor[0].role"]),
    ({"actor": [actor("Practitioner/x", (PART, "IRCP"), (PART, "AUT"))]}, ["actor[0].role"]),
    ({"actor": [actor(None, (PROFESSIONS, "10"))]}, []),
    ({"actor": [actor(None, (PROFESSIONS, "10"), (PART, "IRCP"))]}, []),
    ({"actor": [actor(None, (PART, "IRCP"))]}, ["actor[0].reference"]),
    ({"actor": [actor(None)]}, ["actor[0].reference"]),
    ({"actor": [actor("Practitioner/x", (PROFESSIONS, "10"))]}, ["actor[0].role"]),
    ({"action": act("access")}, []),
    ({"action": act("use", "disclose")}, []),
    ({"action": act("unheard")}, ["action[0]"]),
    ({"action": [{"text": "x"}]}, ["action[0]"]),
    ({"action": act("collect")}, ["action[0]"]),
    ({"action": act("collect"), "actor": [actor("Device/x"), actor("RelatedPerson/y")]}, []),
    ({"action": act("access", "correct"), "actor": [actor("Device/x")]}, []),
    ({"action": act("correct"), "actor": [actor("Device/x"), actor("Practitioner/y")]}, ["action[0]"]),
    ({"purpose": [{"code": "TREAT"}, {"code": "BTG"}]}, []),
    ({"purpose": [{"code": "TREAT"}, {"code": "unheard"}]}, ["purpose"]),
    ({"purpose": [{"display": "x"}]}, ["purpose"]),
    ({"type": "permit", "purpose": [{"code": "HPAYMT"}]}, ["purpose"]),
    ({"type": "deny", "purpose": [{"code": "HPAYMT"}]}, []),
    ({"securityLabel": [{"system": CONFIDENTIALITY, "code": "R"}, CODED]}, []),
    ({"securityLabel": [CODED, {"system": CONFIDENTIALITY, "code": "Q"}]}, ["securityLabel[1]"]),
    ({"securityLabel": [{"code": "R"}]}, ["securityLabel[0]"]),
    ({"securityLabel": [{"system": LOINC}]}, ["securityLabel[0]"]),
    ({"class": [{"system": RESOURCES, "code": "Observation"}, {"system": RESOURCES, "code": "Account"}, CODED]}, []),
    ({"class": [{"system": RESOURCES, "code": "Practitioner"}]}, ["class[0]"]),
    ({"class": [{"system": RESOURCES, "code": "Unheard"}]}, ["class[0]"]),
    ({"class": [CODED, {"code": "x"}]}, ["class[1]"]),
    ({"class": [{"system": "urn:ietf:rfc:3986", "code": "x"}]}, ["class[0]"]),
    ({"code": [{"coding": [CODED, CODED]}]}, []),
    ({"code": [{"coding": [CODED, {"code": "x"}]}]}, ["code[0]"]),
    ({"code": [{"coding": [CODED]}, {"text": "x"}]}, ["code[1]"]),
    *[({"data": [{"meaning": meaning, "reference": {"reference": "Observation/x"}}]}, []) for meaning in (
        "instance", "related", "dependents", "authoredby")],
    ({"data": [{"meaning": "unheard", "reference": {"reference": "Observation/x"}}]}, ["data[0].meaning"]),
    ({"data": [{"meaning": "instance", "reference": {"reference": "Observation/x/_history/2"}}]}, ["data[0].reference"]),
    ({"data": [{"meaning": "instance", "reference": {"display": "x"}}]}, ["data[0].reference"]),
    ({"provision": [{}, {"provision": [{"code": [{"text": "x"}]}]}]}, ["provision[1].provision[0].code[0]"]),
    ({"provision": [{"type": "deny", "actor": [actor("Patient/a")]}]}, ["provision[0].actor[0].reference"]),
]  # fmt: skip


@pytest.mark.parametrize(("provision", "places"), CASES)
def test_c09_c14_what_would_be_obeyed_in_part_is_refused_where_it_stands(provision, places):
    found = unenforceable(consent(provision))
    assert [issue.expression for issue in found] == [f"Consent.provision.{place}" for place in places]
    for issue in found:
        assert (issue.severity, issue.code, issue.rule) == ("error", "business-rule", "consent-enforceable")
        assert issue.diagnostics.startswith("This can't be enforced here, so the Consent was not stored. ")
        assert "XX" not in issue.diagnostics


PCF = "https://profiles.ihe.net/ITI/PCF/Policy-"


def test_policies_of_pcf_are_known_ones():
    known = [{"uri": f"{PCF}{name}"} for name in ("basic-normal", "all-normal", "break-glass-only", "deny")]
    assert unenforceable(consent(policy=[*known, {"uri": "https://example.org"}, {"authority": "x"}])) == []
    (issue,) = unenforceable(consent(policy=[known[0], {"uri": f"{PCF}unheard"}]))
    assert issue.expression == "Consent.policy[1].uri"
    (issue,) = unenforceable(consent(modifierExtension=[]))
    assert issue.expression == "Consent.modifierExtension"


@pytest.mark.parametrize("more", [{"status": "inactive"}, {"scope": {"coding": [{"code": "adr"}]}}])
def test_what_decides_nothing_may_say_anything(more):
    assert unenforceable(consent({"code": [{"text": "x"}]}, **more)) == []


@pytest.mark.parametrize(
    ("purpose", "found"),
    [("BTG", "BTG ETREAT TREAT PurposeOfUse"), ("TREAT", "TREAT PurposeOfUse"), ("CLINTRCHPC", "CLINTRCHPC CLINTRCH HRESCH PurposeOfUse"),
     ("PurposeOfUse", "PurposeOfUse"), ("x", "x"), ("ELIGVER", "ELIGVER COVERAGE HPAYMT PurposeOfUse")],
)  # fmt: skip
def test_c06_purposes_are_kinds_of_others(purpose, found):
    assert above(purpose) == set(found.split())
    assert is_known(purpose) is (purpose != "x")


def test_c14_payment_and_marketing_are_forbidden():
    forbidden = "HMARKT HPAYMT CLMATTCH COVAUTH COVERAGE ELIGDTRM ELIGVER ENROLLM MILDCRG REMITADV"
    assert set(forbidden.split()) == FORBIDDEN
