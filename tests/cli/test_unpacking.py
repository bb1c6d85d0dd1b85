"""Bundles become resources: bytes stay, ids and references follow."""

from __future__ import annotations

import json

import pytest

from fhir_server.cli.sources import Document
from fhir_server.cli.unpacking import items

P = "urn:uuid:0F000000-0000-4000-8000-000000000001"
O = "urn:uuid:0f000000-0000-4000-8000-000000000002"  # noqa: E741
PID, OID = P[9:].lower(), O[9:]


def unpack(text, *, unpack=True):
    return list(items(iter([Document("f.json", 0, 1, text.encode())]), unpack=unpack))


def bundle(kind, *entries):
    return json.dumps({"resourceType": "Bundle", "id": "x", "type": kind, "entry": list(entries)})


def test_a_resource_is_itself_byte_for_byte():
    text = '{ "resourceType":"Observation", "id":"a", "valueQuantity":{"value":72.50} }'
    [item] = unpack(text)
    assert (item.type, item.id, item.place, item.body.decode()) == ("Observation", "a", "f.json:1", text)


@pytest.mark.parametrize("kind", ["collection", "searchset", "batch", "transaction"])
def test_carriers_are_unpacked(kind):
    found = unpack(
        bundle(
            kind,
            {"resource": {"resourceType": "Patient", "id": "a"}},
            {"resource": {"resourceType": "Group"}},
        )
    )
    assert [(i.number, i.type, i.id, i.place) for i in found] == [
        (0, "Patient", "a", "f.json:1 entry[0]"), (1, "Group", None, "f.json:1 entry[1]"),
    ]  # fmt: skip


def test_a_transaction_stays_whole_byte_for_byte_unless_its_entries_are_asked_for():
    entry = {"resource": {"resourceType": "Patient"}, "request": {"method": "POST", "url": "Patient"}}
    text = bundle("transaction", entry, {"request": {"method": "DELETE", "url": "Patient/x"}})
    [item] = unpack(text, unpack=False)
    assert (item.type, item.body.decode(), item.is_transaction) == ("Bundle", text, True)
    assert [i.is_transaction for i in unpack(text)] == [False, False]
    assert [i.type for i in unpack(bundle("batch", entry), unpack=False)] == ["Patient"]
    assert [i.type for i in unpack(bundle("transaction", {"resource": entry["resource"]}), unpack=False)] == [
        "Patient"
    ]


@pytest.mark.parametrize("kind", ["document", "message", "history", "batch-response"])
def test_other_bundles_are_resources(kind):
    [item] = unpack(bundle(kind, {"resource": {"resourceType": "Patient", "id": "a"}}))
    assert (item.type, item.id) == ("Bundle", "x")


def test_urn_uuids_become_ids_and_references_follow():
    text = bundle(
        "transaction",
        {"fullUrl": O, "resource": {"resourceType": "Observation", "subject": {"reference": P}, "note": [{"text": P}]}},
        {"fullUrl": P, "resource": {"resourceType": "Patient", "identifier": [{"value": P}]}, "request": {"method": "POST", "url": "Patient"}},
    )  # fmt: skip
    observation, patient = unpack(text)
    assert (observation.id, patient.id) == (OID, PID)
    assert json.loads(observation.body) == {
        "id": OID, "resourceType": "Observation", "subject": {"reference": f"Patient/{PID}"}, "note": [{"text": P}],
    }  # fmt: skip
    assert json.loads(patient.body)["identifier"] == [{"value": P}]


def test_own_ids_win_and_absolute_urls_become_relative():
    text = bundle(
        "collection",
        {"fullUrl": P, "resource": {"resourceType": "Patient", "id": "own"}},
        {"fullUrl": "http://a.example/Device/d", "resource": {"resourceType": "Device", "id": "d"}},
        {"resource": {"resourceType": "Observation", "id": "o", "subject": {"reference": P},
                      "device": {"reference": "http://a.example/Device/d"},
                      "performer": [{"reference": "http://b.example/Device/d"}, {"reference": "#c"}]}},
    )  # fmt: skip
    body = json.loads(unpack(text)[2].body)
    assert body["subject"] == {"reference": "Patient/own"}
    assert body["device"] == {"reference": "Device/d"}
    assert body["performer"] == [{"reference": "http://b.example/Device/d"}, {"reference": "#c"}]


def test_text_that_looks_like_a_reference_is_left_alone():
    text = bundle("collection", {"fullUrl": P, "resource": {"resourceType": "Patient", "id": "a",
                                 "text": {"div": f'"reference": "{P}"'}}})  # fmt: skip
    assert P in json.loads(unpack(text)[0].body)["text"]["div"]


def test_decimals_and_order_survive():
    resource = '{"resourceType":"Observation","z":1e2,"valueQuantity":{"value":0.00000001},"a":72.50}'
    [item] = unpack(
        f'{{"resourceType":"Bundle","type":"batch","entry":[{{"fullUrl":"{P}","resource":{resource}}}]}}'
    )
    assert item.body.decode() == f'{{"id":"{PID}",' + resource[1:]


PROBLEMS = [
    ("{", "This is not a JSON resource"),
    ("[]", "This is not a JSON resource"),
    ("{}", "resourceType is missing"),
    ('{"resourceType":"Patient","id":7}', "Expected `str"),
    (bundle("batch", {"request": {"method": "POST", "url": "Patient"}}), "has no resource"),
    (bundle("batch", {"request": {"method": "DELETE", "url": "Patient/1"}}), "not DELETE"),
    (bundle("batch", {"resource": {"id": "a"}}), "resourceType is missing"),
    (bundle("batch", {"resource": 5}), "can't be read"),
    ('{"resourceType":"Bundle","type":"batch","entry":7}', "Expected `array"),
]


@pytest.mark.parametrize(("text", "problem"), PROBLEMS)
def test_problems_are_items_too(text, problem):
    [item] = unpack(text)
    assert problem in item.problem


def test_the_outcome_of_a_searchset_is_no_content():
    assert (
        unpack(
            bundle(
                "searchset", {"search": {"mode": "outcome"}, "resource": {"resourceType": "OperationOutcome"}}
            )
        )
        == []
    )


def test_lines_of_entries():
    text = json.dumps(
        json.loads(bundle("batch", *({"resource": {"resourceType": "Patient", "id": i}} for i in "ab"))),
        indent=1,
    )
    places = [item.place for item in unpack(text)]
    lines = [int(place.split(":")[1].split()[0]) for place in places]
    assert [text.split("\n")[line - 1].strip() for line in lines] == ['"resource": {'] * 2
