"""What a provision can be about, end to end: actors that stand for others, codes, periods, relations, purposes."""

from __future__ import annotations

import json
from typing import Any

import pytest

from fhir_server.access.keys import PROFESSIONS
from tests.security.test_consent import VISIBILITY, actor, consent, recorded
from tests.security.test_leaks import ids
from tests.security.world import HBPC, observation

__all__ = ["recorded"]
DATED = "d1"


@pytest.fixture(scope="module")
def dated(as_):
    """Two observations of A, one derived from the other, the first versions of which say the same."""
    operator = as_("operator")
    for id_, year, more in (
        ("d2", "2021", {}),
        (DATED, "2020", {"derivedFrom": [{"reference": "Observation/d2"}]}),
    ):
        body = observation("A", id_, effectiveDateTime=f"{year}-06-15", **more)
        assert operator.put(f"Observation/{id_}", json=body).status_code == 201
    body["note"] = [{"text": "again"}]
    assert operator.put(f"Observation/{DATED}", json=body).status_code == 200


def shown(client: Any) -> set[str]:
    """Return which of the two a caller sees; all doors say the same."""
    found = ids(client.get("Observation?_id=d1,d2")) & {"d1", "d2"}
    for id_ in ("d1", "d2"):
        expected = 200 if id_ in found else 404
        for path in (f"Observation/{id_}", f"Observation/{id_}/_history/1", f"Observation/{id_}/_history"):
            assert client.get(path).status_code == expected, path
        assert (id_ in ids(client.get("Observation/_history?_count=1000"))) == (id_ in found)
    return found


def code(value: str) -> list[dict[str, Any]]:
    return [{"coding": [{"system": HBPC, "code": value}]}]


def datum(meaning: str, reference: str) -> list[dict[str, Any]]:
    return [{"meaning": meaning, "reference": {"reference": reference}}]


@pytest.mark.parametrize(
    ("criterion", "left"),
    [
        ({"code": code("718-7")}, set()),
        ({"code": code("718-8")}, {"d1", "d2"}),
        ({"dataPeriod": {"start": "2020-06-15", "end": "2020-06-15"}}, {"d2"}),
        ({"dataPeriod": {"start": "2020-06-16"}}, {"d1"}),
        ({"dataPeriod": {"end": "2020-06-14"}}, {"d1", "d2"}),
        ({"data": datum("instance", "Observation/d1")}, {"d2"}),
        ({"data": datum("related", "Observation/d1")}, set()),
        ({"data": datum("related", "Observation/d2")}, {"d1"}),
        ({"data": datum("dependents", "Observation/d2")}, set()),
        ({"data": datum("dependents", "Observation/d1")}, {"d2"}),
        ({"data": datum("authoredby", "Organization/lab")}, {"d1", "d2"}),
        ({"class": [{"system": "http://hl7.org/fhir/resource-types", "code": "Observation"}]}, set()),
    ],
)
def test_C09_exactly_the_stated_documents(as_, dated, recorded, criterion, left):
    recorded(consent({"type": "deny", **criterion}))
    assert shown(as_("gp")) == left
    assert shown(as_("A")) == {"d1", "d2"}


def test_C09_a_permit_shows_exactly_the_stated_documents(as_, dated, recorded):
    provision = {"type": "permit", "actor": [actor("Practitioner/n")], "dataPeriod": {"start": "2021"}}
    recorded(consent(provision))
    assert shown(as_("N")) == {"d2"}
    assert as_("N").get("Observation/a1").status_code == 404


def test_C03_a_permit_to_everybody_brings_in_nobody(as_, dated, recorded):
    recorded(consent({"type": "permit", "provision": [{"type": "deny", "actor": [actor("Practitioner/n")],
                                                       "code": code("x")}]}))  # fmt: skip
    assert shown(as_("N")) == set()
    assert shown(as_("gp")) == {"d1", "d2"}


def group(*members: str) -> dict[str, Any]:
    made = {"resourceType": "Group", "id": "doctors", "type": "practitioner", "actual": True}
    rows = [{"entity": {"reference": member}} for member in members]
    return {**made, "member": rows} if rows else made


def test_C05_groups_emptied_and_deleted(as_, dated, recorded):
    operator = as_("operator")
    assert operator.put("Group/doctors", json=group("Practitioner/n")).status_code in (200, 201)
    recorded(consent({"type": "permit", "actor": [actor("Group/doctors")]}))
    assert shown(as_("N")) == {"d1", "d2"}
    operator.put("Group/doctors", json=group())
    assert shown(as_("N")) == set()
    operator.put("Group/doctors", json=group("Practitioner/n"))
    recorded(consent({"type": "deny", "actor": [actor("Group/doctors")]}))
    assert shown(as_("N")) == set()
    assert shown(as_("X")) == {"d1", "d2"}
    operator.put("Group/doctors", json=group())
    assert shown(as_("X")) == set()
    assert operator.delete("Group/doctors").status_code == 204
    assert shown(as_("X")) == set()


def test_C05_roles_and_professions(as_, dated, recorded):
    role = {"resourceType": "PractitionerRole", "id": "nr", "practitioner": {"reference": "Practitioner/n"}}
    assert as_("operator").put("PractitionerRole/nr", json=role).status_code == 201
    recorded(consent({"type": "permit", "actor": [actor("PractitionerRole/nr")]}))
    assert shown(as_("N")) == {"d1", "d2"}
    assert shown(as_("doctor")) == set()
    doctors = {
        "role": {"coding": [{"system": PROFESSIONS, "code": "10"}]},
        "reference": {"display": "doctors"},
    }
    recorded(consent({"type": "permit", "actor": [doctors]}))
    assert shown(as_("doctor")) == {"d1", "d2"}
    assert shown(as_("podiatrist")) == set()


def test_C06_the_purpose_of_the_token(as_, dated, recorded):
    purpose = [{"system": "http://terminology.hl7.org/CodeSystem/v3-ActReason", "code": "HRESCH"}]
    recorded(consent({"type": "deny", "purpose": purpose}))
    assert shown(as_("researcher")) == set()
    assert shown(as_("gp")) == {"d1", "d2"}


def letter(id_: str, kind: str) -> dict[str, Any]:
    return {
        "resourceType": "DocumentReference", "id": id_, "status": "current", "subject": {"reference": "Patient/A"},
        "type": {"coding": [{"system": HBPC, "code": kind}]}, "content": [{"attachment": {"contentType": "text/plain"}}],
    }  # fmt: skip


def test_C07_the_matrix_is_above_consent(as_, recorded):
    for id_, kind in (("birth", "15508-5"), ("visit", "11488-4")):
        answer = as_("operator").put(f"DocumentReference/{id_}", json=letter(id_, kind))
        assert answer.status_code == 201, answer.text
    recorded(consent({"type": "permit", "actor": [actor("Practitioner/pod"), actor("Practitioner/doctor")]}))
    birth = {
        "type": "permit",
        "class": [{"system": HBPC, "code": "15508-5"}],
        "actor": [actor("Practitioner/pod")],
    }
    recorded(consent(birth))
    assert ids(as_("podiatrist").get("DocumentReference")) == {"visit"}
    assert as_("podiatrist").get("DocumentReference/birth").status_code == 404
    assert ids(as_("doctor").get("DocumentReference")) == {"birth", "visit"}


def test_C08_an_old_page_link_shows_what_is_to_be_seen_now(as_, recorded):
    links = as_("gp").get("Observation?_count=1").json()["link"]
    following = next(link["url"] for link in links if link["relation"] == "next")
    recorded(consent({"type": "deny", "actor": [actor("Practitioner/gp")]}))
    assert ids(as_("gp").get(following)) & {"a1", "a2", "d1", "d2"} == set()


def test_L18_a_page_after_the_revocation(as_, recorded):
    links = as_("X").get("Observation?_count=1").json()["link"]
    following = next(link["url"] for link in links if link["relation"] == "next")
    recorded(consent({"type": "deny", "actor": [actor("Practitioner/x")]}))
    answer = as_("X").get(following)
    assert answer.status_code == 200
    assert ids(answer) & {"a1", "a2"} == set()


def test_C17_a_grant_of_a_part(as_, dated, recorded):
    aunt = {"resourceType": "RelatedPerson", "id": "aunt", "patient": {"reference": "Patient/A"}}
    assert as_("operator").put("RelatedPerson/aunt", json=aunt).status_code == 201
    assert shown(as_("aunt")) == set()
    reading = {"type": "permit", "actor": [actor("RelatedPerson/aunt")], "dataPeriod": {"start": "2021", "end": "2021"},
               "action": [{"coding": [{"code": "access"}]}]}  # fmt: skip
    recorded(consent(reading))
    assert shown(as_("aunt")) == {"d2"}
    assert as_("aunt").get("Patient/A").status_code == 404
    assert as_("aunt").post("Observation", json=observation("A")).status_code == 403
    assert ids(as_("aunt").get("AuditEvent")) == set()
    writing = {
        "type": "permit",
        "actor": [actor("RelatedPerson/aunt")],
        "action": [{"coding": [{"code": "collect"}]}],
    }
    recorded(consent(writing))
    assert as_("aunt").post("Observation", json=observation("A")).status_code == 201
    assert as_("aunt").post("Consent", json=consent(writing)).status_code == 403
    assert as_("aunt").post("CareTeam", json={"resourceType": "CareTeam", "subject": {"reference": "Patient/A"}}).status_code == 403  # fmt: skip
    assert as_("aunt").post("Patient/A/$close-space").status_code == 403


def test_C17_a_parent_is_stopped_only_by_name(as_, recorded):
    child = {**consent({"type": "deny"}), "patient": {"reference": "Patient/M"}}
    assert as_("operator").put("Consent/ofm", json={**child, "id": "ofm"}).status_code == 201
    assert as_("parent").get("Observation/m1").status_code == 200
    named = {**child, "id": "ofm", "provision": {"type": "deny", "actor": [actor("RelatedPerson/parent")]}}
    assert as_("operator").put("Consent/ofm", json=named).status_code == 200
    assert as_("parent").get("Observation/m1").status_code == 404
    assert as_("operator").delete("Consent/ofm").status_code == 204


def test_C17_a_representative_names_nobody_but_others(as_):
    own = {
        **consent({"type": "permit", "actor": [actor("RelatedPerson/parent")]}),
        "patient": {"reference": "Patient/M"},
    }
    assert as_("parent").post("Consent", json=own).status_code == 403


def test_C14_whoever_works_for_an_insurer_reads_nothing(as_):
    kind = {"system": "http://terminology.hl7.org/CodeSystem/organization-type", "code": "ins"}
    insurer = {"resourceType": "Organization", "id": "insurer", "name": "x", "type": [{"coding": [kind]}]}
    assert as_("X").get("Observation/a1").status_code == 200
    assert as_("operator").put("Organization/insurer", json=insurer).status_code == 201
    for path in ("Observation/a1", "Observation", "Patient/A", "Practitioner"):
        answer = as_("of insurer").get(path)
        assert (answer.status_code, answer.content) == (403, as_("insurer").get(path).content)
    permit = consent({"type": "permit", "actor": [actor("Organization/insurer")]})
    assert as_("A").post("Consent", json=permit).status_code == 422


@pytest.mark.parametrize("kind", ["Group", "List", "PractitionerRole", "CareTeam", "Consent"])
def test_C16_C31_by_every_way_of_writing(as_, kind):
    body = {
        "Group": group("Practitioner/n"),
        "List": {
            "resourceType": "List",
            "status": "current",
            "mode": "working",
            "subject": {"reference": "Patient/A"},
        },
        "PractitionerRole": {
            "resourceType": "PractitionerRole",
            "practitioner": {"reference": "Practitioner/n"},
        },
        "CareTeam": {"resourceType": "CareTeam", "status": "active", "subject": {"reference": "Patient/A"}},
        "Consent": consent({"type": "permit", "actor": [actor("Practitioner/n")]}),
    }[kind]
    ways = [
        ("POST", kind, body, {}),
        ("PUT", f"{kind}/ta", {**body, "id": "ta"}, {}),
        ("PUT", f"{kind}?identifier=x", body, {}),
        ("POST", kind, body, {"If-None-Exist": "identifier=x"}),
        ("PATCH", f"{kind}/ta", [{"op": "add", "path": "/language", "value": "fr"}],
         {"Content-Type": "application/json-patch+json"}),
    ]  # fmt: skip
    for name in ("N", "gp", "everything app"):
        for method, path, sent, more in ways:
            headers = {"Content-Type": "application/fhir+json", **more}
            answer = as_(name).request(method, path, content=json.dumps(sent), headers=headers)
            assert answer.status_code == 403, (name, method, path, answer.text)


def test_L39_contained_resources_take_the_keys_of_their_container(as_):
    foreign = observation("B")
    body = observation("A", contained=[{**foreign, "id": "c"}], hasMember=[{"reference": "#c"}])
    made = as_("A").post("Observation", json=body)
    if made.status_code == 201:
        id_ = made.json()["id"]
        assert as_("B").get(f"Observation/{id_}").status_code == 404
        assert id_ not in ids(as_("B").get("Observation?_count=1000"))
        assert ids(as_("A").get(f"Observation?_id={id_}&_include=Observation:has-member")) == {id_}
    else:
        assert made.status_code == 422


def test_C10_a_delay_reaches_no_representative(as_):
    label = {"system": VISIBILITY, "code": "INVISIBLE_REPRESENTANTS_LEGAUX"}
    id_ = as_("lab").post("Observation", json=observation("M", meta={"security": [label]})).json()["id"]
    assert as_("parent").get(f"Observation/{id_}").status_code == 404
    assert id_ not in ids(as_("parent").get("Observation?_count=1000"))
    assert as_("lab").get(f"Observation/{id_}").status_code == 200
