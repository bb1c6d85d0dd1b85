"""transaction over HTTP: https://hl7.org/fhir/R4/http.html#trules."""

import json
import uuid

import pytest

from tests.interactions.transactions import (
    SYSTEM,
    done,
    entry,
    found,
    observation,
    patient,
    refused,
    statuses,
    urn,
)


@pytest.fixture
def value():
    return uuid.uuid4().hex


def test_an_empty_transaction_is_no_error(fhir):
    answer = fhir.post("", json={"resourceType": "Bundle", "type": "transaction"})
    assert answer.status_code == 200
    assert answer.json() == {"resourceType": "Bundle", "type": "transaction-response"}


def test_answers_come_in_the_order_of_the_request_with_what_single_answers_say(fhir, value):
    kept = fhir.post("Patient", json=patient(value)).json()
    rows = done(
        fhir,
        entry("GET", f"Patient/{kept['id']}"),
        entry("PUT", f"Patient/{value}", patient(value, id=value)),
        entry("POST", "Patient", patient(value)),
        entry("GET", f"Patient?identifier={SYSTEM}|{value}"),
    )
    assert statuses(rows) == ["200", "201", "201", "200"]
    for row, path in ((rows[1], f"Patient/{value}"), (rows[2], f"Patient/{rows[2]['resource']['id']}")):
        single = fhir.get(path)
        assert row["resource"] == single.json()
        assert row["response"]["etag"] == single.headers["etag"] == 'W/"1"'
        assert row["response"]["location"] == f"{fhir.base_url}{path}/_history/1"
        assert row["response"]["lastModified"] == single.json()["meta"]["lastUpdated"]
    assert rows[0]["resource"]["id"] == kept["id"]
    assert len(rows[3]["resource"]["entry"]) == 3


@pytest.mark.parametrize(("prefer", "member"), [("minimal", None), ("representation", "resource")])
def test_prefer_decides_what_comes_back(fhir, value, prefer, member):
    [row] = done(fhir, entry("POST", "Patient", patient(value)), Prefer=f"return={prefer}")
    assert row.keys() - {"response"} == ({member} if member else set())


def test_prefer_operation_outcome_goes_into_the_response(fhir, value):
    [row] = done(fhir, entry("POST", "Patient", patient(value)), Prefer="return=OperationOutcome")
    assert row["response"]["outcome"]["issue"][0]["severity"] == "information"


def test_the_order_is_delete_create_update_read(fhir, value):
    """The deleted match does not count for the create, and the read sees the result."""
    old = fhir.post("Patient", json=patient(value)).json()["id"]
    rows = done(
        fhir,
        entry("GET", f"Patient?identifier={SYSTEM}|{value}"),
        entry("PUT", f"Patient/{value}", patient("other", id=value)),
        entry("POST", "Patient", patient(value), ifNoneExist=f"identifier={SYSTEM}|{value}"),
        entry("DELETE", f"Patient/{old}"),
    )
    assert statuses(rows) == ["200", "201", "201", "204"]
    [match] = rows[0]["resource"]["entry"]
    assert match["resource"]["id"] == rows[2]["resource"]["id"] != old


def test_all_or_nothing(fhir, value):
    old = fhir.post("Patient", json=patient(value, gender="male")).json()
    status, issues = refused(
        fhir,
        entry("DELETE", f"Patient/{old['id']}"),
        entry("POST", "Patient", patient(value)),
        entry(
            "POST", "Observation", {"resourceType": "Observation", "status": "wrong", "code": {"text": "x"}}
        ),
        entry("POST", "Patient", patient(value, gender="wrong", active="yes")),
    )
    assert status == 400
    assert ("code-invalid", "Bundle.entry[2].resource.status") in issues
    assert ("code-invalid", "Bundle.entry[3].resource.gender") in issues
    assert ("structure", "Bundle.entry[3].resource.active") in issues or (
        "value",
        "Bundle.entry[3].resource.active",
    ) in issues
    assert found(fhir, "Patient", value) == [old]


def test_preconditions_of_entries(fhir, value):
    id_ = fhir.post("Patient", json=patient(value)).json()["id"]
    put = entry("PUT", f"Patient/{id_}", patient(value, id=id_), ifMatch='W/"1"')
    assert statuses(done(fhir, put)) == ["200"]
    assert refused(fhir, entry("POST", "Patient", patient(value)), put) == (
        412,
        [("conflict", "Bundle.entry[1]")],
    )
    assert len(found(fhir, "Patient", value)) == 1
    read = entry("GET", f"Patient/{id_}", ifNoneMatch='W/"2"')
    assert statuses(done(fhir, read)) == ["304"]
    read = entry("GET", f"Patient/{id_}", ifModifiedSince="2999-01-01T00:00:00+02:00")
    assert statuses(done(fhir, read)) == ["304"]


def test_deletes_of_nothing_and_by_criteria(fhir, value):
    id_ = fhir.post("Patient", json=patient(value)).json()["id"]
    rows = done(
        fhir,
        entry("DELETE", f"Patient/none-{value}"),
        entry("DELETE", f"Patient?identifier={value}"),
        entry("DELETE", f"Patient?identifier=none-{value}"),
    )
    assert statuses(rows) == ["204", "204", "204"]
    assert rows[1]["response"]["etag"] == 'W/"2"'
    assert fhir.get(f"Patient/{id_}").status_code == 410


def test_a_read_of_what_the_transaction_deletes_is_refused(fhir, value):
    id_ = fhir.post("Patient", json=patient(value)).json()["id"]
    status, _ = refused(fhir, entry("DELETE", f"Patient/{id_}"), entry("GET", f"Patient/{id_}"))
    assert status == 410
    assert fhir.get(f"Patient/{id_}").status_code == 200


def test_validation_sees_the_rewritten_reference(fhir):
    """Observation.subject can't be a Practitioner; only the resolved link tells that it is one."""
    url = urn()
    _, issues = refused(
        fhir,
        entry("POST", "Practitioner", {"resourceType": "Practitioner"}, url),
        entry("POST", "Observation", observation(url)),
    )
    assert issues[0][1].startswith("Bundle.entry[1].resource.subject")


def test_5000_entries(fhir, value):
    rows = done(
        fhir,
        *(
            [entry("POST", "Patient", patient(value), "urn:uuid:61ebe359-bfdc-4613-8bf2-c5e300945f0a")]
            + [
                entry("POST", "Observation", observation("urn:uuid:61ebe359-bfdc-4613-8bf2-c5e300945f0a"))
                for _ in range(4999)
            ]
        ),
        Prefer="return=minimal",
    )
    assert set(statuses(rows)) == {"201"}
    id_ = rows[0]["response"]["location"].split("/")[-3]
    answer = fhir.get("Observation", params={"patient": id_, "_summary": "count"})
    assert answer.json()["total"] == 4999


@pytest.mark.parametrize(
    ("body", "place"),
    [
        ({"resourceType": "Patient"}, None),
        ({"resourceType": "Bundle", "type": "collection"}, "Bundle.type"),
        ({"resourceType": "Bundle"}, "Bundle.type"),
        ({"resourceType": "Bundle", "type": "transaction", "entry": {}}, "Bundle.entry"),
    ],
)
def test_other_bodies_are_refused_at_the_base(fhir, body, place):
    answer = fhir.post("", json=body)
    assert answer.status_code == 400, answer.text
    assert answer.json()["issue"][0].get("expression") == (place and [place])


def test_limits_of_entries_and_bytes(site_with):
    with site_with({"bundle.max_entries": 2, "http.max_bundle_mb": 2, "http.max_body_mb": 1}) as site:
        post = entry("POST", "Basic", {"resourceType": "Basic", "code": {"text": "x" * 600_000}})
        bundle = {"resourceType": "Bundle", "type": "transaction"}
        assert site.post("/fhir", json={**bundle, "entry": [post, post]}).status_code == 200
        assert site.post("/fhir", json={**bundle, "entry": [post] * 4}).status_code == 413
        read = entry("GET", "Patient")
        assert site.post("/fhir", json={**bundle, "entry": [read] * 3}).status_code == 413
        assert site.post("/fhir/Bundle", json={**bundle, "entry": [post, post]}).status_code == 413
        documentation = site.get("/fhir/metadata").json()["rest"][0]["documentation"]
        assert "2 entries and 2 MB" in documentation


@pytest.mark.parametrize("where", ["resource", "envelope"])
def test_large_bundles_are_read_as_strictly_as_small_ones(fhir, value, where):
    rows = [entry("POST", "Basic", {"resourceType": "Basic", "code": {"text": "x" * 400_000}})]
    rows.append(entry("POST", "Patient", patient(value)))
    text = json.dumps({"resourceType": "Bundle", "type": "transaction", "entry": rows})
    good = fhir.post("", content=text)
    assert good.status_code == 200, good.text
    if where == "resource":
        text = text.replace(
            '{"resourceType": "Patient"', '{"resourceType": "Patient", "active": true, "active": true'
        )
    else:
        text = text.replace('"type": "transaction"', '"type": "transaction", "type": "transaction"')
    answer = fhir.post("", content=text)
    assert answer.status_code == 400
    assert len(found(fhir, "Patient", value)) == 1
    cut = fhir.post("", content=text[:-1])
    assert cut.status_code == 400
