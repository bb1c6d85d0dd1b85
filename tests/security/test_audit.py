"""The audit, door by door: C21 to C26 and C32 of the hardening checklist."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from pymongo import MongoClient

ON = {"audit.mode": "on", "mongodb.timeout_s": 1.0}


@pytest.fixture(scope="module")
def site(site_with: Callable[[dict[str, Any]], Any]) -> Iterator[httpx.Client]:
    """The application with an audit."""
    with site_with(ON) as site, httpx.Client(base_url=site.base_url.join("fhir/"), timeout=60) as client:
        yield client


@pytest.fixture
def events(
    site: httpx.Client, mongo_client: MongoClient[dict[str, Any]], module_database_name: str
) -> Callable[[], list[dict[str, Any]]]:
    """Return the events since the last call, as they are stored."""
    import json

    database = mongo_client[module_database_name]
    seen: set[str] = set()

    def since() -> list[dict[str, Any]]:
        found = []
        for name in sorted(database.list_collection_names()):
            if name.startswith("audit."):
                for row in database[name].find(sort=[("_id", 1)]):
                    if row["_id"] not in seen:
                        seen.add(row["_id"])
                        found.append(json.loads(row["j"]))
        return found

    assert site is not None
    since()
    return since


def patient(site: httpx.Client, family: str = "Durand") -> str:
    """Create a patient and return its id."""
    answer = site.post("Patient", json={"resourceType": "Patient", "name": [{"family": family}]})
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


def observation(patient_id: str) -> dict[str, Any]:
    """Return an Observation of a patient."""
    return {
        "resourceType": "Observation",
        "status": "final",
        "code": {"text": "pulse"},
        "subject": {"reference": f"Patient/{patient_id}"},
    }


def told(event: dict[str, Any]) -> tuple[str, str, str, str, str]:
    """Return subtype, action, outcome, patient and resource of an event."""
    of = {entity.get("type", {}).get("code"): entity for entity in event.get("entity", ())}
    subtype = event.get("subtype", [{"code": ""}])[0]["code"]
    patient = of.get("1", {}).get("what", {}).get("reference", "")
    return (
        subtype,
        event["action"],
        event["outcome"],
        patient,
        of.get("2", {}).get("what", {}).get("reference", ""),
    )


def test_c21_each_single_interaction_leaves_one_event(site: httpx.Client, events: Any) -> None:
    id_ = patient(site)
    who = f"Patient/{id_}"
    assert [told(event) for event in events()] == [("create", "C", "0", who, f"{who}/_history/1")]
    made = site.post("Observation", json=observation(id_)).json()
    what = f"Observation/{made['id']}"
    assert [told(event) for event in events()] == [("create", "C", "0", who, f"{what}/_history/1")]
    for ask, expected in (
        (lambda: site.get(what), ("read", "R", "0", who, f"{what}/_history/1")),
        (
            lambda: site.put(what, json={**made, "status": "amended"}),
            ("update", "U", "0", who, f"{what}/_history/2"),
        ),
        (lambda: site.get(f"{what}/_history/1"), ("vread", "R", "0", who, f"{what}/_history/1")),
        (
            lambda: site.patch(
                what,
                content='[{"op":"replace","path":"/status","value":"final"}]',
                headers={"content-type": "application/json-patch+json"},
            ),
            ("patch", "U", "0", who, f"{what}/_history/3"),
        ),
        (
            lambda: site.get(what, headers={"if-none-match": 'W/"3"'}),
            ("read", "R", "0", who, f"{what}/_history/3"),
        ),
        (lambda: site.get(f"{what}/_history"), ("history-instance", "E", "0", who, "")),
        (lambda: site.get(f"{what}/$meta"), ("operation", "E", "0", who, "")),
        (lambda: site.delete(what), ("delete", "D", "0", who, f"{what}/_history/4")),
        (lambda: site.get(what), ("read", "R", "4", "", what)),
        (lambda: site.get("Observation/none"), ("read", "R", "4", "", "Observation/none")),
        (lambda: site.get(f"Patient/{id_}x"), ("read", "R", "4", f"Patient/{id_}x", f"Patient/{id_}x")),
        (
            lambda: site.post("Observation", json={"resourceType": "Observation"}),
            ("create", "C", "4", "", ""),
        ),
        (lambda: site.post("Observation", content="{"), ("create", "C", "4", "", "")),
        (lambda: site.get("Nothing/1"), ("", "E", "4", "", "")),
        (
            lambda: site.post("Observation", content="<", headers={"content-type": "text/plain"}),
            ("", "E", "4", "", ""),
        ),
    ):
        answer = ask()
        assert answer.status_code < 500, answer.text
        assert [told(event) for event in events()] == [expected], answer.request.url
    site.get("metadata")
    assert not events()


def test_c21_a_search_leaves_one_event_for_each_patient_found(site: httpx.Client, events: Any) -> None:
    one, two, three = (patient(site, "Perrin") for _ in range(3))
    for id_ in (one, one, two):
        site.post("Observation", json=observation(id_))
    events()
    site.get("Observation", params={"patient": f"{one},{two},{three}", "_count": 10})
    found = events()
    assert sorted(told(event)[3] for event in found) == sorted((f"Patient/{one}", f"Patient/{two}"))
    [query] = {entity["query"] for event in found for entity in event["entity"] if "query" in entity}
    assert base64.b64decode(query).decode().startswith("GET http://")
    site.get("Observation", params={"patient": one, "_count": 1})  # the row behind the page is not shown
    assert [told(event)[3] for event in events()] == [f"Patient/{one}"]
    site.get("Observation", params={"patient": three})
    assert [told(event)[:4] for event in events()] == [("search-type", "E", "0", f"Patient/{three}")]
    site.get("Observation", params={"status": "unknown"})
    assert [told(event)[3] for event in events()] == [""]
    site.post("Observation/_search", data={"patient": two})
    assert [told(event)[3] for event in events()] == [f"Patient/{two}"]
    site.get(f"Patient/{two}/Observation", params={"_include": "Observation:subject"})
    assert [told(event)[:4] for event in events()] == [("search", "E", "0", f"Patient/{two}")]


def test_c21_each_entry_of_a_bundle_leaves_its_own_event(site: httpx.Client, events: Any) -> None:
    id_ = patient(site, "Simon")
    events()
    entries = [
        {"resource": observation(id_), "request": {"method": "POST", "url": "Observation"}},
        {"request": {"method": "GET", "url": f"Patient/{id_}"}},
    ]
    for type_ in ("batch", "transaction"):
        answer = site.post("", json={"resourceType": "Bundle", "type": type_, "entry": entries})
        assert answer.status_code == 200, answer.text
        assert sorted(told(event)[:4] for event in events()) == [
            ("create", "C", "0", f"Patient/{id_}"),
            ("read", "R", "0", f"Patient/{id_}"),
        ]
    entries[1]["request"] = {"method": "GET", "url": "Patient/none"}
    answer = site.post("", json={"resourceType": "Bundle", "type": "transaction", "entry": entries})
    assert answer.status_code == 404
    assert [told(event)[:3] for event in events()] == [("transaction", "E", "4")]


def test_c21_a_refusal_tells_codes_and_no_health_data(site: httpx.Client, events: Any) -> None:
    canary = "canary-7f3a"
    site.post("Observation", json={**observation("x"), "status": canary})
    [event] = events()
    assert event["outcomeDesc"] == "422 code-invalid"
    assert canary not in str(event)


def test_c21_a_dry_run_changes_nothing_and_says_so(site: httpx.Client, events: Any) -> None:
    site.post("Patient", json={"resourceType": "Patient"}, headers={"x-dry-run": "true"})
    assert [told(event)[:3] for event in events()] == [("operation", "E", "0")]


def test_c22_no_audit_no_data(
    site: httpx.Client, mongo_client: MongoClient[dict[str, Any]], module_database_name: str
) -> None:
    id_ = patient(site, "Lebrun")
    database = mongo_client[module_database_name]
    logs = [name for name in database.list_collection_names() if name.startswith("audit.")]
    before = database["Patient"].count_documents({})
    for name in logs:
        database.command("collMod", name, validator={"never": {"$exists": True}})
    try:
        for answer in (
            site.get(f"Patient/{id_}"),
            site.get("Patient", params={"family": "Lebrun"}),
            site.get(f"Patient/{id_}/_history"),
            site.post("Patient", json={"resourceType": "Patient"}),
            site.put(f"Patient/{id_}", json={"resourceType": "Patient", "id": id_}),
            site.delete(f"Patient/{id_}"),
            site.get("Patient/none"),
        ):
            assert answer.status_code == 503
            assert not answer.content
            assert answer.headers["retry-after"]
        assert site.get("metadata").status_code == 200
    finally:
        for name in logs:
            database.command("collMod", name, validator={})
    assert database["Patient"].count_documents({}) == before
    assert site.get(f"Patient/{id_}").json()["meta"]["versionId"] == "1"


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
def test_c24_nobody_writes_events(site: httpx.Client, method: str) -> None:
    id_ = patient(site)
    bundle = site.get("AuditEvent", params={"patient": id_}).json()
    event = bundle["entry"][0]["resource"]
    address = "AuditEvent" if method == "POST" else f"AuditEvent/{event['id']}"
    assert site.request(method, address, json=event).status_code == 405
    entry: dict[str, Any] = {"request": {"method": method, "url": address}}
    if method != "DELETE":
        entry["resource"] = event
    answer = site.post("", json={"resourceType": "Bundle", "type": "transaction", "entry": [entry]})
    assert answer.status_code in (400, 405)
    answer = site.post("", json={"resourceType": "Bundle", "type": "batch", "entry": [entry]})
    assert answer.status_code == 400 or answer.json()["entry"][0]["response"]["status"].startswith("405")
    assert site.get(f"AuditEvent/{event['id']}").json() == event


def test_c25_the_audit_is_searched(site: httpx.Client) -> None:
    id_ = patient(site, "Girard")
    for _ in range(3):
        site.get(f"Patient/{id_}")
    found = site.get("AuditEvent", params={"patient": id_, "_count": 2}).json()
    seen = [entry["resource"]["recorded"] for entry in found["entry"]]
    assert seen == sorted(seen, reverse=True)
    following = next(link["url"] for link in found["link"] if link["relation"] == "next")
    rest = site.get(following).json()
    ids = [entry["resource"]["id"] for bundle in (found, rest) for entry in bundle["entry"]]
    assert len(set(ids)) == len(ids) == 4
    for params, count in (
        ({"patient": f"Patient/{id_}", "subtype": "create"}, 1),
        ({"patient": id_, "action": "R", "outcome": "0"}, 3),
        ({"patient": id_, "entity": f"Patient/{id_}", "date": "ge2020-01-01"}, 4),
        ({"patient": id_, "date": "lt2020"}, 0),
    ):
        assert len(site.get("AuditEvent", params=params).json().get("entry", ())) == count, params
    assert len(site.get(f"Patient/{id_}/AuditEvent", params={"action": "C"}).json()["entry"]) == 1
    for params, status in (
        ({}, 422),
        ({"site": "x"}, 400),
        ({"date": "soon"}, 400),
        ({"patient": "a,b"}, 400),
    ):
        assert site.get("AuditEvent", params=params).status_code == status, params


def test_the_statement_says_what_there_is_of_the_audit(site: httpx.Client) -> None:
    [rest] = site.get("metadata").json()["rest"]
    [row] = [row for row in rest["resource"] if row["type"] == "AuditEvent"]
    assert [interaction["code"] for interaction in row["interaction"]] == ["read", "search-type"]
    for parameter in row["searchParam"]:
        value = {"date": "ge2020-01-01", "agent": "Practitioner/1", "entity": "Patient/1"}.get(
            parameter["name"], "0"
        )
        params = {"patient": "x", parameter["name"]: value}
        assert site.get("AuditEvent", params=params).status_code == 200, parameter


@pytest.mark.parametrize(
    "address",
    [
        "Patient/{id}/$everything",
        "Observation/$lastn?patient=Patient/{id}&category=vital-signs",
        "Observation/$stats?subject=Patient/{id}&code=http://loinc.org|8867-4&duration=1&statistic=count",
    ],
)
def test_c21_an_operation_tells_whose_data_it_gave(site: httpx.Client, events: Any, address: str) -> None:
    id_ = patient(site, "Vidal")
    site.post("Observation", json=observation(id_))
    events()
    answer = site.get(address.format(id=id_))
    assert answer.status_code == 200, answer.text
    assert [told(event)[:4] for event in events()] == [("operation", "E", "0", f"Patient/{id_}")]
