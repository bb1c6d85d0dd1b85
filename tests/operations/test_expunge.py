"""$expunge: what is removed, what stays, what is kept as evidence."""

import json

import pytest

from fhir_server.access import OPEN
from fhir_server.definitions.content import content_folder
from fhir_server.store.purging import LEASE, Purge, Purges
from tests.store.changes import connect, create, delete, update


@pytest.fixture(scope="module")
def fhir(site_with):
    with site_with({"expunge.allow": "everything"}) as client:
        client.base_url = client.base_url.join("fhir/")
        yield client


@pytest.fixture
def purges(mongo_client, module_database_name):
    return mongo_client[module_database_name]["purges"]


def inputs(reason="the citizen asked for it", **flags):
    rows = [{"name": name, "valueBoolean": value} for name, value in flags.items()]
    return {"resourceType": "Parameters", "parameter": [{"name": "reason", "valueString": reason}, *rows]}


def expunged(answer):
    assert answer.status_code == 200, answer.text
    return {row["name"]: row[next(key for key in row if key != "name")] for row in answer.json()["parameter"]}


def make(fhir, type_="Basic", versions=3, is_deleted=False):
    content = {"resourceType": type_, "code": {"text": "1"}}
    id_ = fhir.post(type_, json=content).json()["id"]
    for number in range(2, versions + 1):
        fhir.put(f"{type_}/{id_}", json={**content, "id": id_, "code": {"text": str(number)}})
    if is_deleted:
        fhir.delete(f"{type_}/{id_}")
    return f"{type_}/{id_}"


def versions(fhir, name):
    answer = fhir.get(f"{name}/_history")
    return (
        [int(row["response"]["etag"][3:-1]) for row in answer.json()["entry"]]
        if answer.status_code == 200
        else answer.status_code
    )


def test_previous_versions_of_a_resource(fhir, purges):
    name, other = make(fhir), make(fhir)
    found = expunged(fhir.post(f"{name}/$expunge", json=inputs(expungePreviousVersions=True)))
    assert (found["count"], found["state"]) == (2, "done")
    assert versions(fhir, name) == [3]
    assert versions(fhir, other) == [3, 2, 1]
    assert fhir.get(f"{name}/_history/1").status_code == 404
    assert fhir.get(name).json()["code"]["text"] == "3"
    body = fhir.get(name).json()
    assert fhir.put(name, json=body, headers={"If-Match": 'W/"3"'}).headers["etag"] == 'W/"4"'
    record = purges.find_one({"_id": found["record"]})
    wanted = {"reason": "the citizen asked for it", "actor": "anonymous", "removed": 2, "state": "done"}
    assert wanted.items() <= record.items()
    assert f"{record['type']}/{record['id']}" == name


def test_a_deleted_resource_is_as_if_it_had_never_been(fhir):
    name = make(fhir, is_deleted=True)
    assert expunged(fhir.post(f"{name}/$expunge", json=inputs(expungePreviousVersions=True)))["count"] == 3
    assert versions(fhir, name) == [4], "the deletion stays"
    assert expunged(fhir.post(f"{name}/$expunge", json=inputs(expungeDeletedResources=True)))["count"] == 1
    assert fhir.get(name).status_code == versions(fhir, name) == 404
    body = {"resourceType": "Basic", "id": name[6:], "code": {"text": "anew"}}
    assert fhir.put(name, json=body).headers["etag"] == 'W/"1"'


def test_a_living_resource_is_no_deleted_one(fhir):
    name = make(fhir)
    assert expunged(fhir.post(f"{name}/$expunge", json=inputs(expungeDeletedResources=True)))["count"] == 0
    assert versions(fhir, name) == [3, 2, 1]


def test_dry_run_counts_and_removes_nothing(fhir):
    name = make(fhir, is_deleted=True)
    for flags, count in (
        ({"expungePreviousVersions": True}, 3),
        ({"expungeDeletedResources": True}, 4),
        ({"expungePreviousVersions": True, "expungeDeletedResources": True}, 4),
    ):
        answer = fhir.post(f"{name}/$expunge", json=inputs(**flags), headers={"X-Dry-Run": "true"})
        assert expunged(answer) == {"count": count, "state": "dry-run"}
    assert versions(fhir, name) == [4, 3, 2, 1]


@pytest.mark.parametrize(
    ("address", "body", "status"),
    [
        ("Basic/none/$expunge", inputs(expungePreviousVersions=True), 404),
        ("Basic/$expunge", inputs(), 400),
        ("Basic/$expunge", inputs(" ", expungePreviousVersions=True), 400),
        ("Basic/$expunge", inputs(colour=True), 400),
        ("Basic/$expunge", {"resourceType": "Basic"}, 400),
        ("Basic/$expunge", inputs(expungeEverything=True), 403),
        ("$expunge", inputs(expungeDeletedResources=False), 400),
    ],
)
def test_what_is_refused(fhir, address, body, status):
    assert fhir.post(address, json=body).status_code == status


def test_a_server_that_does_not_allow_it_does_not_have_it(site_with):
    for allowed, status in (("off", 404), ("on", 403)):
        with site_with({"expunge.allow": allowed}) as client:
            assert client.post("fhir/$expunge", json=inputs(expungeEverything=True)).status_code == status
            offered = client.get("fhir/metadata").json()["rest"][0]["operation"]
            assert ("expunge" in [row["name"] for row in offered]) == (allowed == "on")


def test_its_definition_is_ours_and_valid(fhir):
    definition = json.loads((content_folder("profiles") / "OperationDefinition-expunge.json").read_text())
    rest = fhir.get("metadata").json()["rest"][0]
    assert {"name": "expunge", "definition": definition["url"]} in rest["operation"]
    outcome = fhir.post("OperationDefinition/$validate", json=definition).json()
    assert [i for i in outcome["issue"] if i["severity"] == "error"] == []


def test_types_and_everything(fhir):
    name, gone = make(fhir), make(fhir, is_deleted=True)
    expunged(fhir.post("Basic/$expunge", json=inputs(expungeDeletedResources=True)))
    assert (versions(fhir, name), versions(fhir, gone)) == ([3, 2, 1], 404)
    expunged(fhir.post("$expunge", json=inputs(expungePreviousVersions=True)))
    assert versions(fhir, name) == [3]
    expunged(fhir.post("$expunge", json=inputs("end of the test", expungeEverything=True)))
    assert versions(fhir, name) == 404
    assert "entry" not in fhir.get("_history").json()


async def test_a_purge_is_finished_by_another_worker(mongod_uri, database_name, monkeypatch):
    monkeypatch.setattr("fhir_server.store.purging.STEP", 4)
    store = await connect(mongod_uri, database_name)
    for id_ in ("a", "b", "c"):
        await store.commit(create(id_))
        for version in range(1, 6):
            await store.commit(update(id_, version))
    await store.commit(delete("a", 6))
    await store.commit(delete("b", 6))
    begin = await store.outbox.here()

    row = await store.purges.begin(Purge("me", "why", "Observation", deleted=True), 0)
    row = await store.purges.step(row, 0)
    assert (row["state"], row["removed"]) == ("running", 4), "the worker dies here"
    page = await store.history("Observation", "a", OPEN)
    assert [version.version for version in page.rows] == [7, 6, 5], "what is left is whole"
    other = Purges(store._connection, store._catalogue, store.contents)
    assert await other.take(LEASE - 1) is None
    taken = await other.take(LEASE)
    while taken["state"] == "running":
        taken = await other.step(taken, LEASE)
    assert (taken["state"], taken["removed"]) == ("done", 14)
    assert (await store.purges.step(row, LEASE))["state"] == "taken"
    assert await store.read("Observation", "a", OPEN) is None
    assert len((await store.history("Observation", None, OPEN)).rows) == 6
    events = []
    async for event in store.outbox.follow(begin):
        events.append(event.purge)
        if len(events) == 2:
            break
    assert [(purge["state"], purge["removed"], purge["reason"]) for purge in events] == [
        ("running", 0, "why"),
        ("done", 14, "why"),
    ]
    await store.close()


def test_large_content_goes_with_its_versions(fhir, mongo_client, module_database_name):
    files = mongo_client[module_database_name]["bin.files"]
    media = {"Content-Type": "application/pdf"}
    made = fhir.post("Binary", content=b"a" * 2_000_000, headers=media).headers["location"]
    name = made.partition("/fhir/")[2].partition("/_history")[0]
    fhir.put(name, content=b"b" * 2_000_000, headers=media)
    assert files.count_documents({"o": name}) == 2
    assert expunged(fhir.post(f"{name}/$expunge", json=inputs(expungePreviousVersions=True)))["count"] == 1
    assert files.count_documents({"o": name}) == 1
    assert fhir.get(name, headers={"Accept": "application/pdf"}).content == b"b" * 2_000_000
    fhir.delete(name)
    both = inputs(expungePreviousVersions=True, expungeDeletedResources=True)
    assert expunged(fhir.post(f"{name}/$expunge", json=both))["state"] == "done"
    assert files.count_documents({"o": name}) == 0
