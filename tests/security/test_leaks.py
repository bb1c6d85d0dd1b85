"""Access leaks, numbered as the hardening checklist is: what an attacker may not see leaves through no door."""

from __future__ import annotations

import asyncio
import base64
import json
from typing import Any

import httpx
import pytest

from tests.security.world import CATEGORY, MARKER, observation, patient, same


def ids(answer: Any) -> set[str]:
    assert answer.status_code == 200, answer.text
    return {entry["resource"]["id"] for entry in answer.json().get("entry", ()) if "resource" in entry}


def test_L01_read_of_a_foreign_resource(as_):
    same(as_("A").get("Observation/b1"), as_("A").get("Observation/zz"), "b1", "zz")
    assert as_("A").get("Observation/a1").status_code == 200


def test_L02_head_of_a_foreign_resource(as_):
    answer = as_("A").head("Observation/b1")
    assert answer.status_code == 404
    assert "etag" not in answer.headers
    assert "last-modified" not in answer.headers


def test_L03_conditional_read_of_a_foreign_resource(as_):
    headers = {"If-None-Match": 'W/"1"'}
    same(
        as_("A").get("Observation/b1", headers=headers),
        as_("A").get("Observation/zz", headers=headers),
        "b1",
        "zz",
    )


@pytest.mark.parametrize("rest", ["/_history/1", "/_history", "/_history/1/$meta", "/$meta"])
def test_L04_L05_versions_of_a_foreign_resource(as_, rest):
    same(as_("A").get(f"Observation/b1{rest}"), as_("A").get(f"Observation/zz{rest}"), "b1", "zz")
    assert as_("A").get(f"Observation/a1{rest}").status_code == 200


def test_L06_a_resource_that_moved_shows_only_own_versions(as_):
    operator = as_("operator")
    assert operator.put("Observation/moved", json=observation("B", "moved", mark=MARKER)).status_code == 201
    assert operator.put("Observation/moved", json=observation("A", "moved")).status_code == 200
    history = as_("A").get("Observation/moved/_history").json()["entry"]
    assert [entry["resource"]["meta"]["versionId"] for entry in history] == ["2"]
    assert as_("A").get("Observation/moved/_history/1").status_code == 404


def test_L07_histories_of_type_and_system(as_):
    found = as_("A").get("Observation/_history?_count=1000").json()["entry"]
    shown = [entry["resource"] for entry in found if "resource" in entry]  # deletions have none
    assert {resource["subject"]["reference"] for resource in shown} == {"Patient/A"}
    assert as_("A").get("_history?_count=1000").status_code == 200
    assert as_("no scope").get("_history").status_code == 403


@pytest.mark.parametrize(
    "query",
    [
        "Observation?subject=Patient/B",
        "Observation?patient=B",
        "Patient/B/Observation",
        "Observation?_id=b1",
        "Observation?subject=Patient/B/_history/1",
        "Observation?subject=urn:uuid:B",
        "Observation?subject:identifier=urn:ins|ins-B",
        f"Observation?code:text={MARKER}",
        "Observation?_source=x",
        "DiagnosticReport?result=Observation/a1",
        "List?item=Observation/a1",
        "Observation?focus=Patient/A",
        "Device?patient=B",
        "Task?patient=B",
        "Provenance?target=Patient/B",
        "RelatedPerson?patient=B",
        "Communication?subject=Patient/B",
        "AuditEvent?entity=Patient/B",
    ],
)
def test_L08_L10_L13_L48_L50_searches_for_foreign_resources_are_empty(as_, query):
    answer = as_("A").get(query)
    assert ids(answer) == set()
    assert answer.json().get("total", 0) == 0


def test_L09_ids_of_several_patients(as_):
    answer = as_("A").get("Observation?_id=b1,a1&_total=accurate")
    assert ids(answer) == {"a1"}
    assert answer.json()["total"] == 1


def test_L10_an_absolute_reference(as_):
    base = str(as_("A").base_url)
    assert ids(as_("A").get(f"Observation?subject={base}Patient/B")) == set()


def test_L11_include_of_a_foreign_patient(as_):
    assert ids(as_("A").get("Coverage?_include=Coverage:subscriber")) == {"c1"}


def test_L12_revinclude_of_a_foreign_report(as_):
    found = ids(as_("A").get("Observation?_id=a1&_revinclude=DiagnosticReport:result&_revinclude=List:item"))
    assert found == {"a1"}


def test_L14_L15_iterated_and_wild_includes_stop_at_others(as_):
    found = ids(
        as_("A").get(
            "Observation?_include=*&_revinclude=*&_include:iterate=*&_revinclude:iterate=*&_count=100"
        )
    )
    assert found.isdisjoint({"b1", "b2", "B", "rb", "lb", "tb", "g1", "pb"})


def test_L17_a_page_link_is_its_callers(as_):
    links = as_("B").get("Observation?_count=1").json()["link"]
    following = next(link["url"] for link in links if link["relation"] == "next")
    assert as_("B").get(following).status_code == 200
    assert as_("A").get(following).status_code == 404


@pytest.mark.parametrize("name", [MARKER, "nobody"])
def test_L19_a_chain_without_scope_is_refused_alike(as_, name):
    answer = as_("narrow app").get(f"Observation?subject:Patient.name={name}")
    assert answer.status_code == 403
    assert answer.json() == as_("narrow app").get("Observation?subject:Patient.name=other").json()


def test_L20_a_chain_through_a_hidden_row_matches_nothing(as_):
    assert ids(as_("A").get("Coverage?subscriber:Patient.name=Family%20B")) == set()


def test_L21_reverse_chains(as_):
    assert as_("narrow app").get("Patient?_has:Observation:patient:code=718-7").status_code == 403
    assert ids(as_("A").get("Patient?_has:Observation:patient:code=718-7")) == {"A"}
    assert ids(as_("A").get(f"Observation?_has:DiagnosticReport:result:code:text={MARKER}")) == set()


def test_L22_a_foreign_list_is_an_unknown_list(as_):
    assert ids(as_("A").get("Observation?_list=lb")) == ids(as_("A").get("Observation?_list=zz")) == set()


def test_L23_counts_and_totals(as_):
    own = len(ids(as_("A").get("Observation?_count=1000")))
    for query in ("_summary=count", "_total=accurate", "_total=estimate"):
        assert as_("A").get(f"Observation?{query}").json()["total"] == own, query


def test_L24_parts_of_a_foreign_resource(as_):
    for query in ("_elements=identifier", "_summary=text"):
        same(as_("A").get(f"Observation/b1?{query}"), as_("A").get(f"Observation/zz?{query}"), "b1", "zz")


def test_L25_a_type_outside_the_scope_is_refused_alike(as_):
    with_data, without = as_("narrow app").get("Coverage"), as_("narrow app").get("Basic")
    assert with_data.status_code == without.status_code == 403
    assert with_data.content == without.content


def test_L30_a_batch_is_judged_entry_by_entry(as_):
    entries = [{"request": {"method": "GET", "url": f"Observation/{id_}"}} for id_ in ("a1", "b1", "zz")]
    answer = as_("A").post("", json={"resourceType": "Bundle", "type": "batch", "entry": entries})
    found = answer.json()["entry"]
    assert [row["response"]["status"][:3] for row in found] == ["200", "404", "404"]
    assert found[1] == found[2]


def test_L31_conditional_references_find_own_resources_only(as_):
    def post(value: str) -> Any:
        resource = observation("A")
        resource["subject"] = {"reference": f"Patient?identifier=urn:ins|{value}"}
        entry = {"request": {"method": "POST", "url": "Observation"}, "resource": resource}
        return as_("A").post("", json={"resourceType": "Bundle", "type": "transaction", "entry": [entry]})

    hidden, unknown = post(f"ins-B{MARKER}"), post("ins-none")
    assert hidden.status_code == unknown.status_code
    assert hidden.status_code in (412, 422)
    assert hidden.text.replace(f"ins-B{MARKER}", "V") == unknown.text.replace("ins-none", "V")


def test_L32_if_none_exist_sees_own_resources_only(as_):
    resource = observation(
        "A", code={"text": "only hers"}, identifier=[{"system": "urn:x", "value": "shared"}]
    )
    theirs = observation("B", "shared", mark=MARKER, identifier=[{"system": "urn:x", "value": "shared"}])
    assert as_("operator").put("Observation/shared", json=theirs).status_code == 201
    headers = {"If-None-Exist": "identifier=urn:x|shared"}
    assert as_("A").post("Observation", json=resource, headers=headers).status_code == 201
    assert as_("A").post("Observation", json=resource, headers=headers).status_code == 200


def test_L33_conditional_writes_act_on_what_is_visible(as_):
    only = "Observation?identifier=urn:x|only-b"
    theirs = observation("B", "onlyb", mark=MARKER, identifier=[{"system": "urn:x", "value": "only-b"}])
    assert as_("operator").put("Observation/onlyb", json=theirs).status_code == 201
    assert as_("A").delete(only).status_code == 204
    patch = [{"op": "replace", "path": "/status", "value": "amended"}]
    headers = {"Content-Type": "application/json-patch+json"}
    assert as_("A").patch(only, content=json.dumps(patch), headers=headers).status_code == 404
    assert as_("B").get("Observation/onlyb").json()["meta"]["versionId"] == "1"


def test_L34_an_update_of_a_foreign_id_is_one_of_an_unknown_id(as_):
    same(
        as_("A").put("Observation/b1", json=observation("A", "b1")),
        as_("A").put("Observation/zz", json=observation("A", "zz")),
        "b1",
        "zz",
    )
    assert as_("B").get("Observation/b1").json()["meta"]["versionId"] == "1"


@pytest.mark.parametrize("subject", ["B", "zz"])
def test_L35_nobody_writes_into_anothers_space(as_, subject):
    answer = as_("A").post("Observation", json=observation(subject))
    assert answer.status_code == 403
    assert answer.text == as_("A").post("Observation", json=observation("qq")).text


@pytest.mark.parametrize("other", ["B", "zz"])
def test_L36_a_body_names_one_patient(as_, other):
    allergy = {
        "resourceType": "AllergyIntolerance",
        "patient": {"reference": "Patient/A"},
        "recorder": {"reference": f"Patient/{other}"},
        "code": {"text": "x"},
        "clinicalStatus": {
            "coding": [
                {
                    "system": "http://terminology.hl7.org/CodeSystem/allergyintolerance-clinical",
                    "code": "active",
                }
            ]
        },
    }
    performed = observation("A", performer=[{"reference": f"Patient/{other}"}])
    for type_, body in (("AllergyIntolerance", allergy), ("Observation", performed)):
        answer = as_("A").post(type_, json=body)
        assert answer.status_code == 422, answer.text
        assert answer.json()["issue"][0]["code"] == "business-rule"


def test_L37_a_resource_stays_at_home_and_keeps_its_labels(as_):
    label = {"system": "http://terminology.hl7.org/CodeSystem/v3-Confidentiality", "code": "R"}
    made = as_("app").post("Observation", json=observation("A", meta={"security": [label]}))
    assert made.status_code == 201
    # what carries R is above an app's clearance: the app doesn't even see it again
    assert as_("app").get(f"Observation/{made.json()['id']}").status_code == 404
    own = (
        as_("app")
        .post("Observation", json=observation("A", meta={"security": [{**label, "code": "N"}]}))
        .json()["id"]
    )
    headers = {"Content-Type": "application/json-patch+json"}
    for operation in (
        {"op": "replace", "path": "/subject/reference", "value": "Patient/B"},
        {"op": "replace", "path": "/meta/security/0/code", "value": "L"},
    ):
        answer = as_("app").patch(f"Observation/{own}", content=json.dumps([operation]), headers=headers)
        assert answer.status_code == 403, answer.text
    assert as_("app").get(f"Observation/{own}").json()["meta"]["versionId"] == "1"


def test_L38_labels_are_raised_and_not_lowered(as_):
    low = {"system": "http://terminology.hl7.org/CodeSystem/v3-Confidentiality", "code": "L"}
    own = as_("app").post("Observation", json=observation("A", meta={"security": [low]})).json()["id"]

    def change(verb: str, code: str) -> int:
        meta = {"security": [{**low, "code": code}]}
        body = {"resourceType": "Parameters", "parameter": [{"name": "meta", "valueMeta": meta}]}
        return as_("app").post(f"Observation/{own}/$meta-{verb}", json=body).status_code

    assert change("add", "N") == 200
    assert change("delete", "N") == 403


def test_L40_a_subject_by_identifier_only(as_):
    resource = observation("A")
    resource["subject"] = {"identifier": {"system": "urn:ins", "value": "ins-B"}}
    assert as_("A").post("Observation", json=resource).status_code in (403, 422)


def test_L41_binaries(as_):
    data = base64.b64encode(MARKER.encode()).decode()
    with_context = {
        "resourceType": "Binary",
        "contentType": "text/plain",
        "data": data,
        "securityContext": {"reference": "Patient/B"},
    }
    without = {key: value for key, value in with_context.items() if key != "securityContext"}
    made = [as_("lab").post("Binary", json=body) for body in (with_context, without)]
    assert [answer.status_code for answer in made] == [201, 201], [answer.text for answer in made]
    for answer in made:
        id_ = answer.json()["id"]
        same(as_("A").get(f"Binary/{id_}"), as_("A").get("Binary/zz"), id_, "zz")
        assert as_("lab").get(f"Binary/{id_}").status_code == 200
    assert as_("B").get(f"Binary/{made[0].json()['id']}").status_code == 200


def test_L44_an_identifier_of_another_is_free(as_):
    resource = observation("A", identifier=[{"system": "urn:x", "value": "only-b"}])
    assert as_("A").post("Observation", json=resource).status_code == 201


@pytest.mark.parametrize(
    "name",
    ["Device/db", "Task/kb", "Communication/mb", "RelatedPerson/rpb", "Provenance/pb", "List/lb", "Group/g1"],
)
def test_L48_L49_L50_other_types_of_a_foreign_patient(as_, name):
    type_ = name.split("/")[0]
    answer = as_("A").get(name)
    assert answer.status_code in (403, 404), answer.text
    unknown = as_("A").get(f"{type_}/zz")
    assert (answer.status_code, answer.text) == (unknown.status_code, unknown.text)


def test_L51_the_directory_is_readable_but_leads_nowhere(as_):
    assert as_("A").get("Practitioner/gp").status_code == 200
    assert ids(as_("A").get("Practitioner?_id=gp&_revinclude=Observation:performer")) == {"gp"}


def test_L55_granular_scopes(as_):
    assert ids(as_("vitals").get("Observation")) == {"a2"}
    assert as_("vitals").get("Observation/a1").status_code == 404
    assert as_("vitals").get("Observation/a2").status_code == 200
    assert ids(as_("vitals").get(f"Observation?category={CATEGORY}|laboratory")) == set()


def test_L58_patient_scopes_without_a_patient(as_):
    assert as_("no patient").get("Observation").status_code == 403
    assert as_("no patient").get("Practitioner").status_code == 200


def test_L61_letters_of_writes(as_):
    own = as_("app").post("Observation", json=observation("A")).json()["id"]
    assert as_("writer").put(f"Observation/{own}", json=observation("A", own)).status_code == 200
    assert as_("writer").put("Observation/zz", json=observation("A", "zz")).status_code == 404
    assert as_("creator").post("Observation", json=observation("A")).status_code == 201
    assert as_("creator").put("Observation/zz", json=observation("A", "zz")).status_code == 403
    assert as_("creator").put(f"Observation/{own}", json=observation("A", own)).status_code == 403


def test_L62_a_deleted_resource_is_gone_for_its_owner_only(as_):
    own = as_("B").post("Observation", json=observation("B")).json()["id"]
    assert as_("B").delete(f"Observation/{own}").status_code == 204
    assert as_("B").get(f"Observation/{own}").status_code == 410
    same(as_("A").get(f"Observation/{own}"), as_("A").get("Observation/zz"), own, "zz")


def test_L64_texts_of_foreign_resources(as_):
    for name in ("_content", "_text"):
        assert ids(as_("A").get(f"DiagnosticReport?{name}={MARKER}")) == set()
        assert as_("B").get(f"DiagnosticReport?{name}={MARKER}").status_code == 200


def test_L68_documents_without_keys_are_invisible(as_, mongo_client, module_database_name):
    observations = mongo_client[module_database_name]["Observation"]
    own = as_("A").post("Observation", json=observation("A")).json()["id"]
    for change in (
        {"$unset": {"_sec": ""}},
        {"$set": {"_sec": {"ver": 0, "conf": 3, "cls": ["Observation"]}}},
    ):
        observations.update_one({"_id": own}, change)
        assert as_("A").get(f"Observation/{own}").status_code == 404
        assert own not in ids(as_("A").get("Observation?_count=1000"))


def test_who_does_not_sign_in_sees_what_is_public(as_):
    assert as_("").get("metadata").status_code == 200
    assert as_("").get("ValueSet").status_code == 200
    for path in ("Observation/a1", "Observation", "_history", "Patient/A/$meta"):
        answer = as_("").get(path)
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"] == "Bearer"


def test_a_token_that_nobody_knows(as_):
    assert as_("unknown").get("Observation").status_code == 401


def test_T37_a_token_without_scopes(as_):
    assert as_("no scope").get("metadata").status_code == 200
    answer = as_("no scope").get("Observation")
    assert answer.status_code == 403
    assert "insufficient_scope" in answer.headers["www-authenticate"]


def test_a_new_patient_is_the_operators(as_):
    assert as_("A").post("Patient", json=patient("zz")).status_code == 403


@pytest.mark.parametrize("name", ["$everything", "$summary", "$passport"])
def test_L26_L47_operations_on_a_foreign_record(as_, name):
    same(as_("A").get(f"Patient/B/{name}"), as_("A").get(f"Patient/zz/{name}"), "B", "zz")
    assert as_("insurer").get(f"Patient/A/{name}").status_code == 403
    assert as_("").get(f"Patient/A/{name}").status_code == 401


def test_L26_L27_a_record_holds_what_its_reader_may_see(as_):
    found = ids(as_("A").get("Patient/A/$everything"))
    assert {"A", "a1", "c1"} <= found
    assert found.isdisjoint({"B", "b1", "b2", "rb", "lb", "tb", "g1"})
    # a type without scope is left out and is no error
    assert {
        entry["resource"]["resourceType"] for entry in as_("app").get("Patient/A/$everything").json()["entry"]
    } <= {
        "Patient",
        "Observation",
        "Practitioner",
        "Organization",
    }


async def test_L66_readers_of_one_query_get_their_own_rows(smart):
    base = str(smart.base_url.join("fhir/"))
    async with httpx.AsyncClient(base_url=base, timeout=60) as client:
        for _ in range(40):
            calls = [
                client.get(f"Observation/{id_}", headers={"Authorization": f"Bearer {who}"})
                for id_ in ("a1", "b1")
                for who in ("A", "B")
            ] * 8
            answers = await asyncio.gather(*calls)
            assert [answer.status_code for answer in answers] == [200, 404, 404, 200] * 8
