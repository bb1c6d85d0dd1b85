"""Consent, masks and kinds of actor, numbered as the hardening checklist is."""

from __future__ import annotations

from typing import Any

import pytest

from tests.security.test_leaks import ids
from tests.security.world import MARKER, member, observation

PCF = "https://profiles.ihe.net/ITI/PCF/Policy-"
CONFIDENTIALITY = "http://terminology.hl7.org/CodeSystem/v3-Confidentiality"
VISIBILITY = (
    "https://mos.esante.gouv.fr/NOS/TRE_A07-StatutVisibiliteDocument/FHIR/TRE-A07-StatutVisibiliteDocument"
)


def consent(
    provision: dict[str, Any] | None = None, policy: str = "basic-normal", **more: Any
) -> dict[str, Any]:
    """Return A's Consent."""
    return {
        "resourceType": "Consent",
        "status": "active",
        "scope": {
            "coding": [
                {"system": "http://terminology.hl7.org/CodeSystem/consentscope", "code": "patient-privacy"}
            ]
        },
        "category": [{"coding": [{"system": "http://loinc.org", "code": "59284-0"}]}],
        "patient": {"reference": "Patient/A"},
        "dateTime": "2026-01-01",
        "policy": [{"uri": f"{PCF}{policy}"}],
        **({"provision": provision} if provision else {}),
        **more,
    }


def actor(reference: str, role: str = "IRCP") -> dict[str, Any]:
    code = {"system": "http://terminology.hl7.org/CodeSystem/v3-ParticipationType", "code": role}
    return {"role": {"coding": [code]}, "reference": {"reference": reference}}


@pytest.fixture
def recorded(as_):
    """Return a function that stores a Consent as its patient; all are taken back afterwards."""
    made = []

    def store(resource: dict[str, Any], name: str = "A") -> str:
        answer = as_(name).post("Consent", json=resource)
        assert answer.status_code == 201, answer.text
        made.append((name, answer.json()["id"]))
        return answer.json()["id"]

    yield store
    for name, id_ in made:
        assert as_(name).delete(f"Consent/{id_}").status_code == 204


def sees(client: Any) -> bool:
    read = client.get("Observation/a1").status_code
    assert (read == 200) == ("a1" in ids(client.get("Observation?_count=1000")))
    return read == 200


@pytest.mark.parametrize(
    ("policy", "gp"),
    [("basic-normal", True), ("all-normal", True), ("break-glass-only", False), ("deny", False)],
)
def test_C01_base_policies(as_, recorded, policy, gp):
    recorded(consent(policy=policy))
    assert sees(as_("gp")) is gp
    assert not sees(as_("N"))
    assert sees(as_("A"))


def test_C01_without_a_consent_the_care_team_sees(as_):
    assert sees(as_("gp"))
    assert sees(as_("X"))
    assert not sees(as_("N"))
    assert not sees(as_("nurse"))


@pytest.mark.parametrize(
    "more",
    [
        {"status": "draft"},
        {"status": "inactive"},
        {"status": "entered-in-error"},
        {"provision": {"type": "deny", "period": {"end": "2020-01-01"}}},
        {"provision": {"type": "deny", "period": {"start": "2199-01-01"}}},
    ],
)
def test_C02_consents_that_are_not_in_force(as_, recorded, more):
    recorded({**consent({"type": "deny"}), **more})
    assert sees(as_("gp"))


def test_C03_nested_provisions_are_exceptions(as_, recorded):
    only_x = {"type": "deny", "provision": [{"type": "permit", "actor": [actor("Practitioner/n")]}]}
    recorded(consent(only_x))
    assert not sees(as_("gp"))
    assert sees(as_("N"))
    assert sees(as_("A"))


def test_C04_deny_wins(as_, recorded):
    recorded(
        consent(
            {
                "type": "permit",
                "provision": [
                    {"type": "permit", "actor": [actor("Practitioner/gp")]},
                    {"type": "deny", "actor": [actor("Organization/practice")]},
                ],
            }
        )
    )
    assert not sees(as_("gp"))


def test_C05_actors_that_are_organisations_and_teams(as_, recorded):
    recorded(consent({"type": "deny", "actor": [actor("Organization/practice")]}))
    assert not sees(as_("gp"))
    assert sees(as_("X"))
    recorded(consent({"type": "deny", "actor": [actor("CareTeam/ta")]}))
    assert not sees(as_("X"))


def test_C05_an_empty_team_denies_everybody(as_, recorded):
    recorded(consent({"type": "deny", "actor": [actor("CareTeam/none")]}))
    assert not sees(as_("X"))


def test_C07_labels_above_the_clearance_are_hidden_in_every_door(as_):
    label = {"system": CONFIDENTIALITY, "code": "R"}
    made = as_("A").post("Observation", json=observation("A", meta={"security": [label]}))
    id_ = made.json()["id"]
    gp = as_("gp")
    for path in (f"Observation/{id_}", f"Observation/{id_}/_history", f"Observation/{id_}/_history/1"):
        assert gp.get(path).status_code == 404
    assert id_ not in ids(gp.get("Observation?_count=1000"))
    assert id_ not in ids(gp.get("Observation/_history?_count=1000"))
    assert id_ in ids(as_("A").get("Observation?_count=1000"))


def relabel(client: Any, id_: str, *codings: dict[str, Any]) -> int:
    meta = {"security": list(codings)}
    body = {"resourceType": "Parameters", "parameter": [{"name": "meta", "valueMeta": meta}]}
    return client.post(f"Observation/{id_}/$meta-add", json=body).status_code


def test_C08_a_label_that_is_raised_is_effective_at_once(as_):
    id_ = as_("A").post("Observation", json=observation("A")).json()["id"]
    assert as_("gp").get(f"Observation/{id_}").status_code == 200
    assert relabel(as_("A"), id_, {"system": CONFIDENTIALITY, "code": "R"}) == 200
    assert as_("gp").get(f"Observation/{id_}").status_code == 404


@pytest.mark.parametrize(
    ("criterion", "hidden"),
    [
        ({"class": [{"system": "http://hl7.org/fhir/resource-types", "code": "Observation"}]}, True),
        ({"class": [{"system": "http://hl7.org/fhir/resource-types", "code": "Condition"}]}, False),
        ({"data": [{"meaning": "instance", "reference": {"reference": "Observation/a1"}}]}, True),
        ({"data": [{"meaning": "instance", "reference": {"reference": "Observation/a2"}}]}, False),
        ({"securityLabel": [{"system": CONFIDENTIALITY, "code": "R"}]}, False),
        ({"securityLabel": [{"system": CONFIDENTIALITY, "code": "N"}]}, True),
        (
            {"purpose": [{"system": "http://terminology.hl7.org/CodeSystem/v3-ActReason", "code": "TREAT"}]},
            True,
        ),
        (
            {"purpose": [{"system": "http://terminology.hl7.org/CodeSystem/v3-ActReason", "code": "HRESCH"}]},
            False,
        ),
    ],
)
def test_C06_C09_criteria(as_, recorded, criterion, hidden):
    recorded(consent({"type": "deny", **criterion}))
    assert sees(as_("gp")) is not hidden


def test_C10_a_masked_document_is_its_depositors_and_the_citizens(as_):
    id_ = as_("lab").post("Observation", json=observation("A")).json()["id"]
    assert as_("gp").get(f"Observation/{id_}").status_code == 200
    assert as_("A").put(f"Observation/{id_}", json=observation("A", id_)).status_code == 403
    assert relabel(as_("A"), id_, {"system": VISIBILITY, "code": "MASQUE_PS"}) == 200
    assert as_("gp").get(f"Observation/{id_}").status_code == 404
    assert as_("lab").get(f"Observation/{id_}").status_code == 200
    assert as_("A").get(f"Observation/{id_}").status_code == 200


def test_C10_a_mask_hides_earlier_versions_too(as_):
    id_ = as_("lab").post("Observation", json=observation("A")).json()["id"]
    assert (
        as_("lab")
        .put(f"Observation/{id_}", json=observation("A", id_, issued="2026-01-01T00:00:00Z"))
        .status_code
        == 200
    )
    versions = f"Observation/{id_}/_history/1"
    assert as_("gp").get(versions).status_code == 200
    assert relabel(as_("A"), id_, {"system": VISIBILITY, "code": "MASQUE_PS"}) == 200
    assert as_("gp").get(versions).status_code == 404
    assert id_ not in ids(as_("gp").get("Observation/_history?_count=1000"))
    assert as_("A").get(versions).status_code == 200


def test_C10_only_the_patient_masks_and_only_professionals_delay(as_):
    id_ = as_("lab").post("Observation", json=observation("A")).json()["id"]
    assert relabel(as_("lab"), id_, {"system": VISIBILITY, "code": "MASQUE_PS"}) == 403
    assert relabel(as_("A"), id_, {"system": VISIBILITY, "code": "INVISIBLE_PATIENT"}) == 403
    assert relabel(as_("lab"), id_, {"system": VISIBILITY, "code": "INVISIBLE_PATIENT"}) == 200
    assert as_("A").get(f"Observation/{id_}").status_code == 404
    assert as_("app").get(f"Observation/{id_}").status_code == 404
    assert as_("gp").get(f"Observation/{id_}").status_code == 200


def test_C11_a_blocked_professional_deposits_and_reads_that_back(as_, recorded):
    recorded(consent({"type": "deny", "actor": [actor("Practitioner/x")]}))
    assert not sees(as_("X"))
    assert sees(as_("gp"))
    made = as_("X").post("Observation", json=observation("A"))
    assert made.status_code == 201
    assert as_("X").get(f"Observation/{made.json()['id']}").status_code == 200


@pytest.mark.parametrize("name", ["insurer", "bought"])
@pytest.mark.parametrize(
    "path",
    [
        "Observation/a1",
        "Observation/zz",
        "Observation",
        "Patient/A/*",
        "_history",
        "Patient/A",
        "Practitioner",
    ],
)
def test_C14_insurers_read_nothing(as_, name, path):
    answer = as_(name).get(path)
    assert answer.status_code == 403
    assert answer.content == as_(name).get("Condition").content


def test_C14_no_consent_lets_an_insurer_read(as_, recorded):
    recorded(consent({"type": "permit", "actor": [actor("Device/insurer")]}))
    assert as_("insurer").get("Observation/a1").status_code == 403


@pytest.mark.parametrize(
    ("provision", "place"),
    [
        ({"type": "permit", "purpose": [{"code": "COVERAGE"}]}, "provision.purpose"),
        ({"type": "deny", "purpose": [{"code": "UNHEARD"}]}, "provision.purpose"),
        ({"type": "deny", "actor": [actor("Patient/A")]}, "provision.actor[0].reference"),
        ({"type": "permit", "actor": [actor("Patient/B")]}, "provision.actor[0].reference"),
        ({"type": "deny", "actor": [actor("Practitioner/gp", "CST")]}, "provision.actor[0].role"),
        (
            {"type": "deny", "actor": [{**actor("x"), "reference": {"display": "x"}}]},
            "provision.actor[0].reference",
        ),
        ({"type": "deny", "code": [{"coding": [{"code": "x"}]}]}, "provision.code[0]"),
        ({"type": "deny", "provision": [{"code": [{"text": "x"}]}]}, "provision.provision[0].code[0]"),
        ({"type": "deny", "securityLabel": [{"code": "R"}]}, "provision.securityLabel[0]"),
        ({"type": "deny", "class": [{"system": "urn:ietf:rfc:3986", "code": "urn:x"}]}, "provision.class[0]"),
        (
            {"type": "deny", "data": [{"meaning": "instance", "reference": {"reference": "urn:uuid:x"}}]},
            "provision.data[0].reference",
        ),
        (
            {
                "type": "deny",
                "action": [{"coding": [{"code": "collect"}]}],
                "actor": [actor("Practitioner/x")],
            },
            "provision.action[0]",
        ),
    ],
)
def test_C09_C14_a_consent_that_cant_be_enforced_is_refused(as_, provision, place):
    answer = as_("A").post("Consent", json=consent(provision))
    assert answer.status_code == 422, answer.text
    assert [f"Consent.{place}"] == answer.json()["issue"][0]["expression"]


def test_C16_a_professional_grafts_no_link(as_):
    body = {
        "resourceType": "Patient",
        "id": "A",
        "link": [{"other": {"reference": "Patient/B"}, "type": "seealso"}],
    }
    for name in ("gp", "N", "A", "everything app"):
        assert as_(name).put("Patient/A", json=body).status_code == 403


def test_C15_the_payer_feed_only_creates(as_):
    benefit = {
        "resourceType": "ExplanationOfBenefit",
        "status": "active",
        "type": {
            "coding": [{"system": "http://terminology.hl7.org/CodeSystem/claim-type", "code": "pharmacy"}]
        },
        "use": "claim",
        "patient": {"reference": "Patient/A"},
        "created": "2026-01-01",
        "insurer": {"display": "x"},
        "provider": {"display": "x"},
        "outcome": "complete",
        "insurance": [{"focal": True, "coverage": {"reference": "Coverage/c1"}}],
    }
    made = as_("payer").post("ExplanationOfBenefit", json=benefit)
    assert made.status_code == 201, made.text
    id_ = made.json()["id"]
    assert as_("payer").get(f"ExplanationOfBenefit/{id_}").status_code == 403
    assert as_("payer").get("ExplanationOfBenefit").status_code == 403
    assert as_("payer").put(f"ExplanationOfBenefit/{id_}", json={**benefit, "id": id_}).status_code == 403
    assert as_("A").get(f"ExplanationOfBenefit/{id_}").status_code == 200


def test_C16_C31_nobody_gives_themselves_access(as_):
    grant = consent({"type": "permit", "actor": [actor("Practitioner/n")]})
    team = {"resourceType": "CareTeam", "status": "active", "subject": {"reference": "Patient/A"},
            "participant": [member("Practitioner/n")]}  # fmt: skip
    related = {"resourceType": "RelatedPerson", "patient": {"reference": "Patient/A"}}
    person = {"resourceType": "Person", "link": [{"target": {"reference": "Patient/A"}}]}
    for body in (grant, team, related, person):
        type_ = body["resourceType"]
        assert as_("N").post(type_, json=body).status_code == 403
        assert as_("gp").post(type_, json=body).status_code == 403
        entry = {"request": {"method": "POST", "url": type_}, "resource": body}
        bundle = {"resourceType": "Bundle", "type": "transaction", "entry": [entry]}
        assert as_("N").post("", json=bundle).status_code == 403
        assert as_("everything app").post(type_, json=body).status_code == 403
    assert as_("gp").put("CareTeam/ta", json={**team, "id": "ta"}).status_code == 403
    assert not sees(as_("N"))


def test_C17_representatives(as_):
    assert as_("parent").get("Observation/m1").status_code == 200
    assert as_("nok").get("Observation/m1").status_code == 404
    assert as_("parent").get("Observation/a1").status_code == 404
    hidden = observation(
        "M", meta={"security": [{"system": VISIBILITY, "code": "INVISIBLE_REPRESENTANTS_LEGAUX"}]}
    )
    id_ = as_("lab").post("Observation", json=hidden).json()["id"]
    assert as_("parent").get(f"Observation/{id_}").status_code == 404


@pytest.mark.parametrize("scope", ["adr", "treatment", "research"])
def test_C29_consents_of_other_scopes_change_nothing(as_, recorded, scope):
    other = consent({"type": "deny"})
    other["scope"]["coding"][0]["code"] = scope
    recorded(other)
    assert sees(as_("gp"))


def test_an_auditor_sees_no_clinical_content(as_):
    for path in ("Observation/a1", "Observation", "Patient/A"):
        assert as_("auditor").get(path).status_code == 403
    assert MARKER
