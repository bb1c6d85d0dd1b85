"""The life of a space: states, opening job, opposition, closing, identity, and who may write."""

import itertools
import json
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest

HS = "https://health-space.example/fhir"
PROFILE = f"{HS}/StructureDefinition/"
_numbers = itertools.count(1)


@pytest.fixture(scope="module")
def fhir(site_with):
    with site_with({"content.load": True}) as client:
        client.base_url = client.base_url.join("fhir/")
        yield client


def ins():
    first = f"22201990{next(_numbers):05}"
    return f"{first}{97 - int(first) % 97:02}"


def citizen(fhir, birth_date="2022-01-03", value=None, **more):
    body = {
        "resourceType": "Patient",
        "meta": {"profile": [PROFILE + "hs-patient"]},
        "identifier": [
            {"use": "official", "system": "urn:oid:1.2.250.1.213.1.4.10", "value": value or ins()}
        ],
        "active": False,
        "name": [{"use": "official", "family": "EXEMPLE", "given": ["Lou"]}],
        "gender": "female",
        "birthDate": birth_date,
        **more,
    }
    answer = fhir.post("Patient", json=body)
    assert answer.status_code == 201, answer.text
    return answer.json()["id"]


def call(fhir, patient, name, **given):
    rows = [
        {"name": key, "valueBoolean" if value is True else "valueString": value}
        for key, value in given.items()
    ]
    return fhir.post(
        f"Patient/{patient}/${name}", json={"resourceType": "Parameters", "parameter": rows} if rows else None
    )


def told(answer):
    return {row["name"]: row[next(key for key in row if key != "name")] for row in answer.json()["parameter"]}


def state(fhir, patient):
    answer = fhir.get(f"Patient/{patient}/$space")
    return told(answer)["state"] if answer.status_code == 200 else answer.status_code


def is_active(fhir, patient):
    return fhir.get(f"Patient/{patient}").json()["active"]


def ago(**time):
    return (datetime.now(UTC) - timedelta(**time)).isoformat(timespec="milliseconds")


def run_job(fhir):
    rows = fhir.post("Patient/$open-due-spaces").json().get("parameter", [])
    opened = [
        row["valueReference"]["reference"].removeprefix("Patient/") for row in rows if row["name"] == "opened"
    ]
    refused = {
        row["part"][0]["valueReference"]["reference"].removeprefix("Patient/"): row["part"][1]["valueString"]
        for row in rows
        if row["name"] == "refused"
    }
    return opened, refused


def opposition(patient, status="active"):
    return {
        "resourceType": "Consent",
        "meta": {"profile": [PROFILE + "hs-space-opposition"]},
        "status": status,
        "scope": {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/consentscope", "code": "patient-privacy"}]},
        "category": [{"coding": [{"system": f"{HS}/CodeSystem/hs-consent-category", "code": "space-opening"}]}],
        "patient": {"reference": f"Patient/{patient}"},
        "dateTime": "2026-03-01T10:00:00Z",
        "performer": [{"reference": f"Patient/{patient}"}],
        "policyRule": {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "OPTOUT"}]},
    }  # fmt: skip


def test_opened_closed_and_opened_again(fhir):
    patient = citizen(fhir)
    assert state(fhir, patient) == 404
    assert call(fhir, patient, "close-space").status_code == 422
    assert told(call(fhir, patient, "open-space"))["origin"] == "requested"
    assert (state(fhir, patient), is_active(fhir, patient)) == ("open", True)
    assert call(fhir, patient, "open-space").status_code == 200
    assert fhir.get(f"Patient/{patient}").json()["meta"]["versionId"] == "2"
    assert call(fhir, patient, "close-space").status_code == 200
    assert (state(fhir, patient), is_active(fhir, patient)) == ("closed", False)
    assert call(fhir, patient, "open-space").status_code == 200
    assert (state(fhir, patient), is_active(fhir, patient)) == ("open", True)
    assert call(fhir, "nobody", "open-space").status_code == 404


def test_the_job_opens_what_is_due_once(fhir):
    due = {days: citizen(fhir) for days in (41, 42, 43)}
    for days, patient in due.items():
        assert (
            told(call(fhir, patient, "open-space", notice=ago(days=days, seconds=1)))["state"]
            == "opening-pending"
        )
    older, young = citizen(fhir, "2021-12-31"), citizen(fhir, "2022-01-01")
    invalid = citizen(fhir)
    sent = fhir.get(f"Patient/{invalid}").json()
    del sent["meta"]["profile"]
    sent["identifier"][0]["value"] = "222019901234500"
    assert fhir.put(f"Patient/{invalid}", json=sent).status_code == 200
    returned, opposed = citizen(fhir), citizen(fhir)
    for patient in (older, young, invalid, returned, opposed):
        call(fhir, patient, "open-space", notice=ago(days=50))
    call(fhir, returned, "open-space", returned=True)
    assert fhir.post("Consent", json=opposition(opposed)).status_code == 201
    with ThreadPoolExecutor(2) as pool:
        reports = list(pool.map(lambda _: run_job(fhir), range(2)))
    opened = sorted(patient for report in reports for patient in report[0])
    assert opened == sorted([due[42], due[43], young])
    assert reports[0][1].keys() == {older, invalid}
    assert "cohort" in reports[0][1][older]
    assert "hs-patient" in reports[0][1][invalid]
    assert told(fhir.get(f"Patient/{young}/$space"))["origin"] == "automatic"
    assert [state(fhir, one) for one in (due[41], returned, opposed)] == ["opening-pending"] * 2 + ["opposed"]
    events = fhir.get("AuditEvent", params={"entity": f"Patient/{young}"}).json()
    assert events["total"] == 1 if "total" in events else len(events["entry"]) == 1
    judged = fhir.post("AuditEvent/$validate", json=events["entry"][0]["resource"]).json()["issue"]
    assert not [issue for issue in judged if issue["severity"] in ("error", "fatal")], judged
    assert run_job(fhir)[0] == []
    assert is_active(fhir, young) is True


def test_an_opposition_and_its_withdrawal_change_the_space_at_once(fhir):
    patient = citizen(fhir)
    call(fhir, patient, "open-space")
    answer = fhir.post("Consent", json=opposition(patient))
    assert answer.status_code == 201, answer.text
    assert (state(fhir, patient), is_active(fhir, patient)) == ("opposed", False)
    assert call(fhir, patient, "open-space").status_code == 422
    consent = answer.json() | {"status": "inactive"}
    assert fhir.put(f"Consent/{consent['id']}", json=consent).status_code == 200
    assert (state(fhir, patient), is_active(fhir, patient)) == ("closed", False)
    assert run_job(fhir)[0] == []
    assert call(fhir, patient, "open-space").status_code == 200


def test_active_follows_the_space(fhir):
    patient = citizen(fhir)
    call(fhir, patient, "open-space")
    sent = fhir.get(f"Patient/{patient}").json() | {"active": False}
    answer = fhir.put(f"Patient/{patient}", json=sent)
    assert answer.status_code == 422
    assert "hs-b-patient-active" in answer.text


def test_one_national_identity_is_one_citizen(fhir):
    value = ins()
    first = citizen(fhir, value=value)
    body = fhir.get(f"Patient/{first}").json()
    again = fhir.post("Patient", json=body)
    assert (again.status_code, again.json()["issue"][0]["code"]) == (409, "duplicate")
    assert "hs-b-ins-unique" in again.text
    bundle = {
        "resourceType": "Bundle",
        "type": "transaction",
        "entry": [{"resource": body, "request": {"method": "POST", "url": "Patient"}}],
    }
    assert fhir.post("", json=bundle).status_code == 409
    assert fhir.put(f"Patient/{first}", json=body | {"gender": "male"}).status_code == 200
    other = ins()
    changed = fhir.get(f"Patient/{first}").json()
    changed["identifier"][0]["value"] = other
    assert fhir.put(f"Patient/{first}", json=changed).status_code == 200
    second = citizen(fhir, value=value)  # given back
    assert fhir.delete(f"Patient/{second}").status_code == 204
    citizen(fhir, value=value)


def test_one_identity_when_all_come_at_once(fhir):
    body = {
        "resourceType": "Patient",
        "meta": {"profile": [PROFILE + "hs-patient"]},
        "identifier": [{"use": "official", "system": "urn:oid:1.2.250.1.213.1.4.10", "value": ins()}],
        "active": False,
        "name": [{"use": "official", "family": "EXEMPLE", "given": ["Lou"]}],
        "gender": "female",
        "birthDate": "2022-01-03",
    }
    with ThreadPoolExecutor(8) as pool:
        told = sorted(pool.map(lambda _: fhir.post("Patient", json=body).status_code, range(8)))
    assert told == [201] + [409] * 7


def wish(patient, rule="OPTIN", at="2036-03-01T10:00:00Z", performer=None):
    return {
        **opposition(patient),
        "meta": {"profile": [PROFILE + "hs-organ-donation-wish"]},
        "scope": {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/consentscope", "code": "adr"}]},
        "category": [
            {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/consentcategorycodes", "code": "acd"}]},
            {"coding": [{"system": f"{HS}/CodeSystem/hs-consent-category", "code": "organ-donation"}]},
        ],
        "dateTime": at,
        "performer": [{"reference": performer or f"Patient/{patient}"}],
        "policyRule": {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": rule}]},
    }  # fmt: skip


def test_a_new_wish_supersedes_the_old_one(fhir):
    patient = citizen(fhir)
    first = fhir.post("Consent", json=wish(patient))
    assert first.status_code == 201, first.text
    second = fhir.post("Consent", json=wish(patient, "OPTOUT")).json()
    bundle = {
        "resourceType": "Bundle",
        "type": "transaction",
        "entry": [{"resource": wish(patient), "request": {"method": "POST", "url": "Consent"}}],
    }
    assert fhir.post("", json=bundle).status_code == 200
    with ThreadPoolExecutor(4) as pool:
        told = set(pool.map(lambda _: fhir.post("Consent", json=wish(patient)).status_code, range(4)))
    assert told == {201}
    found = fhir.get("Consent", params={"patient": f"Patient/{patient}"}).json()["entry"]
    statuses = {entry["resource"]["id"]: entry["resource"]["status"] for entry in found}
    assert sorted(statuses.values()) == ["active", *["inactive"] * 6]
    assert statuses[first.json()["id"]] == statuses[second["id"]] == "inactive"


@pytest.mark.parametrize(("at", "status"), [("2035-01-02T23:00:00Z", 422), ("2035-01-03T00:00:00Z", 201)])
def test_who_is_thirteen_states_the_wish_alone(fhir, at, status):
    answer = fhir.post("Consent", json=wish(citizen(fhir), at=at))
    assert answer.status_code == status
    assert (status == 201) or "hs-b-wish-age" in answer.text


def related(patient, code, *, system="https://mos.esante.gouv.fr/NOS/TRE_R260-HL7RoleClass/FHIR/TRE-R260-HL7RoleClass", priority=None):  # fmt: skip
    made = {
        "resourceType": "RelatedPerson",
        "active": True,
        "patient": {"reference": f"Patient/{patient}"},
        "relationship": [{"coding": [{"system": system, "code": code}]}],
        "name": [{"text": "Dominique"}],
        "telecom": [{"system": "phone", "value": "+33 6 39 98 12 34"}],
    }
    if priority:
        made["extension"] = [{"url": PROFILE + "hs-contact-priority", "valuePositiveInt": priority}]
    if code == "ECON":
        made["meta"] = {"profile": [PROFILE + "hs-emergency-contact"]}
    return made


def test_a_representative_states_the_wish_of_a_child(fhir):
    patient = citizen(fhir)
    for code, status in (("GUARD", 201), ("CAREGIVER", 422)):
        person = fhir.post("RelatedPerson", json=related(patient, code)).json()["id"]
        answer = fhir.post(
            "Consent", json=wish(patient, at="2026-01-01T00:00:00Z", performer=f"RelatedPerson/{person}")
        )
        assert answer.status_code == status, answer.text


def test_contacts_have_priorities_of_their_own_and_are_five_at_most(fhir):
    patient = citizen(fhir)
    assert fhir.post("RelatedPerson", json=related(patient, "ECON", priority=1)).status_code == 201
    again = fhir.post("RelatedPerson", json=related(patient, "ECON", priority=1))
    assert (again.status_code, "hs-b-contact-priority" in again.text) == (422, True)
    for priority in range(2, 6):
        assert fhir.post("RelatedPerson", json=related(patient, "ECON", priority=priority)).status_code == 201
    sixth = fhir.post("RelatedPerson", json=related(patient, "ECON"))
    assert (sixth.status_code, "hs-b-contacts-max" in sixth.text) == (422, True)


def test_a_statement_is_there_once(fhir):
    name = "remboursement-generaliste-camille.json"
    from fhir_server.definitions.content import content_folder

    body = json.loads((content_folder("examples") / "pass/ExplanationOfBenefit" / name).read_text())
    body["meta"] = {"profile": [PROFILE + "hs-reimbursement"]}
    assert fhir.post("ExplanationOfBenefit", json=body).status_code == 201
    again = fhir.post("ExplanationOfBenefit", json=body)
    assert (again.status_code, "hs-b-eob-unique" in again.text) == (409, True)


def test_nothing_is_put_into_a_space_that_is_not_open(site_with):
    with site_with(
        {"space.enforce": True, "space.test_identities": "accept", "content.load": True}
    ) as client:
        client.base_url = client.base_url.join("fhir/")
        patient = citizen(client)
        flag = {
            "resourceType": "Flag",
            "status": "active",
            "code": {"text": "x"},
            "subject": {"reference": f"Patient/{patient}"},
        }
        bundle = {
            "resourceType": "Bundle",
            "type": "transaction",
            "entry": [{"resource": flag, "request": {"method": "POST", "url": "Flag"}}],
        }
        line = json.dumps(
            {
                "resourceType": "Observation",
                "subject": flag["subject"],
                "status": "final",
                "code": {"text": "x"},
            }
        )
        refused = client.post("Flag", json=flag)
        assert (refused.status_code, "space-not-open" in refused.text) == (403, True)
        assert client.post("", json=bundle).status_code == 403
        ingested = client.post(
            "Observation/$ingest", content=line, headers={"Content-Type": "application/fhir+ndjson"}
        )
        assert json.loads(ingested.text)["status"] == 403
        call(client, patient, "open-space")
        made = client.post("Flag", json=flag)
        assert made.status_code == 201
        call(client, patient, "close-space")
        sent = made.json() | {"status": "inactive"}
        assert client.put(f"Flag/{sent['id']}", json=sent).status_code == 403
        patched = client.patch(
            f"Flag/{sent['id']}",
            content=b'[{"op":"replace","path":"/status","value":"inactive"}]',
            headers={"Content-Type": "application/json-patch+json"},
        )
        assert patched.status_code == 403


def test_test_identities_are_refused_in_production(site_with):
    with site_with({"space.test_identities": "refuse", "content.load": True}) as client:
        client.base_url = client.base_url.join("fhir/")
        with pytest.raises(AssertionError, match="hs-b-test-ins"):
            citizen(client)


def test_what_was_closed_for_ten_years_is_erased(fhir, mongo_client, module_database_name):
    due, young = citizen(fhir), citizen(fhir)
    flag = {"resourceType": "Flag", "status": "active", "code": {"text": "x"}}
    ids, binaries = {}, {}
    for patient in (due, young):
        call(fhir, patient, "open-space")
        made = fhir.post("Flag", json=flag | {"subject": {"reference": f"Patient/{patient}"}}).json()
        ids[patient] = made["id"]
        fhir.put(f"Flag/{made['id']}", json=made | {"code": {"text": "y"}})
        document = {
            "resourceType": "DocumentReference", "status": "current", "subject": {"reference": f"Patient/{patient}"},
            "content": [{"attachment": {"title": "x"}}],
        }  # fmt: skip
        document = fhir.post("DocumentReference", json=document).json()
        binary = {
            "resourceType": "Binary", "contentType": "text/plain", "data": "YQ==",
            "securityContext": {"reference": f"DocumentReference/{document['id']}"},
        }  # fmt: skip
        binaries[patient] = fhir.post(
            "Binary", json=binary, headers={"Content-Type": "application/fhir+json"}
        ).json()["id"]
        deleted = fhir.post("Flag", json=flag | {"subject": {"reference": f"Patient/{patient}"}}).json()
        fhir.delete(f"Flag/{deleted['id']}")
        call(fhir, patient, "close-space")
    database = mongo_client[module_database_name]
    ten = (datetime.now(UTC) - timedelta(days=3654)).timestamp() * 1000
    database["spaces"].update_one({"_id": due}, {"$set": {"since": int(ten)}})
    database["spaces"].update_one({"_id": young}, {"$set": {"since": int(ten) + 40 * 86_400_000}})

    def erase(**given):
        rows = [{"name": name, "valueBoolean": value} for name, value in given.items()]
        answer = fhir.post(
            "Patient/$erase-due-spaces", json={"resourceType": "Parameters", "parameter": rows}
        )
        return {
            row["part"][0]["valueReference"]["reference"].removeprefix("Patient/"): row["part"][1][
                "valueInteger"
            ]
            for row in answer.json()["parameter"]
            if row["name"] == "erased"
        }

    would = erase(dryRun=True)
    assert would.keys() == {due}
    assert fhir.get(f"Flag/{ids[due]}").status_code == 200
    assert erase() == would
    assert erase() == {}
    assert fhir.get(f"Flag/{ids[due]}").status_code == 404
    assert fhir.get(f"Flag/{ids[due]}/_history").status_code == 404
    assert fhir.get(f"Patient/{due}").status_code == 404
    assert fhir.get(f"Binary/{binaries[due]}").status_code == 404
    assert fhir.get(f"Binary/{binaries[young]}").status_code == 200
    for name in database.list_collection_names():
        if name not in ("AuditEvent", "spaces", "purges"):
            assert database[name].count_documents({"$or": [{"p": due}, {"_sec.own": due}]}) == 0, name
    assert database["spaces"].find_one({"_id": due})["st"] == "erased"
    assert fhir.get("AuditEvent", params={"entity": f"Patient/{due}"}).json()["entry"]
    assert fhir.get(f"Flag/{ids[young]}").json()["code"] == {"text": "y"}
    assert call(fhir, young, "open-space").status_code == 200
    # A purge that a crash prevented is made up for.
    database["Flag"].insert_one({"_id": "left", "p": due, "v": 1})
    assert erase() == {due: 1}
